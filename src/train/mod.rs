//! (train)

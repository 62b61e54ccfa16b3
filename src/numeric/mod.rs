//! (numeric)

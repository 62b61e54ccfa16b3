//! (expand)

//! (rationalise)

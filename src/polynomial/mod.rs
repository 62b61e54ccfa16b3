//! (polynomial)

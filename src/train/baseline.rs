//! What a trained network is to be compared with.

/// (filled below)
pub(super) mod placeholder {}

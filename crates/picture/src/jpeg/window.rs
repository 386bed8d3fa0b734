//! The buffer that bits are read from.

/// Bytes in a window, a power of two so that a masked index provably lies inside.
pub(super) const WINDOW: usize = 1 << 15;

/// Unstuffed bytes, with 8 more so that a load at any masked index stays inside.
pub(super) type Window = [u8; WINDOW + 8];

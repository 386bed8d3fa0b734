//! Buffer that the bit reader reads from.

/// Size of a window in bytes. It is a power of two, so that a mask keeps an index in range.
pub(super) const WINDOW: usize = 1 << 15;

/// Buffer of unstuffed bytes. It has 8 more, for a load of 8 bytes at the last index.
pub(super) type Window = [u8; WINDOW + 8];

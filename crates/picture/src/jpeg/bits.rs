//! Bit reader, most significant bit first: ITU-T T.81 F.2.2.5 and C.3.

use super::window::{WINDOW, Window};

/// Position in a window of unstuffed bytes, with a buffer of the next bits.
///
/// [`refill`](Self::refill) has no branch. It is variant 4 of Fabian Giesen, "Reading bits in far
/// too many ways (part 2)" (2018).
#[derive(Clone, Copy, Default)]
pub(super) struct BitReader {
    /// Next bits, left-aligned.
    pub(super) buffer: u64,
    /// Number of valid bits in the buffer, at most 63.
    count: u32,
    /// Index in the window of the first byte that `count` does not cover.
    pub(super) position: usize,
}

impl BitReader {
    /// Minimum number of bits in a refilled buffer.
    pub(super) const REFILLED: u32 = 56;

    /// Makes at least [`REFILLED`](Self::REFILLED) bits available.
    #[inline(always)]
    pub(super) fn refill(&mut self, window: &Window) {
        // The mask lets the compiler drop the bounds check. It changes no position: the source
        // moves the window before the position can reach its end.
        let start = self.position & (WINDOW - 1);
        let mut word = [0; 8];
        word.copy_from_slice(&window[start..start + 8]);
        // Only whole bytes are counted: (63 - count) / 8 of them, which makes the count 56 to 63. A
        // part of the next byte may be in the buffer as well. The next refill ORs the same bits to
        // the same places, so it needs no clearing.
        self.buffer |= u64::from_be_bytes(word) >> self.count;
        self.position += ((63 - self.count) >> 3) as usize;
        self.count |= 56;
    }

    /// Returns the next `BITS` bits as a table index, without consuming them.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "BITS is at most 16")]
    pub(super) fn peek<const BITS: u32>(&self) -> usize {
        (self.buffer >> (64 - BITS)) as usize
    }

    /// Consumes `length` bits. At most the number of bits available, so at most 63.
    #[inline(always)]
    pub(super) fn consume(&mut self, length: u32) {
        debug_assert!(
            length <= self.count,
            "more bits consumed than a refill provided"
        );
        self.buffer <<= length & 63;
        self.count -= length;
    }

    /// Reads `length` bits, at most 16.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "length is at most 16")]
    pub(super) fn take(&mut self, length: u32) -> u32 {
        // Two shifts, because a shift by 64 for a length of 0 would overflow.
        let value = ((self.buffer >> 1) >> (63 - length)) as u32;
        self.consume(length);
        value
    }

    /// Reads one bit.
    #[inline(always)]
    pub(super) fn take_bit(&mut self) -> bool {
        let bit = self.buffer >> 63 == 1;
        self.consume(1);
        bit
    }

    /// Returns the number of unread bits if the window holds `filled` bytes.
    ///
    /// The number is negative if more bits were consumed than the window holds.
    pub(super) fn unread(&self, filled: usize) -> i64 {
        (filled as i64 - self.position as i64) * 8 + i64::from(self.count)
    }
}

/// Converts `size` value bits to a signed value: EXTEND of T.81 F.2.2.1, figure F.12.
///
/// A first bit of 0 means a negative value, stored as `value + 2^size - 1`.
#[inline(always)]
pub(super) fn extend(bits: u32, size: u32) -> i32 {
    let negative = size > 0 && bits >> (size - 1) == 0;
    bits as i32 - if negative { (1 << size) - 1 } else { 0 }
}

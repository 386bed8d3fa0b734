//! Reading bits, most significant first: ITU-T T.81 F.2.2.5 and C.3.

use super::window::{WINDOW, Window};

/// A position in a window of unstuffed bytes, with a buffer of the next bits.
///
/// [`refill`](Self::refill) has no branch: it ORs the next eight bytes below the bits at hand and
/// counts only whole bytes of them. What it ORs in beyond the count comes again, unchanged, next time.
#[derive(Clone, Copy, Default)]
pub(super) struct BitReader {
    /// The next bits, left-aligned.
    pub(super) buffer: u64,
    /// How many bits of the buffer are accounted for, at most 63.
    count: u32,
    /// Index in the window of the first byte that is not accounted for in the buffer.
    pub(super) position: usize,
}

impl BitReader {
    /// Bits that a refilled buffer holds at least.
    pub(super) const REFILLED: u32 = 56;

    /// Makes at least [`REFILLED`](Self::REFILLED) bits available.
    #[inline(always)]
    pub(super) fn refill(&mut self, window: &Window) {
        let start = self.position & (WINDOW - 1);
        let mut word = [0; 8];
        word.copy_from_slice(&window[start..start + 8]);
        self.buffer |= u64::from_be_bytes(word) >> self.count;
        self.position += ((63 - self.count) >> 3) as usize;
        self.count |= 56;
    }

    /// The next `BITS` bits as a table index, without consuming them.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "BITS is at most 16")]
    pub(super) fn peek<const BITS: u32>(&self) -> usize {
        (self.buffer >> (64 - BITS)) as usize
    }

    /// Consumes `length` bits, at most 63, of those available.
    #[inline(always)]
    pub(super) fn consume(&mut self, length: u32) {
        debug_assert!(
            length <= self.count,
            "bits consumed that no refill has brought"
        );
        self.buffer <<= length & 63;
        self.count -= length;
    }

    /// Reads `length` bits, at most 16.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "length is at most 16")]
    pub(super) fn take(&mut self, length: u32) -> u32 {
        // In two shifts, so that a length of 0 needs no branch.
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

    /// Bits left of `filled` bytes in the window; negative if more were consumed.
    pub(super) fn unread(&self, filled: usize) -> i64 {
        (filled as i64 - self.position as i64) * 8 + i64::from(self.count)
    }
}

/// EXTEND of T.81 F.2.2.1: the signed value that `size` bits stand for.
#[inline(always)]
pub(super) fn extend(bits: u32, size: u32) -> i32 {
    let negative = size > 0 && bits >> (size - 1) == 0;
    bits as i32 - if negative { (1 << size) - 1 } else { 0 }
}

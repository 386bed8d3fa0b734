//! Look-up tables that decode a symbol with its value, or several symbols, in one look-up.
//!
//! A symbol of an AC table gives the number of zero coefficients before the next nonzero one, and
//! the number of value bits that follow the code (ITU-T T.81 F.1.2.2). Most codes are short. So an
//! index of 11 bits often contains the value bits too, or several symbols.

use super::bits::extend;
use super::huffman::{HuffmanCode, PREFIX_BITS};
use super::idct::wrap;

/// Number of bits of the index of a [`ValueTable`].
pub(super) const VALUE_BITS: u32 = PREFIX_BITS;

/// Number of bits of the index of a [`SkipTable`].
pub(super) const SKIP_BITS: u32 = PREFIX_BITS;

/// Meaning of the symbols of a Huffman table.
#[derive(Clone, Copy)]
pub(super) enum Coding {
    /// DC differences: F.1.2.1.
    Dc,
    /// AC coefficients of a sequential scan: F.1.2.2.
    Ac,
}

/// Table of the run, size and value of the next symbol, 8 KiB.
pub(super) struct ValueTable {
    entries: Box<[ValueEntry; 1 << VALUE_BITS]>,
}

/// Decoded form of [`VALUE_BITS`] bits.
///
/// Bits 0 to 5 hold the length, bit 7 is [`PARTIAL`](Self::PARTIAL), bits 8 to 15 hold the steps.
/// Bits 16 to 31 hold the value, or its size if the entry is partial. 0 is an entry without a
/// symbol.
#[derive(Clone, Copy, Default)]
pub(super) struct ValueEntry(u32);

impl ValueTable {
    /// Builds the table of a code.
    pub(super) fn new(code: &HuffmanCode, coding: Coding) -> Option<Self> {
        let mut entries = vec![ValueEntry::default(); 1 << VALUE_BITS];
        for (bits, entry) in (0..).zip(&mut entries) {
            *entry = ValueEntry::new(code, coding, bits);
        }
        Some(Self {
            entries: entries.try_into().ok()?,
        })
    }

    /// Returns the entry of the next [`VALUE_BITS`] bits.
    #[inline(always)]
    pub(super) fn entry(&self, bits: usize) -> ValueEntry {
        self.entries[bits]
    }
}

impl ValueEntry {
    /// Steps of an entry that ends the block. Other entries have at most 16.
    const END: u32 = 0x80;
    /// Flag of an entry whose value bits do not fit into the index. It holds their number instead.
    const PARTIAL: u32 = 0x80;

    fn new(code: &HuffmanCode, coding: Coding, bits: u32) -> Self {
        let Some((length, symbol)) = code.prefix(bits as usize) else {
            return Self(0);
        };
        // Undefined symbols get no entry. The slow path then reports them.
        let (steps, size) = match (coding, symbol >> 4, symbol & 15) {
            (Coding::Dc, 0, size) => (1, size),
            (Coding::Ac, 0, 0) => (Self::END, 0),
            (Coding::Dc, ..) | (Coding::Ac, 1..15, 0) => return Self(0),
            (Coding::Ac, run, size) => (u32::from(run) + 1, size),
        };
        let size = u32::from(size);
        let total = length + size;
        if total > VALUE_BITS {
            return Self(length | Self::PARTIAL | steps << 8 | size << 16);
        }
        let value = extend(bits >> (VALUE_BITS - total) & ((1 << size) - 1), size);
        Self(total | steps << 8 | (value as u32) << 16)
    }

    /// Whether the entry holds the symbol and its value.
    #[inline(always)]
    pub(super) fn is_complete(self) -> bool {
        self.0 & Self::PARTIAL == 0 && self.0 != 0
    }

    /// Whether the entry holds the symbol.
    #[inline(always)]
    pub(super) fn has_symbol(self) -> bool {
        self.0 != 0
    }

    /// Number of bits of the code, plus those of the value if the entry is complete.
    #[inline(always)]
    pub(super) fn length(self) -> u32 {
        self.0 & 63
    }

    /// Number of coefficients decoded: the zeros of the run and the coefficient with the value.
    #[inline(always)]
    pub(super) fn steps(self) -> usize {
        (self.0 >> 8 & 0xFF) as usize
    }

    /// Whether the symbol is the end of the block (EOB).
    #[inline(always)]
    pub(super) fn is_end(self) -> bool {
        self.0 >> 8 & 0xFF == Self::END
    }

    /// Returns the value of a complete entry.
    #[inline(always)]
    pub(super) fn value(self) -> i16 {
        wrap(self.0 as i32 >> 16)
    }

    /// Returns the number of value bits that follow the code of a partial entry.
    #[inline(always)]
    pub(super) fn size(self) -> u32 {
        self.0 >> 16
    }
}

/// Table of as many symbols as fit into the index, 8 KiB.
///
/// It serves coefficients that are not kept: only their positions matter, not their values.
pub(super) struct SkipTable {
    entries: Box<[SkipEntry; 1 << SKIP_BITS]>,
}

/// Symbols that start with [`SKIP_BITS`] bits.
///
/// Bits 0 to 7 hold the length, bits 8 to 15 the steps, bits 16 to 31 the pattern. The codes of all
/// symbols must fit into the index. The value bits of the last symbol need not fit.
#[derive(Clone, Copy, Default)]
pub(super) struct SkipEntry(u32);

impl SkipTable {
    /// Builds the table of an AC code for a scan whose values have at most `max_size` bits.
    pub(super) fn new(code: &HuffmanCode, max_size: u32) -> Option<Self> {
        let mut entries = vec![SkipEntry::default(); 1 << SKIP_BITS];
        for (bits, entry) in (0..).zip(&mut entries) {
            *entry = SkipEntry::new(code, max_size, bits);
        }
        Some(Self {
            entries: entries.try_into().ok()?,
        })
    }

    /// Returns the entry of the next [`SKIP_BITS`] bits.
    #[inline(always)]
    pub(super) fn entry(&self, bits: usize) -> SkipEntry {
        self.entries[bits]
    }
}

impl SkipEntry {
    /// Maximum length of an entry in bits: the index, and the value bits of the last symbol.
    pub(super) const MAX_LENGTH: u32 = SKIP_BITS + 15;
    /// Flag in the steps of an entry that ends the block.
    pub(super) const END: u32 = 0x80;
    /// Maximum number of coefficients of an entry: the number of bits of its pattern.
    const MAX_STEPS: u32 = 16;

    fn new(code: &HuffmanCode, max_size: u32, bits: usize) -> Self {
        let mut length = 0;
        let mut steps = 0;
        let mut pattern = 0;
        while length < SKIP_BITS {
            // The bits after the index are unknown and read as 0. A code that needs them is longer
            // than the bits that are left, and is filtered out.
            let rest = bits << length & ((1 << SKIP_BITS) - 1);
            let Some((code_length, symbol)) = code
                .prefix(rest)
                .filter(|found| found.0 <= SKIP_BITS - length)
            else {
                break;
            };
            let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            if symbol == 0 {
                length += code_length;
                steps |= Self::END;
                break;
            }
            // EOBn with n > 0 is followed by n bits that end later blocks too (G.1.2.2). It and
            // values that are too large are left to the slow path, which also reports errors.
            let is_run_of_blocks = size == 0 && run < 15;
            if is_run_of_blocks || size > max_size || steps + run + 1 > Self::MAX_STEPS {
                break;
            }
            // This may exceed SKIP_BITS, because nothing needs the value bits. It ends the loop.
            length += code_length + size;
            steps += run + 1;
            pattern |= u32::from(size != 0) << (steps - 1);
        }
        Self(pattern << 16 | steps << 8 | length)
    }

    /// Number of bits to consume, or 0 if the index holds no whole symbol.
    #[inline(always)]
    pub(super) fn length(self) -> u32 {
        self.0 & 0xFF
    }

    /// Number of coefficients skipped, plus [`END`](Self::END) if the block ends.
    #[inline(always)]
    pub(super) fn steps(self) -> u32 {
        self.0 >> 8 & 0xFF
    }

    /// Mask of the nonzero ones among the skipped coefficients. Bit 0 is the first coefficient.
    #[inline(always)]
    pub(super) fn pattern(self) -> u64 {
        u64::from(self.0 >> 16)
    }
}

//! Tables that answer more than a symbol a look-up.
//!
//! A symbol of an AC table says how many zero coefficients to skip and how many bits of value follow
//! (ITU-T T.81 F.1.2.2). Most codes are short enough that a look-up by 11 bits covers the value
//! bits, or several symbols, too.

use super::bits::extend;
use super::huffman::{HuffmanCode, PREFIX_BITS};
use super::idct::wrap;

/// Bits that index a [`ValueTable`].
pub(super) const VALUE_BITS: u32 = PREFIX_BITS;

/// Bits that index a [`SkipTable`].
pub(super) const SKIP_BITS: u32 = PREFIX_BITS;

/// What the symbols of a table mean.
#[derive(Clone, Copy)]
pub(super) enum Coding {
    /// DC differences: F.1.2.1.
    Dc,
    /// AC coefficients of a sequential scan: F.1.2.2.
    Ac,
}

/// Run, size and value of the next symbol in one look-up.
pub(super) struct ValueTable {
    entries: Box<[ValueEntry; 1 << VALUE_BITS]>,
}

/// What the next bits mean.
#[derive(Clone, Copy, Default)]
pub(super) struct ValueEntry(u32);

impl ValueTable {
    /// Tabulates a code.
    pub(super) fn new(code: &HuffmanCode, coding: Coding) -> Option<Self> {
        let mut entries = vec![ValueEntry::default(); 1 << VALUE_BITS];
        for (bits, entry) in (0..).zip(&mut entries) {
            *entry = ValueEntry::new(code, coding, bits);
        }
        Some(Self {
            entries: entries.try_into().ok()?,
        })
    }

    /// The entry for the next bits.
    #[inline(always)]
    pub(super) fn entry(&self, bits: usize) -> ValueEntry {
        self.entries[bits]
    }
}

impl ValueEntry {
    /// Steps of an entry that ends the block: more than any that does not.
    const END: u32 = 0x80;
    /// Flag of an entry whose value bits do not fit in the index: it holds their count instead.
    const PARTIAL: u32 = 0x80;

    fn new(code: &HuffmanCode, coding: Coding, bits: u32) -> Self {
        let Some((length, symbol)) = code.prefix(bits as usize) else {
            return Self(0);
        };
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

    /// Whether the entry holds the whole symbol with its value.
    #[inline(always)]
    pub(super) fn is_complete(self) -> bool {
        self.0 & Self::PARTIAL == 0 && self.0 != 0
    }

    /// Whether the entry holds the symbol at least.
    #[inline(always)]
    pub(super) fn has_symbol(self) -> bool {
        self.0 != 0
    }

    /// Bits of the code, and of the value if the entry is complete.
    #[inline(always)]
    pub(super) fn length(self) -> u32 {
        self.0 & 63
    }

    /// Coefficients passed: the zeros of the run and the one with the value.
    #[inline(always)]
    pub(super) fn steps(self) -> usize {
        (self.0 >> 8 & 0xFF) as usize
    }

    /// Whether the entry is the end of the block.
    #[inline(always)]
    pub(super) fn is_end(self) -> bool {
        self.0 >> 8 & 0xFF == Self::END
    }

    /// The value, if the entry is complete.
    #[inline(always)]
    pub(super) fn value(self) -> i16 {
        wrap(self.0 as i32 >> 16)
    }

    /// Bits of value that follow the code, if the entry is not complete.
    #[inline(always)]
    pub(super) fn size(self) -> u32 {
        self.0 >> 16
    }
}

/// As many whole symbols as fit, for coefficients whose values nobody needs.
pub(super) struct SkipTable {
    entries: Box<[SkipEntry; 1 << SKIP_BITS]>,
}

/// What the next bits pass over.
///
/// Of the symbols in the index only the codes need to fit; the last one's value bits need not.
#[derive(Clone, Copy, Default)]
pub(super) struct SkipEntry(u32);

impl SkipTable {
    /// Tabulates the AC code of a scan whose values have at most `max_size` bits.
    pub(super) fn new(code: &HuffmanCode, max_size: u32) -> Option<Self> {
        let mut entries = vec![SkipEntry::default(); 1 << SKIP_BITS];
        for (bits, entry) in (0..).zip(&mut entries) {
            *entry = SkipEntry::new(code, max_size, bits);
        }
        Some(Self {
            entries: entries.try_into().ok()?,
        })
    }

    /// The entry for the next bits.
    #[inline(always)]
    pub(super) fn entry(&self, bits: usize) -> SkipEntry {
        self.entries[bits]
    }
}

impl SkipEntry {
    /// Most bits of one entry.
    pub(super) const MAX_LENGTH: u32 = SKIP_BITS + 15;
    /// Added to the steps of an entry that ends the block.
    pub(super) const END: u32 = 0x80;
    /// Most coefficients of one entry: as many as its pattern has bits.
    const MAX_STEPS: u32 = 16;

    fn new(code: &HuffmanCode, max_size: u32, bits: usize) -> Self {
        let mut length = 0;
        let mut steps = 0;
        let mut pattern = 0;
        while length < SKIP_BITS {
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
            let is_run_of_blocks = size == 0 && run < 15;
            if is_run_of_blocks || size > max_size || steps + run + 1 > Self::MAX_STEPS {
                break;
            }
            length += code_length + size;
            steps += run + 1;
            pattern |= u32::from(size != 0) << (steps - 1);
        }
        Self(pattern << 16 | steps << 8 | length)
    }

    /// Bits passed; 0 if not one symbol fits.
    #[inline(always)]
    pub(super) fn length(self) -> u32 {
        self.0 & 0xFF
    }

    /// Coefficients passed, with [`END`](Self::END) added if the block ends.
    #[inline(always)]
    pub(super) fn steps(self) -> u32 {
        self.0 >> 8 & 0xFF
    }

    /// A bit for each coefficient passed, the first one lowest, set if it is not zero.
    #[inline(always)]
    pub(super) fn pattern(self) -> u64 {
        u64::from(self.0 >> 16)
    }
}

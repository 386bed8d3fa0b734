//! Huffman decoder: ITU-T T.81 annex C and F.2.2.3.

use super::tables::HuffmanSpecification;

/// Maximum length in bits of codes that [`HuffmanCode`] decodes in one look-up.
///
/// In an efficient code, a symbol with 12 bits or more has a probability of about 1/4096 or less.
/// So few symbols need the search. One bit more would double all tables, to 40 KiB for an AC table.
pub(super) const PREFIX_BITS: u32 = 11;

/// Decoding tables of a Huffman code.
pub(super) struct HuffmanCode {
    /// Symbol (high byte) and length (low byte) of the code at the start of each 11 bits, 4 KiB. 0
    /// if the code is longer or does not exist.
    prefixes: Box<[u16; 1 << PREFIX_BITS]>,
    /// Largest code of each length plus one, left-aligned in 16 bits: MAXCODE + 1 in T.81.
    limits: [u32; 17],
    /// Difference between the symbol index and the code for each length: VALPTR − MINCODE in T.81.
    offsets: [u32; 17],
    /// Symbols in the order of their codes: HUFFVAL in T.81.
    symbols: [u8; 256],
}

impl HuffmanCode {
    /// Derives the codes (C.2). Returns `None` if a length has more codes than its bits allow.
    pub(super) fn new(specification: &HuffmanSpecification) -> Option<Self> {
        let mut code = Self {
            prefixes: vec![0; 1 << PREFIX_BITS].try_into().ok()?,
            limits: [0; 17],
            offsets: [0; 17],
            symbols: [0; 256],
        };
        code.symbols
            .get_mut(..specification.symbols.len())?
            .copy_from_slice(&specification.symbols);

        let mut next_code = 0_u32;
        let mut index = 0_u32;
        for (length, &count) in (1_u8..).zip(&specification.counts) {
            let bits = u32::from(length);
            code.offsets[usize::from(length)] = index.wrapping_sub(next_code);
            for _ in 0..count {
                // T.81 reserves the code of only ones. It is accepted here, because it is harmless.
                if next_code >> bits != 0 {
                    return None;
                }
                if bits <= PREFIX_BITS {
                    // Every index that starts with the code gets its entry.
                    let spare = PREFIX_BITS - bits;
                    let entry = u16::from_be_bytes([code.symbols[index as usize], length]);
                    let first = (next_code << spare) as usize;
                    code.prefixes[first..first + (1 << spare)].fill(entry);
                }
                next_code += 1;
                index += 1;
            }
            code.limits[usize::from(length)] = next_code << (16 - bits);
            next_code <<= 1;
        }
        Some(code)
    }

    /// Returns length and symbol of the code at the start of the left-aligned `bits`.
    #[inline(always)]
    pub(super) fn decode(&self, bits: u64) -> Option<(u32, u8)> {
        match self.prefix((bits >> (64 - PREFIX_BITS)) as usize) {
            None => self.decode_long(bits),
            found => found,
        }
    }

    /// Returns length and symbol of the code at the start of [`PREFIX_BITS`] bits, if it fits in
    /// them.
    #[inline(always)]
    pub(super) fn prefix(&self, bits: usize) -> Option<(u32, u8)> {
        let [symbol, length] = self.prefixes[bits].to_be_bytes();
        (length != 0).then_some((u32::from(length), symbol))
    }

    /// Searches for a code longer than [`PREFIX_BITS`]: DECODE of F.2.2.3.
    #[cold]
    #[inline(never)]
    fn decode_long(&self, bits: u64) -> Option<(u32, u8)> {
        let bits = (bits >> 48) as u32;
        // Codes of one length are consecutive, and longer codes are larger when left-aligned. So
        // the first limit above the bits gives the length.
        for length in PREFIX_BITS + 1..=16 {
            if bits < self.limits[length as usize] {
                let index = (bits >> (16 - length)).wrapping_add(self.offsets[length as usize]);
                return Some((length, *self.symbols.get(index as usize)?));
            }
        }
        None
    }
}

//! Huffman codes: ITU-T T.81 annex C and F.2.2.3.

use super::tables::HuffmanSpecification;

/// Bits of a code that [`HuffmanCode`] resolves in one look-up.
pub(super) const PREFIX_BITS: u32 = 11;

/// A Huffman code, ready to decode.
pub(super) struct HuffmanCode {
    /// For each 11 bits the symbol (high byte) and length (low byte) of the code they start with, or
    /// 0 where the code is longer or there is none.
    prefixes: Box<[u16; 1 << PREFIX_BITS]>,
    /// For each length the largest code, plus one, left-aligned in 16 bits: MAXCODE in T.81.
    limits: [u32; 17],
    /// For each length what to add to a code to get its symbol's index: VALPTR − MINCODE in T.81.
    offsets: [u32; 17],
    symbols: [u8; 256],
}

impl HuffmanCode {
    /// Derives the codes (C.2); `None` if there are more codes of a length than fit.
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
                if next_code >> bits != 0 {
                    return None;
                }
                if bits <= PREFIX_BITS {
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

    /// Length and symbol of the code that these left-aligned bits start with.
    #[inline(always)]
    pub(super) fn decode(&self, bits: u64) -> Option<(u32, u8)> {
        match self.prefix((bits >> (64 - PREFIX_BITS)) as usize) {
            None => self.decode_long(bits),
            found => found,
        }
    }

    /// Length and symbol of the code that these [`PREFIX_BITS`] bits start with, if it fits in them.
    #[inline(always)]
    pub(super) fn prefix(&self, bits: usize) -> Option<(u32, u8)> {
        let [symbol, length] = self.prefixes[bits].to_be_bytes();
        (length != 0).then_some((u32::from(length), symbol))
    }

    /// DECODE of F.2.2.3, for codes that no look-up resolves.
    #[cold]
    #[inline(never)]
    fn decode_long(&self, bits: u64) -> Option<(u32, u8)> {
        let bits = (bits >> 48) as u32;
        for length in PREFIX_BITS + 1..=16 {
            if bits < self.limits[length as usize] {
                let index = (bits >> (16 - length)).wrapping_add(self.offsets[length as usize]);
                return Some((length, *self.symbols.get(index as usize)?));
            }
        }
        None
    }
}

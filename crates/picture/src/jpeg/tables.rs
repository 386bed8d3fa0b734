//! Tables and settings that are valid until another segment replaces them.
//!
//! These are quantisation tables (ITU-T T.81 B.2.4.1), Huffman tables (B.2.4.2) and the restart
//! interval (B.2.4.4).

use super::markers::Segment;
use crate::error::Error;

/// Quantisation steps in zigzag order (T.81 figure A.6), 8 or 16 bits each.
pub(super) type QuantisationTable = [u16; 64];

/// Huffman table as transmitted.
///
/// Its codes are derived when a scan uses it. An invalid table that no scan uses is no error.
#[derive(Clone, Debug)]
pub(super) struct HuffmanSpecification {
    /// Number of codes of each length, 1 to 16 bits: BITS in T.81.
    pub(super) counts: [u8; 16],
    /// Symbols in the order of their codes, at most 256: HUFFVAL in T.81.
    pub(super) symbols: Vec<u8>,
}

/// Tables and settings for the next scan. Each array has one element per slot.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    /// Quantisation tables.
    pub(super) quantisation: [Option<QuantisationTable>; 4],
    /// Huffman tables of class 0.
    pub(super) dc: [Option<HuffmanSpecification>; 4],
    /// Huffman tables of class 1.
    pub(super) ac: [Option<HuffmanSpecification>; 4],
    /// Number of MCUs between two restart markers, or 0 if there are none.
    pub(super) restart_interval: usize,
}

impl Tables {
    /// Parses a DQT segment, which holds one or more tables.
    ///
    /// # Errors
    /// [`Error::Damaged`] if a slot is above 3 or the segment ends inside a table.
    pub(super) fn define_quantisation(&mut self, segment: &Segment<'_>) -> Result<(), Error> {
        let damaged = || segment.damaged("invalid quantisation table");
        let mut rest = segment.payload;
        while let [head, tail @ ..] = rest {
            let slot = self
                .quantisation
                .get_mut(usize::from(head & 15))
                .ok_or_else(damaged)?;
            // The high half is Pq: 0 for steps of 8 bits, 1 for 16 bits (table B.4). Other values
            // are read as 1, as in libjpeg.
            let bytes = if head >> 4 == 0 { 64 } else { 128 };
            let (values, tail) = tail.split_at_checked(bytes).ok_or_else(damaged)?;
            let mut table = [0; 64];
            for (index, step) in table.iter_mut().enumerate() {
                *step = if bytes == 64 {
                    u16::from(values[index])
                } else {
                    u16::from_be_bytes([values[2 * index], values[2 * index + 1]])
                };
            }
            *slot = Some(table);
            rest = tail;
        }
        Ok(())
    }

    /// Parses a DHT segment, which holds one or more tables.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the class is above 1, the slot above 3, a table has more than 256
    /// codes, or the segment ends inside a table.
    pub(super) fn define_huffman(&mut self, segment: &Segment<'_>) -> Result<(), Error> {
        let damaged = || segment.damaged("invalid Huffman table");
        let mut rest = segment.payload;
        while let [head, tail @ ..] = rest {
            let class = match head >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return Err(damaged()),
            };
            let slot = class.get_mut(usize::from(head & 15)).ok_or_else(damaged)?;
            let (counts, tail) = tail.split_first_chunk::<16>().ok_or_else(damaged)?;
            let total: usize = counts.iter().copied().map(usize::from).sum();
            if total > 256 {
                return Err(damaged());
            }
            let (symbols, tail) = tail.split_at_checked(total).ok_or_else(damaged)?;
            *slot = Some(HuffmanSpecification {
                counts: *counts,
                symbols: symbols.to_vec(),
            });
            rest = tail;
        }
        Ok(())
    }

    /// Parses a DRI segment.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it does not hold two bytes.
    pub(super) fn define_restart_interval(&mut self, segment: &Segment<'_>) -> Result<(), Error> {
        let [high, low] = *segment.payload else {
            return Err(segment.damaged("invalid restart interval"));
        };
        self.restart_interval = usize::from(u16::from_be_bytes([high, low]));
        Ok(())
    }

    /// Defines the Huffman tables 0 (luminance) and 1 (chrominance) if the file has not defined
    /// them.
    ///
    /// The tables are those of T.81 K.3. Frames of Motion JPEG films omit them.
    pub(super) fn define_default_huffman(&mut self) {
        let [dc_luminance, dc_chrominance, ..] = &mut self.dc;
        dc_luminance.get_or_insert_with(|| default_table(DC_LUMINANCE, &DC_SYMBOLS));
        dc_chrominance.get_or_insert_with(|| default_table(DC_CHROMINANCE, &DC_SYMBOLS));
        let [ac_luminance, ac_chrominance, ..] = &mut self.ac;
        ac_luminance.get_or_insert_with(|| default_table(AC_LUMINANCE, &AC_LUMINANCE_SYMBOLS));
        ac_chrominance
            .get_or_insert_with(|| default_table(AC_CHROMINANCE, &AC_CHROMINANCE_SYMBOLS));
    }
}

fn default_table(counts: [u8; 16], symbols: &[u8]) -> HuffmanSpecification {
    HuffmanSpecification {
        counts,
        symbols: symbols.to_vec(),
    }
}

/// Code counts and symbols of T.81 tables K.3 and K.4.
const DC_LUMINANCE: [u8; 16] = [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0];
const DC_CHROMINANCE: [u8; 16] = [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0];
const DC_SYMBOLS: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

/// Code counts and symbols of T.81 table K.5.
const AC_LUMINANCE: [u8; 16] = [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125];
#[rustfmt::skip]
const AC_LUMINANCE_SYMBOLS: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07,
    0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xA1, 0x08, 0x23, 0x42, 0xB1, 0xC1, 0x15, 0x52, 0xD1, 0xF0,
    0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0A, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x25, 0x26, 0x27, 0x28,
    0x29, 0x2A, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49,
    0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69,
    0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
    0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7,
    0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3, 0xC4, 0xC5,
    0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE1, 0xE2,
    0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8,
    0xF9, 0xFA,
];

/// Code counts and symbols of T.81 table K.6.
const AC_CHROMINANCE: [u8; 16] = [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119];
#[rustfmt::skip]
const AC_CHROMINANCE_SYMBOLS: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71,
    0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xA1, 0xB1, 0xC1, 0x09, 0x23, 0x33, 0x52, 0xF0,
    0x15, 0x62, 0x72, 0xD1, 0x0A, 0x16, 0x24, 0x34, 0xE1, 0x25, 0xF1, 0x17, 0x18, 0x19, 0x1A, 0x26,
    0x27, 0x28, 0x29, 0x2A, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
    0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68,
    0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87,
    0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3, 0xA4, 0xA5,
    0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3,
    0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA,
    0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8,
    0xF9, 0xFA,
];

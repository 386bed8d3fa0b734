//! Reader of the orientation in EXIF. No other tag is read.

use crate::bytes::Bytes;
use crate::orientation::Orientation;

/// Tag "Orientation" (TIFF 6.0, section 8; EXIF 2.32, table 4).
const ORIENTATION: u16 = 0x0112;
/// Type SHORT (TIFF 6.0, section 2).
const SHORT: u16 = 3;

/// Reads numbers in the byte order that the TIFF header names.
#[derive(Clone, Copy)]
pub(crate) struct Tiff<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl<'a> Tiff<'a> {
    /// Reads the header of eight bytes (TIFF 6.0, section 2). Returns `None` if it is invalid.
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        match bytes.array(0)? {
            [b'I', b'I', 42, 0] => Some(Self {
                bytes,
                big_endian: false,
            }),
            [b'M', b'M', 0, 42] => Some(Self {
                bytes,
                big_endian: true,
            }),
            _ => None,
        }
    }

    fn short(self, offset: usize) -> Option<u16> {
        if self.big_endian {
            self.bytes.be16(offset)
        } else {
            self.bytes.le16(offset)
        }
    }

    fn long(self, offset: usize) -> Option<u32> {
        if self.big_endian {
            self.bytes.be32(offset)
        } else {
            self.bytes.le32(offset)
        }
    }

    /// Returns the value of a tag of the first directory, if it is a single SHORT or LONG.
    pub(crate) fn value(self, tag: u16) -> Option<u32> {
        let directory = usize::try_from(self.long(4)?).ok()?;
        let entries = usize::from(self.short(directory)?);
        (0..entries)
            .map_while(|entry| directory.checked_add(2 + 12 * entry))
            .find(|&entry| self.short(entry) == Some(tag))
            .and_then(|entry| match self.short(entry + 2)? {
                SHORT => self.short(entry + 8).map(u32::from),
                _ => self.long(entry + 8),
            })
    }
}

/// Returns the orientation in an EXIF block, with or without its `Exif\0\0` prefix.
///
/// An unreadable block means "as stored": cameras write invalid EXIF, and no browser refuses such a
/// picture.
pub(crate) fn orientation(block: &[u8]) -> Orientation {
    let block = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    Tiff::new(block)
        .and_then(|tiff| tiff.value(ORIENTATION))
        .and_then(Orientation::from_exif)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(order: &[u8; 2], value: u8) -> Vec<u8> {
        let big = order == b"MM";
        let short = |v: u16| {
            if big {
                v.to_be_bytes()
            } else {
                v.to_le_bytes()
            }
        };
        let long = |v: u32| {
            if big {
                v.to_be_bytes()
            } else {
                v.to_le_bytes()
            }
        };
        let mut bytes = order.to_vec();
        bytes.extend(short(42));
        bytes.extend(long(8));
        bytes.extend(short(1));
        bytes.extend(short(ORIENTATION));
        bytes.extend(short(SHORT));
        bytes.extend(long(1));
        bytes.extend(short(u16::from(value)));
        bytes.extend([0; 6]);
        bytes
    }

    #[test]
    fn reads_both_byte_orders() {
        for order in [b"II", b"MM"] {
            for value in 1..=8 {
                let expected = Orientation::from_exif(u32::from(value)).unwrap();
                assert_eq!(orientation(&block(order, value)), expected);
            }
        }
    }

    #[test]
    fn ignores_what_makes_no_sense() {
        assert_eq!(orientation(&block(b"II", 9)), Orientation::default());
        assert_eq!(
            orientation(b"Exif\0\0MM\0*\xff\xff\xff\xff"),
            Orientation::default()
        );
        let whole = block(b"MM", 6);
        for length in 0..whole.len() - 8 {
            assert_eq!(orientation(&whole[..length]), Orientation::default());
        }
    }
}

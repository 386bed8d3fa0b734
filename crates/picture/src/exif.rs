//! Parser for the orientation in EXIF. No other tag is read.

use crate::bytes::Bytes;
use crate::orientation::Orientation;

/// Tag Orientation (TIFF 6.0, section 8; EXIF 2.32, section 4.6.4).
const ORIENTATION: u16 = 0x0112;
/// Field type SHORT, an unsigned number of 16 bits (TIFF 6.0, section 2).
const SHORT: u16 = 3;

/// A TIFF structure, with reads in the byte order that its header states.
#[derive(Clone, Copy)]
pub(crate) struct Tiff<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl<'a> Tiff<'a> {
    /// Checks the byte order and the version (TIFF 6.0, section 2). Returns `None` if they are
    /// invalid.
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

    /// Reads a number of 16 bits.
    fn short(self, offset: usize) -> Option<u16> {
        if self.big_endian {
            self.bytes.be16(offset)
        } else {
            self.bytes.le16(offset)
        }
    }

    /// Reads a number of 32 bits.
    fn long(self, offset: usize) -> Option<u32> {
        if self.big_endian {
            self.bytes.be32(offset)
        } else {
            self.bytes.le32(offset)
        }
    }

    /// Returns the value of a tag in the first directory: a SHORT, or four bytes for any other
    /// type. Returns `None` if the tag is missing or the bytes end too early.
    pub(crate) fn value(self, tag: u16) -> Option<u32> {
        // Byte 4 of the header is the offset of the first directory. A directory is a count of 2
        // bytes, then entries of 12: tag (2), type (2), count (4), value (4).
        let directory = usize::try_from(self.long(4)?).ok()?;
        let entries = usize::from(self.short(directory)?);
        (0..entries)
            .map_while(|entry| directory.checked_add(2 + 12 * entry))
            .find(|&entry| self.short(entry) == Some(tag))
            .and_then(|entry| match self.short(entry + 2)? {
                // A short value is at the start of its field of 4 bytes, in both byte orders.
                SHORT => self.short(entry + 8).map(u32::from),
                _ => self.long(entry + 8),
            })
    }
}

/// Returns the orientation of an EXIF block: a TIFF structure, with or without `Exif\0\0` before
/// it.
///
/// An invalid block, or one without the tag, means upright. Cameras write invalid EXIF, and no
/// browser refuses such a picture.
pub(crate) fn orientation(block: &[u8]) -> Orientation {
    // Only JPEG has this prefix (EXIF 2.32, section 4.7.2), and its parser removes it. But some
    // encoders copy it into a PNG or a WebP.
    let block = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    Tiff::new(block)
        .and_then(|tiff| tiff.value(ORIENTATION))
        .and_then(Orientation::from_exif)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a TIFF structure with the tag Orientation as its only entry.
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
    fn both_byte_orders_are_read() {
        for order in [b"II", b"MM"] {
            for value in 1..=8 {
                let expected = Orientation::from_exif(u32::from(value)).unwrap();
                assert_eq!(orientation(&block(order, value)), expected);
            }
        }
    }

    #[test]
    fn invalid_blocks_mean_upright() {
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

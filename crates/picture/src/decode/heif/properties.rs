//! Properties of items (ISO/IEC 23008-12, section 6.5).

use super::boxes::{BmffBox, NumberReader, full_box};
use super::frame::Cicp;
use crate::bytes::Bytes;
use crate::geometry::Rectangle;
use crate::orientation::Orientation;

/// Auxiliary types that mean alpha (section 6.9.2.2, and the one before it).
const ALPHA_TYPES: [&[u8]; 2] = [
    b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha",
    b"urn:mpeg:hevc:2015:auxid:1",
];

/// What the properties of one item say.
#[derive(Clone, Copy, Default)]
pub(super) struct Properties<'a> {
    pub(super) size: Option<(u32, u32)>,
    pub(super) profile: Option<&'a [u8]>,
    pub(super) cicp: Option<Cicp>,
    pub(super) is_alpha: bool,
    /// Bytes that two pixels of the decoded frame take, as its configuration says.
    pixel_pair_bytes: Option<u64>,
    /// The configuration of an HEVC item.
    #[cfg(feature = "heic")]
    pub(super) hevc: Option<&'a [u8]>,
    aperture: Option<[u32; 8]>,
    /// Quarter turns anticlockwise.
    rotation: u8,
    /// 0 exchanges top and bottom, 1 left and right.
    mirror: Option<u8>,
}

impl<'a> Properties<'a> {
    /// Adds what a property says.
    pub(super) fn add(&mut self, property: BmffBox<'a>) -> Option<()> {
        let content = property.content;
        match &property.kind {
            b"ispe" => {
                let (_, _, size) = full_box(content)?;
                self.size = Some((size.be32(0)?, size.be32(4)?));
            }
            b"colr" => match content.array(0)? {
                [b'n', b'c', b'l', b'x'] => {
                    let code = |offset| {
                        content
                            .be16(offset)
                            .and_then(|code| u8::try_from(code).ok())
                    };
                    self.cicp = Some(Cicp {
                        primaries: code(4)?,
                        transfer: code(6)?,
                        matrix: code(8)?,
                        full_range: content.byte(10)? & 0x80 != 0,
                    });
                }
                [b'p', b'r', b'o', b'f'] | [b'r', b'I', b'C', b'C'] => {
                    self.profile = content.get(4..);
                }
                _ => {}
            },
            b"av1C" => self.pixel_pair_bytes = Some(av1_pair_bytes(content.byte(2)?)),
            b"hvcC" => {
                self.pixel_pair_bytes = Some(hevc_pair_bytes(content.byte(16)?, content.byte(17)?));
                #[cfg(feature = "heic")]
                {
                    self.hevc = Some(content);
                }
            }
            b"auxC" => {
                let (_, _, name) = full_box(content)?;
                self.is_alpha = ALPHA_TYPES.iter().any(|alpha| {
                    let rest = name.strip_prefix(*alpha);
                    rest.is_some_and(|rest| matches!(rest, [] | [0, ..]))
                });
            }
            b"clap" => {
                let mut numbers = NumberReader(content);
                let mut aperture = [0; 8];
                for number in &mut aperture {
                    *number = numbers.read_u32(4)?;
                }
                self.aperture = Some(aperture);
            }
            b"irot" => self.rotation = content.byte(0)? & 3,
            b"imir" => self.mirror = Some(content.byte(0)? & 1),
            _ => {}
        }
        Some(())
    }

    /// Bytes that two pixels of a decoded frame take; at worst full chroma of 12 bits.
    pub(super) fn pixel_pair_bytes(&self) -> u64 {
        self.pixel_pair_bytes.unwrap_or(12)
    }

    /// The part of a `width` × `height` picture to show (section 6.5.9): all of it, unless a
    /// clean aperture of whole pixels lies inside.
    pub(super) fn visible(&self, width: u32, height: u32) -> Rectangle {
        let whole = Rectangle {
            x: 0,
            y: 0,
            width,
            height,
        };
        let clean = self.aperture.and_then(
            |[width_n, width_d, height_n, height_d, x_n, x_d, y_n, y_d]| {
                let (x, across) = clean_span(width, [width_n, width_d, x_n, x_d])?;
                let (y, down) = clean_span(height, [height_n, height_d, y_n, y_d])?;
                Some(Rectangle {
                    x,
                    y,
                    width: across,
                    height: down,
                })
            },
        );
        clean.unwrap_or(whole)
    }

    /// Rotation, then mirroring (sections 6.5.10 and 6.5.12), as one of EXIF's eight.
    pub(super) fn orientation(&self) -> Orientation {
        let [plain, top_with_bottom, left_with_right] = match self.rotation {
            0 => [1, 4, 2],
            1 => [8, 5, 7],
            2 => [3, 2, 4],
            _ => [6, 7, 5],
        };
        let value = match self.mirror {
            None => plain,
            Some(0) => top_with_bottom,
            Some(_) => left_with_right,
        };
        Orientation::from_exif(value).unwrap_or_default()
    }
}

/// Bytes of two pixels by the third byte of an AV1 configuration (AV1-ISOBMFF, section 2.3.3):
/// high bit depth, twelve bits, monochrome, chroma halved across and down.
fn av1_pair_bytes(flags: u8) -> u64 {
    let sample = if flags & 0x40 == 0 { 1 } else { 2 };
    let samples = match flags >> 2 & 7 {
        0b100..=0b111 => 2,
        0b011 => 3,
        0b010 => 4,
        _ => 6,
    };
    samples * sample
}

/// Bytes of two pixels by the chroma format and the bits beyond 8 of an HEVC configuration
/// (ISO/IEC 14496-15, section 8.3.3.1).
fn hevc_pair_bytes(chroma: u8, depth: u8) -> u64 {
    let samples = match chroma & 3 {
        0 => 2,
        1 => 3,
        2 => 4,
        _ => 6,
    };
    samples * if depth & 7 == 0 { 1 } else { 2 }
}

/// Start and length of a clean aperture along one axis: its length and the offset of its centre
/// from the picture's are fractions.
fn clean_span(length: u32, [n, d, offset_n, offset_d]: [u32; 4]) -> Option<(u32, u32)> {
    let span = n
        .checked_div(d)
        .filter(|span| *span > 0 && span.checked_mul(d) == Some(n))?;
    let margin = i64::from(length) - i64::from(span);
    let twice_d = 2 * i64::from(offset_d.cast_signed());
    let start = margin.checked_mul(twice_d / 2)? + 2 * i64::from(offset_n.cast_signed());
    if twice_d <= 0 || start % twice_d != 0 {
        return None;
    }
    let start = start / twice_d;
    (0..=margin)
        .contains(&start)
        .then_some((u32::try_from(start).ok()?, span))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apertures_are_about_the_centre() {
        assert_eq!(clean_span(100, [60, 1, 0, 1]), Some((20, 60)));
        assert_eq!(clean_span(100, [120, 2, 10, 2]), Some((25, 60)));
        assert_eq!(
            clean_span(100, [60, 1, (-20_i32).cast_unsigned(), 1]),
            Some((0, 60))
        );
        assert_eq!(clean_span(100, [60, 1, 21, 1]), None);
        assert_eq!(clean_span(100, [61, 1, 0, 1]), None);
        assert_eq!(clean_span(100, [60, 0, 0, 0]), None);
        assert_eq!(clean_span(100, [0, 1, 0, 1]), None);
    }
}

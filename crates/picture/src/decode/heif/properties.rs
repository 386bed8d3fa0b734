//! Item properties (ISO/IEC 23008-12, section 6.5).

use super::boxes::{BmffBox, NumberReader, full_box};
use super::frame::Cicp;
use crate::bytes::Bytes;
use crate::geometry::Rectangle;
use crate::orientation::Orientation;

/// Values of `auxC` that mean alpha: the URN for all codecs (AVIF 1.1, section 4), and the older
/// one for HEVC.
const ALPHA_TYPES: [&[u8]; 2] = [
    b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha",
    b"urn:mpeg:hevc:2015:auxid:1",
];

/// Parsed properties of one item.
#[derive(Clone, Copy, Default)]
pub(super) struct Properties<'a> {
    /// `ispe`: width and height in pixels, before cropping and rotation.
    pub(super) size: Option<(u32, u32)>,
    /// `colr` of type `prof` or `rICC`: an ICC profile.
    pub(super) profile: Option<&'a [u8]>,
    /// `colr` of type `nclx`.
    pub(super) cicp: Option<Cicp>,
    /// Whether `auxC` says that the item is alpha.
    pub(super) is_alpha: bool,
    /// Bytes of two pixels of the decoded frame, according to `av1C` or `hvcC`.
    pixel_pair_bytes: Option<u64>,
    /// Content of `hvcC`.
    #[cfg(feature = "heic")]
    pub(super) hevc: Option<&'a [u8]>,
    /// `clap`: numerators and denominators of width, height, and horizontal and vertical offset.
    aperture: Option<[u32; 8]>,
    /// `irot`: quarter turns anticlockwise.
    rotation: u8,
    /// `imir`: 0 exchanges top and bottom, 1 exchanges left and right.
    mirror: Option<u8>,
}

impl<'a> Properties<'a> {
    /// Adds a property. Returns `None` if its box is too short. Unknown properties are ignored.
    pub(super) fn add(&mut self, property: BmffBox<'a>) -> Option<()> {
        let content = property.content;
        match &property.kind {
            b"ispe" => {
                let (_, _, size) = full_box(content)?;
                self.size = Some((size.be32(0)?, size.be32(4)?));
            }
            b"colr" => match content.array(0)? {
                [b'n', b'c', b'l', b'x'] => {
                    // Code points are stored in 16 bits, but ITU-T H.273 defines only 8.
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
                // A null byte ends the URN, and codec-specific data may follow. A missing null byte
                // is accepted.
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

    /// Returns the bytes of two pixels of a decoded frame.
    ///
    /// Without a configuration it is 12, the largest value: three samples of 2 bytes per pixel.
    pub(super) fn pixel_pair_bytes(&self) -> u64 {
        self.pixel_pair_bytes.unwrap_or(12)
    }

    /// Returns the visible part of a picture of `width` × `height` pixels (`clap`, section 6.5.9).
    ///
    /// A clean aperture that does not start at whole pixels, or extends beyond the picture, is
    /// ignored.
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

    /// Combines rotation and mirroring (`irot` and `imir`, sections 6.5.10 and 6.5.12) into an
    /// orientation.
    pub(super) fn orientation(&self) -> Orientation {
        // EXIF values for each rotation without mirroring, with `imir` 0, and with `imir` 1.
        // Rotation is applied before mirroring.
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

/// Returns the bytes of two pixels for the third byte of `av1C` (AV1-ISOBMFF, section 2.3.3).
///
/// From bit 6 down its flags are: high bit depth, twelve bits, monochrome, chroma subsampled
/// horizontally, chroma subsampled vertically.
fn av1_pair_bytes(flags: u8) -> u64 {
    let sample = if flags & 0x40 == 0 { 1 } else { 2 };
    // Samples per two pixels: monochrome 2, 4:2:0 3, 4:2:2 4, 4:4:4 6.
    let samples = match flags >> 2 & 7 {
        0b100..=0b111 => 2,
        0b011 => 3,
        0b010 => 4,
        _ => 6,
    };
    samples * sample
}

/// Returns the bytes of two pixels for the chroma format and the luma bit depth minus 8 of `hvcC`
/// (`HEVCDecoderConfigurationRecord`, ISO/IEC 14496-15, section 8.3).
fn hevc_pair_bytes(chroma: u8, depth: u8) -> u64 {
    let samples = match chroma & 3 {
        0 => 2,
        1 => 3,
        2 => 4,
        _ => 6,
    };
    samples * if depth & 7 == 0 { 1 } else { 2 }
}

/// Returns start and length of a clean aperture along one axis, in pixels.
///
/// `length` is that of the picture. The fractions are the length `n / d` of the aperture, and the
/// distance `offset_n / offset_d` of its centre from the centre of the picture. Returns `None` if
/// the result is not in whole pixels or not inside the picture.
fn clean_span(length: u32, [n, d, offset_n, offset_d]: [u32; 4]) -> Option<(u32, u32)> {
    let span = n
        .checked_div(d)
        .filter(|span| *span > 0 && span.checked_mul(d) == Some(n))?;
    let margin = i64::from(length) - i64::from(span);
    // start = margin / 2 + offset_n / offset_d, with 2 × offset_d as the common denominator.
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

//! BMP and TIFF, as the `image` crate reads them: full frames, for they are rare, reduced row by row.

use std::borrow::Cow;
use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;
use image::codecs::tiff::TiffDecoder;
use image::error::ImageError;
use image::{ColorType, ImageDecoder};

use super::request::{DecodeRequest, Decoded, FormatDecoder};
use crate::bytes::Bytes;
use crate::colour::ColourSpace;
use crate::error::{Complexity, Error};
use crate::exif;
use crate::format::Format;
use crate::header::Header;
use crate::orientation::Orientation;
use crate::pixels::Pixels;
use crate::raster::{Channels, CropBox, Raster};
use crate::reduce::Reducer;

/// The size, from the second header (`BITMAPCOREHEADER` or `BITMAPINFOHEADER` and on).
pub(super) fn bmp_header(bytes: &[u8]) -> Result<Header, Error> {
    let (width, height) = match bytes.le32(14) {
        Some(12) => (bytes.le16(18).map(u32::from), bytes.le16(20).map(u32::from)),
        // A negative height says that the rows run from the top.
        _ => (
            bytes.le32(18),
            bytes
                .le32(22)
                .map(|height| height.cast_signed().unsigned_abs()),
        ),
    };
    let (Some(width), Some(height)) = (width, height) else {
        return Err(Error::TRUNCATED);
    };
    Ok(Header::new(
        Format::Bmp,
        width,
        height,
        frame_bytes(width, height, 4, 1),
    ))
}

/// The frame, so many times, a row as samples, and the sums that rows are reduced in (8 bytes for each of 4 samples).
fn frame_bytes(width: u32, height: u32, pixel: u64, times: u64) -> u64 {
    const ROW_BYTES: u64 = 8 + 32;
    let row = u64::from(width) * ROW_BYTES;
    (u64::from(width) * u64::from(height))
        .saturating_mul(pixel)
        .saturating_mul(times)
        .saturating_add(row)
}

/// The most values of one tag: eight million rows in strips of 32.
const MAX_VALUES: u64 = 1 << 18;
/// The tags that tell of the picture's data (TIFF 6.0, part 1 and section 22). The codec makes room for as many values as
/// each says that it has.
const DATA_TAGS: std::ops::RangeInclusive<u16> = 254..=347;

/// Refuses a first directory with a tag that has more values than the file has room for, or than any picture needs.
/// What is no directory is left to the codec.
fn check_directory(bytes: &[u8]) -> Result<(), Error> {
    let little = bytes.starts_with(b"II");
    let number = |offset: usize, length: usize| {
        let bytes = bytes.get(offset..offset.checked_add(length)?)?;
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if little {
            bytes.iter().rev().fold(0, add)
        } else {
            bytes.iter().fold(0, add)
        })
    };
    // Offsets of four bytes, or of eight in BigTIFF; the number of entries has two or eight.
    let (word, start, counter) = match number(2, 2) {
        Some(42) => (4, number(4, 4), 2),
        Some(43) => (8, number(8, 8), 8),
        _ => return Ok(()),
    };
    let Some(start) = start.and_then(|start| usize::try_from(start).ok()) else {
        return Ok(());
    };
    let entries = number(start, counter).unwrap_or(0);
    let mut offset = start.saturating_add(counter);
    for _ in 0..entries {
        let (Some(tag), Some(kind), Some(count)) = (
            number(offset, 2),
            number(offset.saturating_add(2), 2),
            number(offset.saturating_add(4), word),
        ) else {
            return Ok(());
        };
        offset = offset.saturating_add(4 + 2 * word);
        if !u16::try_from(tag).is_ok_and(|tag| DATA_TAGS.contains(&tag)) {
            continue;
        }
        let size = match kind {
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16..=18 => 8,
            _ => 1,
        };
        if count.saturating_mul(size) > bytes.len() as u64 {
            return Err(Error::damaged("a tag that is longer than the file"));
        }
        Error::check_limit(Complexity::TagValues, count, MAX_VALUES)?;
    }
    Ok(())
}

/// The size, from the first directory.
pub(super) fn tiff_header(bytes: &[u8]) -> Result<Header, Error> {
    check_directory(bytes)?;
    let decoder = TiffDecoder::new(Cursor::new(bytes)).map_err(|error| to_error(&error))?;
    let (width, height) = decoder.dimensions();
    Ok(Header::new(
        Format::Tiff,
        width,
        height,
        // The codec makes a frame of its own, which is copied.
        frame_bytes(
            width,
            height,
            decoder.color_type().bytes_per_pixel().into(),
            2,
        ),
    ))
}

pub(super) struct FullFrame<'a> {
    bytes: &'a [u8],
    format: Format,
    width: u32,
    height: u32,
}

impl<'a> FullFrame<'a> {
    pub(super) fn open(bytes: &'a [u8], header: &Header) -> Self {
        Self {
            bytes,
            format: header.format,
            width: header.width,
            height: header.height,
        }
    }

    fn read(
        &self,
        mut decoder: impl ImageDecoder,
        request: DecodeRequest<'_>,
    ) -> Result<Decoded<'a>, Error> {
        if decoder.dimensions() != (self.width, self.height) {
            return Err(Error::damaged("two sizes"));
        }
        let space = decoder.icc_profile().ok().flatten();
        if let Some(profile) = &space {
            Error::check_limit(
                Complexity::ProfileBytes,
                profile.len() as u64,
                request.policy.max_profile_bytes,
            )?;
        }
        let space = space.map_or(ColourSpace::Srgb, |profile| {
            ColourSpace::Icc(Cow::Owned(profile))
        });
        let colour = decoder.color_type();
        let length =
            usize::try_from(decoder.total_bytes()).map_err(|_| Error::damaged("the size"))?;
        let mut pixels = vec![0; length];
        decoder
            .read_image(&mut pixels)
            .map_err(|error| to_error(&error))?;
        let (raster, crop_box) = reduce_frame(&pixels, self.width, colour, request)?;
        Ok(Decoded {
            pixels: Pixels::Interleaved(raster, crop_box),
            space,
        })
    }
}

impl<'a> FormatDecoder<'a> for FullFrame<'a> {
    fn orientation(&self) -> Orientation {
        match self.format {
            Format::Tiff => exif::orientation(self.bytes),
            _ => Orientation::default(),
        }
    }

    fn decode(self: Box<Self>, request: DecodeRequest<'_>) -> Result<Decoded<'a>, Error> {
        let bytes = Cursor::new(self.bytes);
        match self.format {
            Format::Tiff => self.read(
                TiffDecoder::new(bytes).map_err(|error| to_error(&error))?,
                request,
            ),
            _ => self.read(
                BmpDecoder::new(bytes).map_err(|error| to_error(&error))?,
                request,
            ),
        }
    }
}

/// Keeps of a frame what the outputs need.
fn reduce_frame(
    pixels: &[u8],
    width: u32,
    colour: ColorType,
    request: DecodeRequest<'_>,
) -> Result<(Raster, CropBox), Error> {
    let channels = match colour {
        ColorType::L8 | ColorType::L16 => Channels::Grey,
        ColorType::La8 | ColorType::La16 => Channels::GreyAlpha,
        ColorType::Rgb8 | ColorType::Rgb16 | ColorType::Rgb32F => Channels::Rgb,
        ColorType::Rgba8 | ColorType::Rgba16 | ColorType::Rgba32F => Channels::Rgba,
        _ => {
            return Err(Error::UnsupportedFormat {
                what: "the kind of pixels",
            });
        }
    };
    let rows = pixels.chunks_exact(width as usize * usize::from(colour.bytes_per_pixel()));
    let sample = usize::from(colour.bytes_per_pixel() / colour.channel_count());
    if sample == 1 {
        let mut reducer = Reducer::<u8>::new(request.square, request.side, channels);
        rows.for_each(|row| reducer.push(row));
        return Ok(reducer.finish());
    }
    let sixteen = |row: &[u8], to: &mut Vec<u16>| {
        to.clear();
        match sample {
            2 => to.extend(
                row.as_chunks()
                    .0
                    .iter()
                    .map(|&pair| u16::from_ne_bytes(pair)),
            ),
            _ => to.extend(
                row.as_chunks()
                    .0
                    .iter()
                    .map(|&quad| to_u16(f32::from_ne_bytes(quad))),
            ),
        }
    };
    let mut reducer = Reducer::<u16>::new(request.square, request.side, channels);
    let mut samples = Vec::new();
    for row in rows {
        sixteen(row, &mut samples);
        reducer.push(&samples);
    }
    Ok(reducer.finish())
}

/// A share of one as 16 bits.
fn to_u16(share: f32) -> u16 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped; NaN becomes 0"
    )]
    let sample = (share.clamp(0.0, 1.0) * 65_535.0 + 0.5) as u16;
    sample
}

fn to_error(error: &ImageError) -> Error {
    match error {
        ImageError::IoError(_) => Error::TRUNCATED,
        ImageError::Unsupported(_) => Error::UnsupportedFormat {
            what: "this kind of BMP or TIFF",
        },
        ImageError::Limits(_) => Error::damaged("sizes beyond all limits"),
        _ => Error::damaged("the picture data"),
    }
}

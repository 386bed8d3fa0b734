//! BMP and TIFF, decoded by the `image` crate.
//!
//! The crate decodes a full frame, which is then reduced row by row. Both formats are rare in
//! uploads, so a decoder that needs less memory is not worth its code.

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

/// Reads the size from the DIB header: a `BITMAPCOREHEADER`, or a `BITMAPINFOHEADER` or later
/// version.
///
/// # Errors
/// [`Error::Truncated`] if the file ends before the size.
pub(super) fn bmp_header(bytes: &[u8]) -> Result<Header, Error> {
    // The DIB header follows the file header of 14 bytes and starts with its own length. Only
    // BITMAPCOREHEADER, of 12 bytes, has a width and height of 16 bits.
    let (width, height) = match bytes.le32(14) {
        Some(12) => (bytes.le16(18).map(u32::from), bytes.le16(20).map(u32::from)),
        // A negative height means that the rows are stored from top to bottom.
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

/// Returns the bytes held while a frame is decoded and reduced.
///
/// The total is `times` copies of a frame with `pixel` bytes per pixel, plus one row. The row takes
/// 8 bytes per pixel as samples and 32 as sums of the reducer (8 for each of 4 samples).
fn frame_bytes(width: u32, height: u32, pixel: u64, times: u64) -> u64 {
    const ROW_BYTES: u64 = 8 + 32;
    let row = u64::from(width) * ROW_BYTES;
    (u64::from(width) * u64::from(height))
        .saturating_mul(pixel)
        .saturating_mul(times)
        .saturating_add(row)
}

/// Largest number of values of one tag. Enough offsets for 8 million rows in strips of 32 rows.
const MAX_VALUES: u64 = 1 << 18;
/// Tags that describe the image data: from `NewSubfileType` to `JPEGTables` (TIFF 6.0, part 1 and
/// section 22). The codec allocates memory for the stated number of values of each.
const DATA_TAGS: std::ops::RangeInclusive<u16> = 254..=347;

/// Checks the number of values of each tag in the first image file directory (TIFF 6.0, section 2).
///
/// Returns `Ok` if there is no valid directory: the codec then reports the error.
///
/// # Errors
/// [`Error::Damaged`] if a tag has more values than fit in the file. [`Error::TooComplex`] if it
/// has more than [`MAX_VALUES`].
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
    // Version 42 is TIFF: offsets of 4 bytes, and a number of entries of 2 bytes. Version 43 is
    // BigTIFF: 8 bytes for both, and the first offset comes after 4 bytes of constants.
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
    // `entries` can be any number, but the loop ends with the file: reads beyond it return `None`.
    for _ in 0..entries {
        let (Some(tag), Some(kind), Some(count)) = (
            number(offset, 2),
            number(offset.saturating_add(2), 2),
            number(offset.saturating_add(4), word),
        ) else {
            return Ok(());
        };
        // An entry has a tag (2 bytes), a type (2), a number of values, and a value or an offset.
        offset = offset.saturating_add(4 + 2 * word);
        if !u16::try_from(tag).is_ok_and(|tag| DATA_TAGS.contains(&tag)) {
            continue;
        }
        // Bytes per value of each type (TIFF 6.0, section 2; 13 and 16 to 18 are later additions).
        let size = match kind {
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16..=18 => 8,
            _ => 1,
        };
        if count.saturating_mul(size) > bytes.len() as u64 {
            return Err(Error::damaged("a tag has more values than fit in the file"));
        }
        Error::check_limit(Complexity::TagValues, count, MAX_VALUES)?;
    }
    Ok(())
}

/// Reads the size from the first image file directory.
///
/// # Errors
/// Those of [`check_directory`], and the errors of the codec for a cut, invalid or unsupported
/// file.
pub(super) fn tiff_header(bytes: &[u8]) -> Result<Header, Error> {
    check_directory(bytes)?;
    let decoder = TiffDecoder::new(Cursor::new(bytes)).map_err(|error| to_error(&error))?;
    let (width, height) = decoder.dimensions();
    Ok(Header::new(
        Format::Tiff,
        width,
        height,
        // The codec decodes into its own frame and copies it to the caller's buffer: two frames.
        frame_bytes(
            width,
            height,
            decoder.color_type().bytes_per_pixel().into(),
            2,
        ),
    ))
}

/// A BMP or TIFF that is decoded to a full frame.
pub(super) struct FullFrame<'a> {
    bytes: &'a [u8],
    format: Format,
    width: u32,
    height: u32,
}

impl<'a> FullFrame<'a> {
    /// Stores the input and its header. Nothing is parsed.
    pub(super) fn open(bytes: &'a [u8], header: &Header) -> Self {
        Self {
            bytes,
            format: header.format,
            width: header.width,
            height: header.height,
        }
    }

    /// Decodes the frame and reduces it.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the codec reports another size than the header or the data is invalid.
    /// [`Error::TooComplex`] if the ICC profile exceeds `max_profile_bytes`. [`Error::Truncated`]
    /// if the data ends early. [`Error::UnsupportedFormat`] for an unsupported variant.
    fn read(
        &self,
        mut decoder: impl ImageDecoder,
        request: DecodeRequest<'_>,
    ) -> Result<Decoded<'a>, Error> {
        // The pixel limit was checked with the size in the header, so the codec must agree with it.
        if decoder.dimensions() != (self.width, self.height) {
            return Err(Error::damaged(
                "the codec reads another size than the header states",
            ));
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
        let length = usize::try_from(decoder.total_bytes())
            .map_err(|_| Error::damaged("the frame does not fit in memory"))?;
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
            // EXIF uses the structure of TIFF, so the parser reads the file's own directory.
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

/// Reduces a frame of `width` pixels per row to the requested square.
///
/// # Errors
/// [`Error::UnsupportedFormat`] if `colour` is not one of the listed types.
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
                what: "the pixel format of this BMP or TIFF",
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
    // The `image` crate writes samples of 16 and 32 bits in native byte order.
    let to_sixteen_bits = |row: &[u8], to: &mut Vec<u16>| {
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
        to_sixteen_bits(row, &mut samples);
        reducer.push(&samples);
    }
    Ok(reducer.finish())
}

/// Converts a sample from 0.0 to 1.0 to 16 bits, rounded. Other values are clamped.
fn to_u16(share: f32) -> u16 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped; NaN becomes 0"
    )]
    let sample = (share.clamp(0.0, 1.0) * 65_535.0 + 0.5) as u16;
    sample
}

/// Converts an error of the codec.
fn to_error(error: &ImageError) -> Error {
    match error {
        // The input is in memory, so an I/O error means that it ends early.
        ImageError::IoError(_) => Error::TRUNCATED,
        ImageError::Unsupported(_) => Error::UnsupportedFormat {
            what: "this variant of BMP or TIFF",
        },
        ImageError::Limits(_) => Error::damaged("the size exceeds the limits of the codec"),
        _ => Error::damaged("the image data is invalid"),
    }
}

//! PNG and APNG (W3C PNG specification, third edition).
//!
//! Rows are decoded one by one into the reducer. Only an interlaced picture needs a full frame in
//! memory.

mod chained_slices;
mod chunks;
mod colour_chunks;

use std::io::{BufRead, Read, Seek};

use png::{BitDepth, ColorType, DecodingError, Limits, Transformations};

use super::request::{DecodeRequest, Decoded, FormatDecoder};
use crate::bytes::Bytes;
use crate::colour::ColourSpace;
use crate::error::Error;
use crate::exif;
use crate::format::Format;
use crate::header::Header;
use crate::orientation::Orientation;
use crate::pixels::Pixels;
use crate::policy::Policy;
use crate::raster::{Channels, CropBox, Raster};
use crate::reduce::{Reducer, Sample};
use chained_slices::{ChainedSlices, NoSeek};
use chunks::{ApngFrame, FdatReader, PngChunks, SIGNATURE_LENGTH};

/// Bytes that the codec may use besides its rows: the inflate window and Huffman tables.
const CODEC_BYTES: usize = 1 << 20;

/// Reads the size from the IHDR chunk (section 11.2.1), which must be the first chunk.
///
/// # Errors
/// [`Error::Damaged`] if the first chunk has another type, [`Error::Truncated`] if the file ends
/// before the size.
pub(super) fn header(bytes: &[u8]) -> Result<Header, Error> {
    match (
        bytes.array(SIGNATURE_LENGTH + 4),
        bytes.be32(SIGNATURE_LENGTH + 8),
        bytes.be32(SIGNATURE_LENGTH + 12),
    ) {
        (Some([b'I', b'H', b'D', b'R']), Some(width), Some(height)) => Ok(Header::new(
            Format::Png,
            width,
            height,
            decoder_bytes(bytes, width, height),
        )),
        (Some(_), Some(_), Some(_)) => Err(Error::damaged_at(
            SIGNATURE_LENGTH,
            "the first chunk is not IHDR",
        )),
        _ => Err(Error::TRUNCATED),
    }
}

/// Returns the largest number of bytes that decoding holds at once.
///
/// A row has at most 8 bytes per pixel (four samples of 16 bits). Five rows are held: three by the
/// codec for unfiltering, one expanded, one of samples. The reducer holds 32 bytes of sums per
/// column. The codec's window and, for an interlaced picture, the full frame are added.
fn decoder_bytes(bytes: &[u8], width: u32, height: u32) -> u64 {
    const ROW_BYTES: u64 = 8 * 5 + 32;
    // Byte 12 of the IHDR data is the interlace method; IHDR data starts 8 bytes into the chunk. A
    // missing byte counts as interlaced, the larger case.
    let is_interlaced = bytes.byte(SIGNATURE_LENGTH + 20) != Some(0);
    let frame = if is_interlaced {
        u64::from(width) * u64::from(height)
    } else {
        0
    };
    (u64::from(width) * ROW_BYTES)
        .saturating_add(frame.saturating_mul(8))
        .saturating_add(CODEC_BYTES as u64)
}

/// A PNG whose chunks were parsed.
pub(super) struct Png<'a> {
    bytes: &'a [u8],
    chunks: PngChunks<'a>,
    space: ColourSpace<'a>,
}

impl<'a> Png<'a> {
    /// Parses all chunks and the colour space.
    ///
    /// # Errors
    /// See [`PngChunks::read`] and [`ColourChunks::space`](colour_chunks::ColourChunks::space).
    pub(super) fn open(bytes: &'a [u8], policy: &Policy) -> Result<Self, Error> {
        let chunks = PngChunks::read(bytes, policy)?;
        let space = chunks.colour.space(policy)?;
        Ok(Self {
            bytes,
            chunks,
            space,
        })
    }

    /// Decodes the default image into `reducer`.
    ///
    /// `row` converts the bytes of one row to samples.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the data ends early, with the percentage of rows for a picture that
    /// is not interlaced. [`Error::Damaged`] if the codec rejects the data.
    fn read<S: Sample>(
        &self,
        mut reader: png::Reader<NoSeek<ChainedSlices<'_>>>,
        mut reducer: Reducer<S>,
        row: impl Fn(&[u8], &mut Vec<S>),
    ) -> Result<(Raster, CropBox), Error> {
        let (_, height) = reader.info().size();
        let mut samples = Vec::new();
        if reader.info().interlaced {
            // Adam7 spreads the pixels of a row over several passes, so all passes come first.
            let length = reader
                .output_buffer_size()
                .ok_or(Error::damaged("the frame does not fit in memory"))?;
            let mut frame = vec![0; length];
            reader
                .next_frame(&mut frame)
                .map_err(|error| to_error(&error))?;
            let stride = length / height.max(1) as usize;
            for bytes in frame.chunks_exact(stride.max(1)) {
                row(bytes, &mut samples);
                reducer.push(&samples);
            }
        } else {
            loop {
                match reader.next_row() {
                    Ok(Some(bytes)) => row(bytes.data(), &mut samples),
                    Ok(None) => break,
                    Err(error) if is_end(&error) => {
                        return Err(Error::truncated(reducer.rows().into(), height.into()));
                    }
                    Err(error) => return Err(to_error(&error)),
                }
                reducer.push(&samples);
            }
        }
        // All rows are present, but the file ends before IEND. That is an incomplete upload too.
        if self.chunks.is_truncated {
            return Err(Error::truncated(u64::from(height), u64::from(height)));
        }
        Ok(reducer.finish())
    }
}

impl Png<'_> {
    /// Decodes a later frame of an animation and discards its pixels.
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::Damaged`] if the data of the frame is incomplete or
    /// invalid.
    fn verify(&self, frame: &ApngFrame) -> Result<(), Error> {
        let prefix = self.chunks.frame_prefix(frame);
        let data = FdatReader::new(self.bytes, frame);
        // The codec gets the fdAT data of the frame as the single IDAT chunk of a separate PNG: the
        // prefix, the data, a checksum of zero, and an empty IEND chunk.
        let end = [0, 0, 0, 0, 0, 0, 0, 0, b'I', b'E', b'N', b'D', 0, 0, 0, 0];
        let file = prefix.as_slice().chain(data).chain(end.as_slice());
        let mut decoder = png::Decoder::new(NoSeek(file));
        // `PngChunks::read` has checked the checksums of the original chunks. Those of the
        // constructed file are invalid.
        decoder.ignore_checksums(true);
        let mut reader = limited(decoder)?;
        while reader
            .next_row()
            .map_err(|error| to_error(&error))?
            .is_some()
        {}
        Ok(())
    }
}

impl<'a> FormatDecoder<'a> for Png<'a> {
    fn orientation(&self) -> Orientation {
        self.chunks.exif.map(exif::orientation).unwrap_or_default()
    }

    fn decode(self: Box<Self>, request: DecodeRequest<'_>) -> Result<Decoded<'a>, Error> {
        // EXPAND converts palette indices to RGB, bit depths below 8 to 8, and tRNS to alpha.
        let mut decoder = png::Decoder::new(NoSeek(self.chunks.picture()));
        decoder.set_transformations(Transformations::EXPAND);
        let reader = limited(decoder)?;
        let (colour, depth) = reader.output_color_type();
        let channels = match colour {
            ColorType::Grayscale => Channels::Grey,
            ColorType::GrayscaleAlpha => Channels::GreyAlpha,
            ColorType::Rgb => Channels::Rgb,
            ColorType::Rgba => Channels::Rgba,
            ColorType::Indexed => return Err(Error::damaged("the palette is missing")),
        };
        let (raster, crop_box) = if depth == BitDepth::Sixteen {
            let reducer = Reducer::<u16>::new(request.square, request.side, channels);
            self.read(reader, reducer, |bytes, samples| {
                samples.clear();
                // Samples of 16 bits are stored most significant byte first (section 7.1).
                samples.extend(
                    bytes
                        .as_chunks()
                        .0
                        .iter()
                        .map(|&pair| u16::from_be_bytes(pair)),
                );
            })?
        } else {
            let reducer = Reducer::<u8>::new(request.square, request.side, channels);
            self.read(reader, reducer, |bytes, samples| {
                samples.clear();
                samples.extend_from_slice(bytes);
            })?
        };
        for frame in &self.chunks.frames {
            self.verify(frame)?;
        }
        Ok(Decoded {
            pixels: Pixels::Interleaved(raster, crop_box),
            space: self.space,
        })
    }
}

/// Starts a decoder with a memory limit that fits the width of the picture.
///
/// # Errors
/// [`Error::Truncated`] or [`Error::Damaged`] if the codec rejects the chunks before the image
/// data.
fn limited<R: BufRead + Seek>(mut decoder: png::Decoder<R>) -> Result<png::Reader<R>, Error> {
    let header = decoder
        .read_header_info()
        .map_err(|error| to_error(&error))?;
    let row_bytes = header.raw_row_length();
    // Two raw rows (the current one and the one before it) and one expanded row. Expansion grows a
    // row at most 32 times: from an index of 1 bit to RGBA of 8 bits per sample.
    decoder.set_limits(Limits {
        bytes: row_bytes.saturating_mul(34).saturating_add(CODEC_BYTES),
    });
    decoder.read_info().map_err(|error| to_error(&error))
}

/// Whether the codec failed because its input ended.
fn is_end(error: &DecodingError) -> bool {
    matches!(error, DecodingError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof)
}

/// Converts an error of the codec.
fn to_error(error: &DecodingError) -> Error {
    match error {
        error if is_end(error) => Error::TRUNCATED,
        DecodingError::LimitsExceeded => {
            Error::damaged("decoding needs more memory than the size implies")
        }
        _ => Error::damaged("the image data is invalid"),
    }
}

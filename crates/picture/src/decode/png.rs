//! PNG and APNG (W3C PNG, third edition): row by row into the reducer, so that no full frame is
//! held but for interlaced pictures.

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

/// What the codec may use besides its rows: its window and tables.
const CODEC_BYTES: usize = 1 << 20;

/// The size, from the IHDR chunk (section 11.2.1), which is the first.
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
            "no IHDR where it must be",
        )),
        _ => Err(Error::TRUNCATED),
    }
}

/// Rows of at most 8 bytes a pixel: three that the codec unfilters, one expanded, one of samples,
/// and 32 bytes a pixel of sums; the codec's window; for an interlaced picture the whole frame.
fn decoder_bytes(bytes: &[u8], width: u32, height: u32) -> u64 {
    const ROW_BYTES: u64 = 8 * 5 + 32;
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

pub(super) struct Png<'a> {
    bytes: &'a [u8],
    chunks: PngChunks<'a>,
    space: ColourSpace<'a>,
}

impl<'a> Png<'a> {
    pub(super) fn open(bytes: &'a [u8], policy: &Policy) -> Result<Self, Error> {
        let chunks = PngChunks::read(bytes, policy)?;
        let space = chunks.colour.space(policy)?;
        Ok(Self {
            bytes,
            chunks,
            space,
        })
    }

    /// Decodes the default picture into `reducer`; rows arrive as bytes.
    fn read<S: Sample>(
        &self,
        mut reader: png::Reader<NoSeek<ChainedSlices<'_>>>,
        mut reducer: Reducer<S>,
        row: impl Fn(&[u8], &mut Vec<S>),
    ) -> Result<(Raster, CropBox), Error> {
        let (_, height) = reader.info().size();
        let mut samples = Vec::new();
        if reader.info().interlaced {
            let length = reader
                .output_buffer_size()
                .ok_or(Error::damaged("the size"))?;
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
        if self.chunks.is_truncated {
            return Err(Error::truncated(u64::from(height), u64::from(height)));
        }
        Ok(reducer.finish())
    }
}

impl Png<'_> {
    /// Decodes another frame of an animation, and drops it. The checksums of its chunks have been
    /// found right.
    fn verify(&self, frame: &ApngFrame) -> Result<(), Error> {
        let prefix = self.chunks.frame_prefix(frame);
        let data = FdatReader::new(self.bytes, frame);
        // The checksum of the chunk that all of them became, and the end.
        let end = [0, 0, 0, 0, 0, 0, 0, 0, b'I', b'E', b'N', b'D', 0, 0, 0, 0];
        let file = prefix.as_slice().chain(data).chain(end.as_slice());
        let mut decoder = png::Decoder::new(NoSeek(file));
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
        let mut decoder = png::Decoder::new(NoSeek(self.chunks.picture()));
        decoder.set_transformations(Transformations::EXPAND);
        let reader = limited(decoder)?;
        let (colour, depth) = reader.output_color_type();
        let channels = match colour {
            ColorType::Grayscale => Channels::Grey,
            ColorType::GrayscaleAlpha => Channels::GreyAlpha,
            ColorType::Rgb => Channels::Rgb,
            ColorType::Rgba => Channels::Rgba,
            ColorType::Indexed => return Err(Error::damaged("no palette")),
        };
        let (raster, crop_box) = if depth == BitDepth::Sixteen {
            let reducer = Reducer::<u16>::new(request.square, request.side, channels);
            self.read(reader, reducer, |bytes, samples| {
                samples.clear();
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

/// Starts a decoder that takes no more than it needs.
fn limited<R: BufRead + Seek>(mut decoder: png::Decoder<R>) -> Result<png::Reader<R>, Error> {
    let header = decoder
        .read_header_info()
        .map_err(|error| to_error(&error))?;
    let row_bytes = header.raw_row_length();
    // The raw row, the one before it, and the expanded one of at most 32 times the bits.
    decoder.set_limits(Limits {
        bytes: row_bytes.saturating_mul(34).saturating_add(CODEC_BYTES),
    });
    decoder.read_info().map_err(|error| to_error(&error))
}

fn is_end(error: &DecodingError) -> bool {
    matches!(error, DecodingError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof)
}

fn to_error(error: &DecodingError) -> Error {
    match error {
        error if is_end(error) => Error::TRUNCATED,
        DecodingError::LimitsExceeded => Error::damaged("sizes beyond all limits"),
        _ => Error::damaged("the picture data"),
    }
}

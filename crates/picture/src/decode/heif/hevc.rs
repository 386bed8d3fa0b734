//! HEVC (ITU-T H.265) with the system's libde265. No other module calls the library.
//!
//! libde265 is used without threads, because the sandbox of the caller may forbid starting them.

use libde265_rs::{
    Channel, ChromaFormat, DeError, DecodeResult, DecoderInput, Image, ParamBool, new_decoder,
};

use super::boxes::NumberReader;
use super::frame::{Cicp, Frame, FrameLayout, Row};
use super::sps;
use crate::error::Error;

const FAILED: Error = Error::Encoder {
    what: "libde265 cannot create a decoder",
};
const DAMAGED: Error = Error::damaged("the HEVC data is invalid");
const TOO_LARGE: Error =
    Error::damaged("the coded picture is larger than its ispe property states");
/// Byte position of the parameter sets in an `hvcC` box. The two bits before it are the length of
/// NAL unit lengths in bytes, minus 1 (`HEVCDecoderConfigurationRecord`, ISO/IEC 14496-15, section
/// 8.3).
const PARAMETER_SETS_AT: usize = 22;
/// The lowest NAL unit type that is not a slice (ITU-T H.265, table 7-1).
const FIRST_NON_VCL_TYPE: u8 = 32;
const CHANNELS: [Channel; 3] = [Channel::Y, Channel::Cb, Channel::Cr];

/// NAL unit type of a sequence parameter set (table 7-1).
const SPS_TYPE: u8 = 33;
/// Largest side of a coding tree block in pixels. Coded sizes are multiples of a block size
/// (section 7.4.3.2.1).
const BLOCK: u64 = 64;

/// A coded item as stored in the container.
pub(super) struct HevcItem<'a> {
    /// Width and height in pixels from its `ispe` property.
    pub(super) size: (u32, u32),
    /// Content of its `hvcC` property.
    pub(super) configuration: &'a [u8],
    /// NAL units, each after a length of 4 bytes.
    pub(super) data: &'a [u8],
}

/// Decodes an item and passes a borrow of its first picture to `take`.
///
/// # Errors
/// [`Error::Damaged`] if the data is invalid, has no picture, or codes a larger picture than
/// stated. [`Error::UnsupportedFormat`] for shorter unit lengths, and for cropping at the left or
/// top. [`Error::Encoder`] if libde265 cannot create a decoder. Errors of `take` are passed on.
pub(super) fn decode<T>(
    item: &HevcItem<'_>,
    take: impl FnOnce(&dyn Frame) -> Result<T, Error>,
) -> Result<T, Error> {
    let (mut input, mut output) = new_decoder().map_err(|_| FAILED)?;
    // Checks the hash of the picture if the stream has one in an SEI message.
    input.set_parameter_bool(ParamBool::SeiCheckHash, true);
    push(item, &mut input)?;
    input.flush_data().map_err(|_| DAMAGED)?;
    loop {
        let call_again = match input.decode() {
            Ok(DecodeResult::CallAgain) => true,
            // All input was pushed before, so these states are the end of decoding, not failures.
            Ok(DecodeResult::Done)
            | Err(DeError::ErrorWaitingForInputData | DeError::ErrorImageBufferFull) => false,
            Err(_) => return Err(DAMAGED),
        };
        // libde265 conceals errors in the data and reports them only as warnings. An SEI message
        // before its SPS is harmless: only the message is skipped.
        while let Err(warning) = input.get_warning() {
            if warning != DeError::WarningSpsMissingCannotDecodeSei {
                return Err(DAMAGED);
            }
        }
        if let Some(image) = output.next_picture() {
            return take(&HevcFrameRef::new(&image)?);
        }
        if !call_again {
            return Err(DAMAGED);
        }
    }
}

/// Pushes the NAL units of the configuration and then those of the item to the decoder.
///
/// # Errors
/// See [`decode`].
fn push(item: &HevcItem<'_>, input: &mut DecoderInput) -> Result<(), Error> {
    let (fixed, arrays) = item
        .configuration
        .split_at_checked(PARAMETER_SETS_AT)
        .ok_or(DAMAGED)?;
    if fixed.last().is_none_or(|flags| flags & 3 != 3) {
        return Err(Error::UnsupportedFormat {
            what: "HEVC with NAL unit lengths of fewer than 4 bytes",
        });
    }
    let mut push = |unit: &[u8]| {
        check_sps(unit, item.size)?;
        input.push_nal(unit, 0, 0).map_err(|_| DAMAGED)
    };
    // Each array has a type (1 byte), a number of units (2), and the units after lengths of 2
    // bytes.
    let mut arrays = NumberReader(arrays);
    for _ in 0..arrays.read_u32(1).ok_or(DAMAGED)? {
        let _kind = arrays.read_u32(1).ok_or(DAMAGED)?;
        for _ in 0..arrays.read_u32(2).ok_or(DAMAGED)? {
            let unit = next_unit(&mut arrays, 2).ok_or(DAMAGED)?;
            // The budget counts only slices in the data of the item. Slices here would be decoded
            // without being counted.
            if nal_unit_type(unit).is_some_and(|kind| kind >= FIRST_NON_VCL_TYPE) {
                push(unit)?;
            }
        }
    }
    let mut data = NumberReader(item.data);
    while !data.0.is_empty() {
        push(next_unit(&mut data, 4).ok_or(DAMAGED)?)?;
    }
    Ok(())
}

/// Checks the picture size in a sequence parameter set. Other NAL units pass.
///
/// # Errors
/// [`Error::Damaged`] if the unit is invalid or its size exceeds `size`, rounded up to whole
/// blocks. [`Error::UnsupportedFormat`] if the picture is cropped at the left or top.
fn check_sps(unit: &[u8], size: (u32, u32)) -> Result<(), Error> {
    // The layer ID has 6 bits: the lowest of the first byte and the upper five of the second.
    // libde265 does not decode layers other than 0.
    let first_layer = unit
        .first_chunk()
        .is_some_and(|[one, two]| one & 1 == 0 && two >> 3 == 0);
    if !first_layer || nal_unit_type(unit) != Some(SPS_TYPE) {
        return Ok(());
    }
    let sps = sps::read(unit).ok_or(DAMAGED)?;
    // libde265 then calculates a wrong start for the planes and returns slices that extend beyond
    // them.
    if sps.is_cropped_at_start {
        return Err(Error::UnsupportedFormat {
            what: "HEVC cropped at the left or at the top",
        });
    }
    let fits = |coded: u32, size: u32| u64::from(coded) <= u64::from(size).next_multiple_of(BLOCK);
    if fits(sps.width, size.0) && fits(sps.height, size.1) {
        Ok(())
    } else {
        Err(TOO_LARGE)
    }
}

/// Returns the type of a NAL unit (section 7.3.1.2): bits 1 to 6 of its first byte.
fn nal_unit_type(unit: &[u8]) -> Option<u8> {
    unit.first().map(|first| first >> 1 & 63)
}

/// Reads a NAL unit that follows its length of `length_size` bytes.
fn next_unit<'a>(bytes: &mut NumberReader<'a>, length_size: usize) -> Option<&'a [u8]> {
    let length = usize::try_from(bytes.read(length_size)?).ok()?;
    let (unit, rest) = bytes.0.split_at_checked(length)?;
    bytes.0 = rest;
    Some(unit)
}

/// A decoded picture in the memory of libde265.
struct HevcFrameRef<'a> {
    /// Bytes of each plane, and its stride in bytes.
    planes: [(&'a [u8], usize); 3],
    layout: FrameLayout,
    cicp: Cicp,
}

impl<'a> HevcFrameRef<'a> {
    /// Borrows the planes of a picture.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the planes differ in bit depth, have unexpected sizes, or do not have
    /// 8 to 16 bits per sample.
    fn new(image: &'a Image<'_>) -> Result<Self, Error> {
        let depth = image.bits_per_pixel(Channel::Y);
        let (has_chroma, subsampling) = match image.chroma_format() {
            ChromaFormat::Mono => (false, (false, false)),
            ChromaFormat::C420 => (true, (true, true)),
            ChromaFormat::C422 => (true, (true, false)),
            ChromaFormat::C444 => (true, (false, false)),
        };
        let layout = FrameLayout {
            width: image.width(Channel::Y),
            height: image.height(Channel::Y),
            bits: u8::try_from(depth).map_err(|_| DAMAGED)?,
            has_chroma,
            subsampling,
        };
        let count = if has_chroma { 3 } else { 1 };
        let matches = CHANNELS.into_iter().take(count).enumerate();
        let matches = matches.map(|(index, channel)| {
            image.bits_per_pixel(channel) == depth
                && (image.width(channel), image.height(channel)) == layout.plane(index)
        });
        if !(8..=16).contains(&layout.bits) || !matches.into_iter().all(|matches| matches) {
            return Err(DAMAGED);
        }
        let plane = |(index, channel)| {
            if index < count {
                image.plane(channel)
            } else {
                (&[][..], 0)
            }
        };
        let [y, cb, cr] = CHANNELS;
        Ok(Self {
            planes: [(0, y), (1, cb), (2, cr)].map(plane),
            layout,
            cicp: Cicp {
                primaries: image.colour_primaries(),
                transfer: image.transfer_characteristics(),
                matrix: image.matrix_coefficients(),
                full_range: image.full_range(),
            },
        })
    }
}

impl Frame for HevcFrameRef<'_> {
    fn layout(&self) -> FrameLayout {
        self.layout
    }

    fn cicp(&self) -> Cicp {
        self.cicp
    }

    fn row(&self, plane: usize, y: u32) -> Option<Row<'_>> {
        let (bytes, stride) = self.planes.get(plane)?;
        let bytes = bytes.get(stride.checked_mul(y as usize)?..)?;
        let width = self.layout.plane(plane).0 as usize;
        // libde265 stores samples of more than 8 bits in 2 bytes, in native byte order.
        if self.layout.bits == 8 {
            return bytes.get(..width).map(Row::Eight);
        }
        let pairs = bytes.get(..width.checked_mul(2)?)?;
        Some(Row::Pairs(pairs.as_chunks().0))
    }
}

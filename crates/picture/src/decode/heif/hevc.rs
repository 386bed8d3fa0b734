//! HEVC (ITU-T H.265) by the system's libde265: the only place that calls it. It starts no thread, so that it
//! decodes in a process that may start none.

use libde265_rs::{
    Channel, ChromaFormat, DeError, DecodeResult, DecoderInput, Image, ParamBool, new_decoder,
};

use super::boxes::NumberReader;
use super::frame::{Cicp, Frame, FrameLayout, Row};
use super::sps;
use crate::error::Error;

const FAILED: Error = Error::Encoder { what: "libde265" };
const DAMAGED: Error = Error::damaged("the picture data");
const TOO_LARGE: Error = Error::damaged("a stream larger than the file says");
/// Where the parameter sets of a configuration begin; the last bits before say how long the lengths of
/// units are, less one (ISO/IEC 14496-15, section 8.3.2.1.2).
const PARAMETER_SETS_AT: usize = 22;
/// The first type of NAL unit that is no slice (ITU-T H.265, table 7-1).
const FIRST_NON_VCL_TYPE: u8 = 32;
const CHANNELS: [Channel; 3] = [Channel::Y, Channel::Cb, Channel::Cr];

/// A sequence parameter set (table 7-1).
const SPS_TYPE: u8 = 33;
/// Coded pictures fill whole blocks, of at most so many pixels a side (section 7.4.3.2.1).
const BLOCK: u64 = 64;

/// A coded item as the container has it.
pub(super) struct HevcItem<'a> {
    /// Width and height by its `ispe` property.
    pub(super) size: (u32, u32),
    /// The content of its `hvcC` property.
    pub(super) configuration: &'a [u8],
    pub(super) data: &'a [u8],
}

/// Decodes an item as it is stored, and lends it to `take`.
pub(super) fn decode<T>(
    item: &HevcItem<'_>,
    take: impl FnOnce(&dyn Frame) -> Result<T, Error>,
) -> Result<T, Error> {
    let (mut input, mut output) = new_decoder().map_err(|_| FAILED)?;
    input.set_parameter_bool(ParamBool::SeiCheckHash, true);
    push(item, &mut input)?;
    input.flush_data().map_err(|_| DAMAGED)?;
    loop {
        let call_again = match input.decode() {
            Ok(DecodeResult::CallAgain) => true,
            Ok(DecodeResult::Done)
            | Err(DeError::ErrorWaitingForInputData | DeError::ErrorImageBufferFull) => false,
            Err(_) => return Err(DAMAGED),
        };
        // What it makes up for, it warns of.
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

/// Hands over the parameter sets of the configuration, then the item's data, a NAL unit at a time.
fn push(item: &HevcItem<'_>, input: &mut DecoderInput) -> Result<(), Error> {
    let (fixed, arrays) = item
        .configuration
        .split_at_checked(PARAMETER_SETS_AT)
        .ok_or(DAMAGED)?;
    if fixed.last().is_none_or(|flags| flags & 3 != 3) {
        return Err(Error::UnsupportedFormat {
            what: "HEVC whose units have lengths of less than four bytes",
        });
    }
    let mut push = |unit: &[u8]| {
        check_sps(unit, item.size)?;
        input.push_nal(unit, 0, 0).map_err(|_| DAMAGED)
    };
    let mut arrays = NumberReader(arrays);
    for _ in 0..arrays.read_u32(1).ok_or(DAMAGED)? {
        let _kind = arrays.read_u32(1).ok_or(DAMAGED)?;
        for _ in 0..arrays.read_u32(2).ok_or(DAMAGED)? {
            let unit = next_unit(&mut arrays, 2).ok_or(DAMAGED)?;
            // Slices are counted where pictures lie, and nowhere else.
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

/// Refuses a stream whose pictures would take more room than the container says.
fn check_sps(unit: &[u8], size: (u32, u32)) -> Result<(), Error> {
    // The upper bits of the layer lie in the first byte; units of other layers than the first are not decoded.
    let first_layer = unit
        .first_chunk()
        .is_some_and(|[one, two]| one & 1 == 0 && two >> 3 == 0);
    if !first_layer || nal_unit_type(unit) != Some(SPS_TYPE) {
        return Ok(());
    }
    let sps = sps::read(unit).ok_or(DAMAGED)?;
    // The library takes the first row and column from the wrong place then, and lends more than there is.
    if sps.is_cropped_at_start {
        return Err(Error::UnsupportedFormat {
            what: "HEVC that is cut off at the left or at the top",
        });
    }
    let fits = |coded: u32, size: u32| u64::from(coded) <= u64::from(size).next_multiple_of(BLOCK);
    if fits(sps.width, size.0) && fits(sps.height, size.1) {
        Ok(())
    } else {
        Err(TOO_LARGE)
    }
}

/// The type of a NAL unit (section 7.3.1.2).
fn nal_unit_type(unit: &[u8]) -> Option<u8> {
    unit.first().map(|first| first >> 1 & 63)
}

/// A NAL unit with its length before it.
fn next_unit<'a>(bytes: &mut NumberReader<'a>, length_size: usize) -> Option<&'a [u8]> {
    let length = usize::try_from(bytes.read(length_size)?).ok()?;
    let (unit, rest) = bytes.0.split_at_checked(length)?;
    bytes.0 = rest;
    Some(unit)
}

struct HevcFrameRef<'a> {
    /// Bytes, and how many lie between the starts of two rows.
    planes: [(&'a [u8], usize); 3],
    layout: FrameLayout,
    cicp: Cicp,
}

impl<'a> HevcFrameRef<'a> {
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
        if self.layout.bits == 8 {
            return bytes.get(..width).map(Row::Eight);
        }
        let pairs = bytes.get(..width.checked_mul(2)?)?;
        Some(Row::Pairs(pairs.as_chunks().0))
    }
}

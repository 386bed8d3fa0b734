//! Parser of the segments before the first scan.

use super::colour::ColourModel;
use super::frame_header::FrameHeader;
use super::markers::{MarkerReader, Segment, code, is_optional};
use super::metadata::{self, IccChunk};
use super::scan_header::ScanHeader;
use super::tables::Tables;
use crate::error::Error;

/// Properties of a JPEG file, read from the segments before its first scan.
#[derive(Clone, Debug)]
pub struct JpegHeader<'d> {
    /// Width in pixels as stored, before orientation.
    pub width: u32,
    /// Height in pixels as stored, before orientation.
    pub height: u32,
    /// Whether the file is progressive (SOF2): coded in several scans of increasing precision.
    pub progressive: bool,
    /// Meaning of the components.
    pub colour: ColourModel,
    /// Horizontal and vertical sampling factors of each component, 1 to 4.
    pub sampling: Vec<(u8, u8)>,
    /// TIFF structure of the first EXIF segment.
    pub exif: Option<&'d [u8]>,
    icc: Vec<IccChunk<'d>>,
    pub(super) frame: FrameHeader,
}

impl JpegHeader<'_> {
    /// Returns the ICC profile, joined from its chunks.
    ///
    /// Returns `None` if there is no profile, or if chunks are missing, repeated or counted
    /// wrongly.
    ///
    /// # Errors
    /// [`Error::TooComplex`] if the profile is longer than `limit` bytes.
    pub fn icc_profile(&self, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        metadata::icc_profile(&self.icc, limit)
    }
}

/// Reads the header of a file, up to its first scan.
///
/// # Errors
/// [`Error::Empty`] if `bytes` is empty, [`Error::NotAnImage`] if it does not start with SOI.
/// [`Error::Truncated`] if it ends before the first scan, [`Error::Damaged`] if a segment is
/// invalid. [`Error::UnsupportedFormat`] for arithmetic-coded, lossless and hierarchical files, for
/// samples of other than 8 bits, and for other than 1, 3 or 4 components.
pub fn read_header(bytes: &[u8]) -> Result<JpegHeader<'_>, Error> {
    open(bytes).map(|opened| opened.header)
}

/// File whose segments up to the first scan header are parsed.
#[derive(Debug)]
pub(crate) struct OpenedJpeg<'d> {
    pub(crate) header: JpegHeader<'d>,
    pub(super) tables: Tables,
    pub(super) scan: ScanHeader,
    /// Reader at the entropy-coded data of the first scan.
    pub(super) markers: MarkerReader<'d>,
}

/// Parses all segments up to the first scan header.
///
/// # Errors
/// See [`read_header`].
pub(crate) fn open(bytes: &[u8]) -> Result<OpenedJpeg<'_>, Error> {
    let mut markers = MarkerReader::new(bytes)?;
    let mut tables = Tables::default();
    let mut frame: Option<FrameHeader> = None;
    let mut hints = ColourHints::default();
    let mut exif = None;
    let mut icc = Vec::new();
    while let Some(segment) = markers.next()? {
        match segment.code {
            code::DQT => tables.define_quantisation(&segment)?,
            code::DHT => tables.define_huffman(&segment)?,
            code::DRI => tables.define_restart_interval(&segment)?,
            code::APP0 => hints.read_jfif(segment.payload),
            code::APP1 => exif = exif.or_else(|| metadata::exif(segment.payload)),
            // Chunk numbers have one byte, so a valid profile has at most 255 chunks. One more is
            // kept, so that the count is wrong and the profile is ignored. The others would cost
            // memory.
            code::APP2 if icc.len() <= 255 => icc.extend(metadata::icc_chunk(segment.payload)),
            code::APP14 => hints.read_adobe(segment.payload),
            code::SOS => {
                let frame = frame.ok_or_else(|| segment.damaged("scan before the frame header"))?;
                let scan = ScanHeader::parse(&segment, &frame)?;
                let header = build_header(frame, &hints, exif, icc);
                return Ok(OpenedJpeg {
                    header,
                    tables,
                    scan,
                    markers,
                });
            }
            code::EOI => return Err(segment.damaged("EOI marker before the first scan")),
            _ if is_frame_header(segment.code) => {
                let parsed = FrameHeader::parse(&segment)?;
                if frame.replace(parsed).is_some() {
                    return Err(segment.damaged("second frame header"));
                }
            }
            _ => skip(&segment)?,
        }
    }
    // The file ends without a scan, so nothing of the picture has been received.
    Err(Error::Truncated { received: Some(0) })
}

/// Accepts a segment that is not needed to decode the picture.
///
/// # Errors
/// [`Error::UnsupportedFormat`] for markers of hierarchical files, [`Error::Damaged`] for markers
/// that are unknown or not allowed here.
pub(super) fn skip(segment: &Segment<'_>) -> Result<(), Error> {
    match segment.code {
        optional if is_optional(optional) => Ok(()),
        code::DHP | code::EXP => Err(Error::UnsupportedFormat {
            what: "hierarchical JPEG",
        }),
        _ => Err(segment.damaged("unknown or misplaced marker")),
    }
}

/// Whether a marker starts a frame.
///
/// These are the codes 0xC0 to 0xCF except DHT, JPG and DAC (T.81 table B.1).
pub(super) fn is_frame_header(marker: u8) -> bool {
    matches!(marker, code::SOF_BASELINE..=code::SOF_LAST)
        && !matches!(marker, code::DHT | code::JPG | code::DAC)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "sizes have 16 bits, sampling factors 4"
)]
fn build_header<'d>(
    frame: FrameHeader,
    hints: &ColourHints,
    exif: Option<&'d [u8]>,
    icc: Vec<IccChunk<'d>>,
) -> JpegHeader<'d> {
    JpegHeader {
        width: frame.width as u32,
        height: frame.height as u32,
        progressive: frame.progressive,
        colour: hints.colour_model(&frame),
        sampling: frame
            .components
            .iter()
            .map(|component| (component.sampling.0 as u8, component.sampling.1 as u8))
            .collect(),
        exif,
        icc,
        frame,
    }
}

/// Facts from application segments that determine the colour model.
#[derive(Default)]
struct ColourHints {
    /// Whether there is a JFIF segment.
    jfif: bool,
    /// Transform flag of the Adobe segment: 0 for RGB or CMYK, 1 for YCbCr, 2 for YCCK.
    adobe: Option<u8>,
}

impl ColourHints {
    /// Reads an APP0 segment (ITU-T T.871).
    fn read_jfif(&mut self, payload: &[u8]) {
        self.jfif |= payload.len() >= 14 && payload.starts_with(b"JFIF\0");
    }

    /// Reads an APP14 segment (Adobe Technical Note 5116, section 18). Its transform flag is byte
    /// 11.
    fn read_adobe(&mut self, payload: &[u8]) {
        if payload.len() >= 12 && payload.starts_with(b"Adobe") {
            self.adobe = Some(payload[11]);
        }
    }

    /// Returns the colour model, by the rules of libjpeg (`default_decompress_parms`).
    ///
    /// For three components, a JFIF segment means YCbCr. Otherwise the flag of an Adobe segment
    /// decides. Otherwise the component identifiers `R`, `G`, `B` mean RGB, and all others YCbCr.
    /// Four components without an Adobe segment are CMYK. They are taken as inverted like those of
    /// Adobe, as in browsers.
    fn colour_model(&self, frame: &FrameHeader) -> ColourModel {
        match (frame.components.as_slice(), self.adobe) {
            ([_], _) => ColourModel::Grey,
            ([_, _, _], _) if self.jfif => ColourModel::YCbCr,
            ([_, _, _], Some(0)) => ColourModel::Rgb,
            ([r, g, b], None) if [r, g, b].map(|component| component.identifier) == *b"RGB" => {
                ColourModel::Rgb
            }
            ([_, _, _], _) => ColourModel::YCbCr,
            (_, None | Some(0)) => ColourModel::Cmyk,
            _ => ColourModel::Ycck,
        }
    }
}

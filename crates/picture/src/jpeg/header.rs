//! What stands in front of the first scan.

use super::colour::ColourModel;
use super::frame_header::FrameHeader;
use super::markers::{MarkerReader, Segment, code, is_optional};
use super::metadata::{self, IccChunk};
use super::scan_header::ScanHeader;
use super::tables::Tables;
use crate::error::Error;

/// What a file says of its picture before any of it is decoded.
#[derive(Clone, Debug)]
pub struct JpegHeader<'d> {
    /// Width as stored, in pixels, before orientation.
    pub width: u32,
    /// Height as stored, in pixels.
    pub height: u32,
    /// Coded in several passes of rising precision: SOF2.
    pub progressive: bool,
    /// What the components mean.
    pub colour: ColourModel,
    /// Horizontal and vertical sampling factor of each component, each 1 to 4.
    pub sampling: Vec<(u8, u8)>,
    /// The TIFF structure of the first EXIF segment.
    pub exif: Option<&'d [u8]>,
    icc: Vec<IccChunk<'d>>,
    pub(super) frame: FrameHeader,
}

impl JpegHeader<'_> {
    /// Returns the ICC profile, joined from its chunks.
    ///
    /// `None` if there is no profile, or if chunks are missing, repeated or miscounted.
    ///
    /// # Errors
    /// [`Error::TooComplex`] if the profile is longer than `limit` bytes.
    pub fn icc_profile(&self, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        metadata::icc_profile(&self.icc, limit)
    }
}

/// Reads a file up to its first scan.
pub fn read_header(bytes: &[u8]) -> Result<JpegHeader<'_>, Error> {
    open(bytes).map(|opened| opened.header)
}

/// A file read up to its first scan.
#[derive(Debug)]
pub(crate) struct OpenedJpeg<'d> {
    pub(crate) header: JpegHeader<'d>,
    pub(super) tables: Tables,
    pub(super) scan: ScanHeader,
    /// Stands behind the scan header.
    pub(super) markers: MarkerReader<'d>,
}

/// Parses all segments up to the first scan.
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
            // More chunks than a byte can count are no profile; one too many tells.
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
            code::EOI => return Err(segment.damaged("no picture before the end of image")),
            _ if is_frame_header(segment.code) => {
                let parsed = FrameHeader::parse(&segment)?;
                if frame.replace(parsed).is_some() {
                    return Err(segment.damaged("a second frame header"));
                }
            }
            _ => skip(&segment)?,
        }
    }
    Err(Error::Truncated { received: Some(0) })
}

/// Accepts segments that carry nothing for decoding, refuses the rest.
pub(super) fn skip(segment: &Segment<'_>) -> Result<(), Error> {
    match segment.code {
        optional if is_optional(optional) => Ok(()),
        code::DHP | code::EXP => Err(Error::UnsupportedFormat {
            what: "hierarchical JPEG",
        }),
        _ => Err(segment.damaged("unknown marker")),
    }
}

/// Whether a marker starts a frame: SOF0 to SOF15 without the three others of that range.
pub(super) fn is_frame_header(marker: u8) -> bool {
    matches!(marker, code::SOF_BASELINE..=code::SOF_LAST)
        && !matches!(marker, code::DHT | code::JPG | code::DAC)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "sizes are 16 bits and factors 4"
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

/// What application segments tell about colours.
#[derive(Default)]
struct ColourHints {
    jfif: bool,
    /// The transform flag of the Adobe segment.
    adobe: Option<u8>,
}

impl ColourHints {
    fn read_jfif(&mut self, payload: &[u8]) {
        self.jfif |= payload.len() >= 14 && payload.starts_with(b"JFIF\0");
    }

    fn read_adobe(&mut self, payload: &[u8]) {
        if payload.len() >= 12 && payload.starts_with(b"Adobe") {
            self.adobe = Some(payload[11]);
        }
    }

    /// Decides as libjpeg does: a JFIF segment means YCbCr, else an Adobe segment tells, else the
    /// component identifiers may spell RGB. Four components without an Adobe segment are CMYK, and
    /// inverted like Adobe's, which is what every browser takes them for.
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

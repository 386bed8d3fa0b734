//! The marker segments before the first scan (T.81, annex B).

use std::borrow::Cow;

use crate::Error;
use crate::bytes::Bytes;

const SOS: u8 = 0xDA;
const EOI: u8 = 0xD9;
const APP1: u8 = 0xE1;
const APP2: u8 = 0xE2;
/// Identifier of the chunks of a profile (ICC.1:2022, annex B.4).
const ICC: &[u8] = b"ICC_PROFILE\0";

/// Size and kind of the picture, from its frame header (T.81, B.2.2).
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) components: u8,
}

pub(super) struct Markers<'a> {
    pub(super) frame: Frame,
    pub(super) exif: Option<&'a [u8]>,
    /// Sequence number and content of each.
    profile_chunks: Vec<(u8, &'a [u8])>,
    scan: usize,
}

impl<'a> Markers<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut frame = None;
        let mut exif = None;
        let mut profile_chunks = Vec::new();
        let mut at = 2;
        loop {
            // Bytes between segments are skipped, as libjpeg does.
            let [prefix, code] = bytes.array(at).ok_or(Error::CUT)?;
            at += 1;
            if prefix != 0xFF || code == 0xFF {
                continue;
            }
            at += 1;
            if matches!(code, 0x00 | 0x01 | 0xD0..=0xD8) {
                continue;
            }
            if code == SOS {
                let frame = frame.ok_or(Error::damaged_at(at, "a scan before its frame"))?;
                return Ok(Self {
                    frame,
                    exif,
                    profile_chunks,
                    scan: at,
                });
            }
            let length = usize::from(bytes.be16(at).ok_or(Error::CUT)?);
            if length < 2 || code == EOI {
                return Err(Error::damaged_at(at, "the marker segment"));
            }
            let segment = bytes.part(at + 2, length - 2).ok_or(Error::CUT)?;
            match code {
                0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                    frame = Some(read_frame(code, segment, at)?);
                }
                APP1 if exif.is_none() && segment.starts_with(b"Exif\0") => exif = Some(segment),
                APP2 => {
                    if let Some([number, _, chunk @ ..]) = segment.strip_prefix(ICC) {
                        profile_chunks.push((*number, chunk));
                    }
                }
                _ => {}
            }
            at += length;
        }
    }

    /// The profile, put together; `None` when there is none.
    pub(super) fn profile(&self, limit: u64) -> Result<Option<Cow<'a, [u8]>>, Error> {
        let length: usize = self
            .profile_chunks
            .iter()
            .map(|(_, chunk)| chunk.len())
            .sum();
        Error::complexity("bytes of profile", length as u64, limit)?;
        let mut chunks = self.profile_chunks.clone();
        chunks.sort_by_key(|&(number, _)| number);
        Ok(match chunks.as_slice() {
            [] => None,
            [(_, only)] => Some(Cow::Borrowed(only)),
            many => Some(many.iter().flat_map(|&(_, chunk)| chunk).copied().collect()),
        })
    }

    /// Looks for the end marker behind the scans.
    pub(super) fn find_end(&self, bytes: &[u8]) -> Result<(), Error> {
        let mut rest = bytes.get(self.scan..).unwrap_or_default();
        while let Some(next) = rest.iter().position(|&byte| byte == 0xFF) {
            match rest.get(next + 1) {
                Some(&EOI) => return Ok(()),
                Some(&0xFF) => rest = &rest[next + 1..],
                Some(&(0x00 | 0x01 | 0xD0..=0xD8)) => rest = &rest[next + 2..],
                Some(_) => {
                    let length = rest.be16(next + 2).map_or(2, usize::from);
                    rest = rest.get(next + 2 + length..).unwrap_or_default();
                }
                None => break,
            }
        }
        Err(Error::CUT)
    }
}

fn read_frame(code: u8, segment: &[u8], at: usize) -> Result<Frame, Error> {
    let unsupported = |what| Err(Error::UnsupportedFormat { what });
    match code {
        0xC0..=0xC2 => {}
        0xC3 => return unsupported("lossless JPEG"),
        0xC5..=0xC7 => return unsupported("hierarchical JPEG"),
        _ => return unsupported("arithmetic-coded JPEG"),
    }
    let damaged = Error::damaged_at(at, "the frame header");
    let (Some(precision), Some(height), Some(width), Some(components)) = (
        segment.byte(0),
        segment.be16(1),
        segment.be16(3),
        segment.byte(5),
    ) else {
        return Err(damaged);
    };
    match precision {
        8 => Ok(Frame {
            width,
            height,
            components,
        }),
        12 => unsupported("12-bit JPEG"),
        _ => Err(damaged),
    }
}

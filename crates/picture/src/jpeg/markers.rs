//! Markers and marker segments: ITU-T T.81 B.1.1.

use memchr::memchr;

use crate::error::Error;

/// Marker codes, the byte after 0xFF: T.81 table B.1.
pub(super) mod code {
    pub(crate) const SOF_BASELINE: u8 = 0xC0;
    pub(crate) const SOF_EXTENDED: u8 = 0xC1;
    pub(crate) const SOF_PROGRESSIVE: u8 = 0xC2;
    pub(crate) const SOF_LOSSLESS: u8 = 0xC3;
    pub(crate) const DHT: u8 = 0xC4;
    pub(crate) const JPG: u8 = 0xC8;
    pub(crate) const DAC: u8 = 0xCC;
    pub(crate) const SOF_LAST: u8 = 0xCF;
    pub(crate) const RST_FIRST: u8 = 0xD0;
    pub(crate) const RST_LAST: u8 = 0xD7;
    pub(crate) const SOI: u8 = 0xD8;
    pub(crate) const EOI: u8 = 0xD9;
    pub(crate) const SOS: u8 = 0xDA;
    pub(crate) const DQT: u8 = 0xDB;
    pub(crate) const DNL: u8 = 0xDC;
    pub(crate) const DRI: u8 = 0xDD;
    pub(crate) const DHP: u8 = 0xDE;
    pub(crate) const EXP: u8 = 0xDF;
    pub(crate) const APP0: u8 = 0xE0;
    pub(crate) const APP1: u8 = 0xE1;
    pub(crate) const APP2: u8 = 0xE2;
    pub(crate) const APP14: u8 = 0xEE;
    pub(crate) const APP15: u8 = 0xEF;
    pub(crate) const COM: u8 = 0xFE;
    pub(crate) const TEM: u8 = 0x01;
}

/// A marker with the parameters that follow it.
#[derive(Clone, Copy)]
pub(super) struct Segment<'d> {
    /// One of [`code`].
    pub(super) code: u8,
    /// Where the marker's 0xFF stands in the file.
    pub(super) offset: usize,
    /// The parameters without their two length bytes; empty for EOI.
    pub(super) payload: &'d [u8],
}

impl Segment<'_> {
    /// The error for a segment that breaks its own syntax.
    pub(super) fn damaged(&self, what: &'static str) -> Error {
        damaged(self.offset, what)
    }
}

/// Walks the segments of a file.
#[derive(Debug)]
pub(super) struct MarkerReader<'d> {
    data: &'d [u8],
    position: usize,
}

impl<'d> MarkerReader<'d> {
    /// Starts behind SOI, the first two bytes of every JPEG file.
    pub(super) fn new(data: &'d [u8]) -> Result<Self, Error> {
        match data {
            [] => Err(Error::Empty),
            [0xFF, code::SOI, ..] => Ok(Self { data, position: 2 }),
            _ => Err(Error::NotAnImage { kind: None }),
        }
    }

    /// Goes on at `position`, an offset in the file.
    pub(super) fn resume_at(&mut self, position: usize) {
        self.position = position;
    }

    /// The whole file.
    pub(super) fn data(&self) -> &'d [u8] {
        self.data
    }

    /// Offset in the file of what comes next.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// The next segment, or `None` where the file ends before another marker.
    ///
    /// Fill bytes (B.1.1.2) and whatever else stands between two segments are passed over: encoders
    /// leave a few stray bytes there, and no reader minds them. Markers without parameters that mean
    /// nothing between segments (RSTn, TEM) are passed over too.
    pub(super) fn next(&mut self) -> Result<Option<Segment<'d>>, Error> {
        loop {
            let Some((code, offset)) = self.next_code() else {
                return Ok(None);
            };
            match code {
                0x00 | code::TEM | code::RST_FIRST..=code::RST_LAST => {}
                code::EOI => {
                    return Ok(Some(Segment {
                        code,
                        offset,
                        payload: &[],
                    }));
                }
                code::SOI => return Err(damaged(offset, "a second start of image")),
                _ => {
                    let payload = self.payload(code, offset)?;
                    return Ok(Some(Segment {
                        code,
                        offset,
                        payload,
                    }));
                }
            }
        }
    }

    fn next_code(&mut self) -> Option<(u8, usize)> {
        let rest = self.data.get(self.position..)?;
        let mut offset = self.position + memchr(0xFF, rest)?;
        while *self.data.get(offset + 1)? == 0xFF {
            offset += 1;
        }
        self.position = offset + 2;
        Some((self.data[offset + 1], offset))
    }

    /// The parameters of a marker. A length below the two bytes that it counts itself is damage,
    /// except where nothing would be read anyway: libjpeg passes over such comments.
    fn payload(&mut self, code: u8, offset: usize) -> Result<&'d [u8], Error> {
        let cut = Error::Truncated { received: None };
        let rest = self.data.get(self.position..).unwrap_or_default();
        let [high, low, ..] = *rest else {
            return Err(cut);
        };
        let mut length = usize::from(u16::from_be_bytes([high, low]));
        if length < 2 {
            if !is_optional(code) {
                return Err(damaged(offset, "segment length below 2"));
            }
            length = 2;
        }
        let payload = rest.get(2..length).ok_or(cut)?;
        self.position += length;
        Ok(payload)
    }
}

/// Whether a picture can be decoded without what a segment of this kind holds.
pub(super) fn is_optional(code: u8) -> bool {
    matches!(
        code,
        code::APP0..=code::APP15 | code::COM | code::DNL | code::DAC
    )
}

/// The error for damage at `offset` of the file.
pub(super) fn damaged(offset: usize, what: &'static str) -> Error {
    Error::Damaged {
        offset: Some(offset as u64),
        what,
    }
}

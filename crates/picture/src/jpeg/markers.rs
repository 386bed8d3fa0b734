//! Reader of markers and marker segments: ITU-T T.81 B.1.1.

use memchr::memchr;

use crate::error::Error;

/// Marker codes, which are the byte after 0xFF: T.81 table B.1.
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

/// Marker with its parameters.
#[derive(Clone, Copy)]
pub(super) struct Segment<'d> {
    /// Marker code. [`code`] names the known ones.
    pub(super) code: u8,
    /// Offset in the file of the byte 0xFF of the marker.
    pub(super) offset: usize,
    /// Parameters without the two length bytes. Empty for EOI.
    pub(super) payload: &'d [u8],
}

impl Segment<'_> {
    /// Returns the error for an invalid segment. `what` names the fault.
    pub(super) fn damaged(&self, what: &'static str) -> Error {
        damaged(self.offset, what)
    }
}

/// Reader of the segments of a file.
#[derive(Debug)]
pub(super) struct MarkerReader<'d> {
    /// Whole file.
    data: &'d [u8],
    /// Offset in the file of the next byte to read.
    position: usize,
}

impl<'d> MarkerReader<'d> {
    /// Starts after SOI, the first two bytes of every JPEG file.
    ///
    /// # Errors
    /// [`Error::Empty`] if there are no bytes, [`Error::NotAnImage`] if they do not start with SOI.
    pub(super) fn new(data: &'d [u8]) -> Result<Self, Error> {
        match data {
            [] => Err(Error::Empty),
            [0xFF, code::SOI, ..] => Ok(Self { data, position: 2 }),
            _ => Err(Error::NotAnImage { kind: None }),
        }
    }

    /// Continues at `position`, an offset in the file.
    pub(super) fn resume_at(&mut self, position: usize) {
        self.position = position;
    }

    /// Returns the whole file.
    pub(super) fn data(&self) -> &'d [u8] {
        self.data
    }

    /// Returns the offset in the file of the next byte to read.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Returns the next segment, or `None` if the file ends before another marker.
    ///
    /// Skips fill bytes (B.1.1.2), markers without parameters (RSTn, TEM), and any other bytes
    /// between two segments. Some encoders leave stray bytes there, and other decoders skip them
    /// too.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the file ends inside a segment. [`Error::Damaged`] for a second SOI
    /// marker, or for a length below 2 of a segment that is not optional.
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
                code::SOI => return Err(damaged(offset, "second SOI marker")),
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

    /// Returns the next marker code and the offset of its 0xFF, or `None` at the end of the file.
    fn next_code(&mut self) -> Option<(u8, usize)> {
        let rest = self.data.get(self.position..)?;
        let mut offset = self.position + memchr(0xFF, rest)?;
        // The last 0xFF of a sequence belongs to the marker, the others are fill bytes.
        while *self.data.get(offset + 1)? == 0xFF {
            offset += 1;
        }
        self.position = offset + 2;
        Some((self.data[offset + 1], offset))
    }

    /// Reads the parameters of a marker. The length in the file includes its own two bytes.
    ///
    /// # Errors
    /// See [`next`](Self::next).
    fn payload(&mut self, code: u8, offset: usize) -> Result<&'d [u8], Error> {
        let truncated = Error::Truncated { received: None };
        let rest = self.data.get(self.position..).unwrap_or_default();
        let [high, low, ..] = *rest else {
            return Err(truncated);
        };
        let mut length = usize::from(u16::from_be_bytes([high, low]));
        if length < 2 {
            // libjpeg accepts optional segments with such a length, and so does this reader.
            if !is_optional(code) {
                return Err(damaged(offset, "segment length below 2"));
            }
            length = 2;
        }
        let payload = rest.get(2..length).ok_or(truncated)?;
        self.position += length;
        Ok(payload)
    }
}

/// Whether the picture can be decoded without the segments of this marker.
pub(super) fn is_optional(code: u8) -> bool {
    // DAC has parameters of arithmetic coding, which Huffman-coded scans do not use. DNL repeats
    // the height, because frame headers with a height of 0 are refused.
    matches!(
        code,
        code::APP0..=code::APP15 | code::COM | code::DNL | code::DAC
    )
}

/// Returns the error for invalid data at `offset` in the file. `what` names the fault.
pub(super) fn damaged(offset: usize, what: &'static str) -> Error {
    Error::Damaged {
        offset: Some(offset as u64),
        what,
    }
}

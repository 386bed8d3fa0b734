//! Boxes of an ISO base media file (ISO/IEC 14496-12, section 4.2).

use crate::bytes::Bytes;
use crate::error::Error;

/// A box and its content.
#[derive(Clone, Copy)]
pub(super) struct BmffBox<'a> {
    pub(super) kind: [u8; 4],
    pub(super) content: &'a [u8],
}

/// Walks the boxes that follow each other in `bytes`.
pub(super) struct Boxes<'a> {
    rest: &'a [u8],
}

impl<'a> Boxes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next box; `None` at the end; [`Error::TRUNCATED`] when it is longer than what remains.
    fn take(&mut self) -> Result<Option<BmffBox<'a>>, Error> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (Some(length), Some(kind)) = (self.rest.be32(0), self.rest.array(4)) else {
            return Err(Error::TRUNCATED);
        };
        let (header, length) = match length {
            // The rest of the file.
            0 => (8, self.rest.len()),
            1 => match self
                .rest
                .array(8)
                .map(u64::from_be_bytes)
                .map(usize::try_from)
            {
                Some(Ok(length)) => (16, length),
                _ => return Err(Error::TRUNCATED),
            },
            length => (8, usize::try_from(length).map_err(|_| Error::TRUNCATED)?),
        };
        if length < header {
            return Err(Error::damaged("the length of a box"));
        }
        let (whole, rest) = self.rest.split_at_checked(length).ok_or(Error::TRUNCATED)?;
        self.rest = rest;
        Ok(Some(BmffBox {
            kind,
            content: whole.get(header..).unwrap_or_default(),
        }))
    }
}

impl<'a> Iterator for Boxes<'a> {
    type Item = Result<BmffBox<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.take().transpose();
        if matches!(next, Some(Err(_))) {
            self.rest = &[];
        }
        next
    }
}

/// The version, flags and content of a full box (section 4.2.2).
pub(super) fn full_box(content: &[u8]) -> Option<(u8, u32, &[u8])> {
    let word = content.be32(0)?;
    let [version, ..] = word.to_be_bytes();
    Some((version, word & 0x00FF_FFFF, content.get(4..)?))
}

/// Reads numbers from the front of bytes.
#[derive(Clone, Copy)]
pub(super) struct NumberReader<'a>(pub(super) &'a [u8]);

impl NumberReader<'_> {
    /// A number of 0 to 8 bytes, most significant first.
    pub(super) fn read(&mut self, bytes: usize) -> Option<u64> {
        let (number, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(
            number
                .iter()
                .fold(0, |sum, &byte| sum << 8 | u64::from(byte)),
        )
    }

    /// A number of which it is known that it fits 32 bits: at most 4 bytes.
    pub(super) fn read_u32(&mut self, bytes: usize) -> Option<u32> {
        self.read(bytes)
            .and_then(|number| u32::try_from(number).ok())
    }
}

//! Boxes of the ISO base media file format (ISO/IEC 14496-12, section 4.2).

use crate::bytes::Bytes;
use crate::error::Error;

/// A box: its type, and its content without the header.
#[derive(Clone, Copy)]
pub(super) struct BmffBox<'a> {
    pub(super) kind: [u8; 4],
    pub(super) content: &'a [u8],
}

/// Iterates over consecutive boxes. Ends after the first error.
pub(super) struct Boxes<'a> {
    /// Bytes from the next box on.
    rest: &'a [u8],
}

impl<'a> Boxes<'a> {
    /// Starts at the first byte of `bytes`.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Returns the next box, or `None` at the end.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the box is longer than the remaining bytes. [`Error::Damaged`] if
    /// its length is less than that of its header.
    fn take(&mut self) -> Result<Option<BmffBox<'a>>, Error> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (Some(length), Some(kind)) = (self.rest.be32(0), self.rest.array(4)) else {
            return Err(Error::TRUNCATED);
        };
        let (header, length) = match length {
            // Length 0 means that the box extends to the end of the file.
            0 => (8, self.rest.len()),
            // Length 1 means that a length of 64 bits follows the type.
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
            return Err(Error::damaged("a box is shorter than its header"));
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
        // After an error the position of the next box is unknown.
        if matches!(next, Some(Err(_))) {
            self.rest = &[];
        }
        next
    }
}

/// Splits the content of a `FullBox` into version (8 bits), flags (24 bits) and the rest (section
/// 4.2).
pub(super) fn full_box(content: &[u8]) -> Option<(u8, u32, &[u8])> {
    let word = content.be32(0)?;
    let [version, ..] = word.to_be_bytes();
    Some((version, word & 0x00FF_FFFF, content.get(4..)?))
}

/// Reads big-endian numbers from the start of a slice, which then shrinks.
#[derive(Clone, Copy)]
pub(super) struct NumberReader<'a>(pub(super) &'a [u8]);

impl NumberReader<'_> {
    /// Reads a number of 0 to 8 bytes. Returns `None` if fewer bytes remain. 0 bytes are the number
    /// 0.
    pub(super) fn read(&mut self, bytes: usize) -> Option<u64> {
        let (number, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(
            number
                .iter()
                .fold(0, |sum, &byte| sum << 8 | u64::from(byte)),
        )
    }

    /// Reads a number of 0 to 4 bytes. Returns `None` if fewer bytes remain.
    pub(super) fn read_u32(&mut self, bytes: usize) -> Option<u32> {
        self.read(bytes)
            .and_then(|number| u32::try_from(number).ok())
    }
}

mod foreign;

use crate::{Error, Format, Policy, decode};

/// What the header of a picture says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// The format.
    pub format: Format,
    /// Width as stored, before orientation.
    pub width: u32,
    /// Height as stored, before orientation.
    pub height: u32,
}

/// Reads the header of a picture: what it is and how large. Nothing is decoded, and the cost is
/// small for any input.
///
/// ```
/// use veraicon_picture::{Error, Format, probe};
///
/// let header = probe(b"BM\0\0\0\0\0\0\0\0\x1A\0\0\0\x0C\0\0\0\x40\0\x30\0")?;
/// assert_eq!((header.format, header.width, header.height), (Format::Bmp, 64, 48));
/// assert_eq!(probe(b"%PDF-1.7"), Err(Error::NotAnImage { kind: Some("PDF") }));
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// [`Error::Empty`], [`Error::NotAnImage`], [`Error::UnsupportedFormat`], or
/// [`Error::Truncated`] and [`Error::Damaged`] when that shows in the header.
pub fn probe(bytes: &[u8]) -> Result<Header, Error> {
    if bytes.is_empty() {
        return Err(Error::Empty);
    }
    let format = Format::recognise(bytes).ok_or_else(|| foreign::verdict(bytes))?;
    let header = decode::header(bytes, format)?;
    if header.width == 0 || header.height == 0 {
        return Err(Error::damaged("no pixels"));
    }
    Ok(header)
}

/// Refuses an input that is too long.
pub(crate) fn check_length(bytes: &[u8], policy: &Policy) -> Result<(), Error> {
    let length = bytes.len() as u64;
    if length > policy.max_bytes {
        return Err(Error::TooManyBytes {
            bytes: length,
            limit: policy.max_bytes,
        });
    }
    Ok(())
}

impl Header {
    /// Refuses a picture that claims too many pixels.
    pub(crate) fn check_pixels(&self, policy: &Policy) -> Result<(), Error> {
        if self.pixels() > policy.max_pixels {
            let limit = policy.max_pixels;
            return Err(Error::TooManyPixels {
                width: self.width,
                height: self.height,
                limit,
            });
        }
        Ok(())
    }

    /// Width × height.
    pub(crate) fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

mod foreign;

use crate::decode;
use crate::error::Error;
use crate::format::Format;
use crate::header::Header;
use crate::policy::Policy;

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
/// [`Error::Truncated`], [`Error::Damaged`] and [`Error::TooComplex`] when that shows in the header.
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

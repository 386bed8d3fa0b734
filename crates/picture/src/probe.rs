mod other_formats;

use crate::decode::{self, Probed};
use crate::error::Error;
use crate::format::Format;
use crate::header::Header;

/// Reads the format and the size of a picture from its header. Pixels are not decoded, so the cost
/// is small for every input.
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
/// [`Error::Empty`] if there are no bytes, and [`Error::NotAnImage`] if the first bytes are not
/// those of a picture. [`Error::UnsupportedFormat`] if this build does not decode the format, or a
/// feature that the header states. [`Error::Truncated`] if the input ends in the header,
/// [`Error::Damaged`] if the header is invalid, and [`Error::TooComplex`] if it exceeds a fixed
/// limit.
pub fn probe(bytes: &[u8]) -> Result<Header, Error> {
    read(bytes).map(|probed| probed.header)
}

/// Reads the header like [`probe`], and keeps the parsed parts for the decoder.
///
/// # Errors
/// See [`probe`].
pub(crate) fn read(bytes: &[u8]) -> Result<Probed<'_>, Error> {
    if bytes.is_empty() {
        return Err(Error::Empty);
    }
    let format = Format::from_signature(bytes).ok_or_else(|| other_formats::identify(bytes))?;
    let probed = decode::read_header(bytes, format)?;
    // Headers of several formats can state 0. Such a picture has no square to keep.
    if probed.header.width == 0 || probed.header.height == 0 {
        return Err(Error::damaged("the width or height is 0"));
    }
    Ok(probed)
}

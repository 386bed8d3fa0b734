mod other_formats;

use crate::decode::{self, Probed};
use crate::error::Error;
use crate::format::Format;
use crate::header::Header;

/// Reads the format and the size of a picture from its header. Nothing is decoded, and the cost is
/// small for every input.
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
/// [`Error::Truncated`], [`Error::Damaged`] and [`Error::TooComplex`] if the header shows it.
pub fn probe(bytes: &[u8]) -> Result<Header, Error> {
    read(bytes).map(|probed| probed.header)
}

/// Reads the header like [`probe`], and keeps the parts that the decoder needs.
pub(crate) fn read(bytes: &[u8]) -> Result<Probed<'_>, Error> {
    if bytes.is_empty() {
        return Err(Error::Empty);
    }
    let format = Format::from_signature(bytes).ok_or_else(|| other_formats::identify(bytes))?;
    let probed = decode::read_header(bytes, format)?;
    if probed.header.width == 0 || probed.header.height == 0 {
        return Err(Error::damaged("no pixels"));
    }
    Ok(probed)
}

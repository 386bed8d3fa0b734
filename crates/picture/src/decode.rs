//! Decoders, one per format.
//!
//! Each decoder parses its container itself, so that the limits of the policy are checked before a
//! codec gets any byte. It then decodes all coded data, which proves that the picture is complete.

mod bmp_tiff;
mod gif;
mod heif;
mod jpeg;
mod placement;
mod png;
mod request;
mod webp;

pub(crate) use request::DecodeRequest;
use request::FormatDecoder;

use crate::error::Error;
use crate::format::Format;
use crate::header::Header;
use crate::jpeg::OpenedJpeg;
use crate::policy::Policy;

/// A picture whose header was parsed.
#[derive(Debug)]
pub(crate) struct Probed<'a> {
    pub(crate) header: Header,
    /// Parsed header of a JPEG, so that [`open`] does not parse it again. `None` for other formats.
    jpeg: Option<OpenedJpeg<'a>>,
}

/// Reads the header of a file whose format is known from its signature.
///
/// # Errors
/// [`Error::UnsupportedFormat`] for HEIC without the feature `heic`. [`Error::Truncated`],
/// [`Error::Damaged`], [`Error::UnsupportedFormat`] or [`Error::TooComplex`] if the header is cut,
/// invalid, of an unsupported variant, or above a limit.
pub(crate) fn read_header(bytes: &[u8], format: Format) -> Result<Probed<'_>, Error> {
    let header = match format {
        Format::Jpeg => {
            let opened = jpeg::read(bytes)?;
            return Ok(Probed {
                header: jpeg::header(&opened),
                jpeg: Some(opened),
            });
        }
        Format::Png => png::header(bytes),
        Format::Gif => gif::header(bytes),
        Format::WebP => webp::header(bytes),
        Format::Bmp => bmp_tiff::bmp_header(bytes),
        Format::Tiff => bmp_tiff::tiff_header(bytes),
        Format::Avif => heif::header(bytes, format),
        #[cfg(feature = "heic")]
        Format::Heic => heif::header(bytes, format),
        #[cfg(not(feature = "heic"))]
        Format::Heic => Err(Error::UnsupportedFormat {
            what: format.name(),
        }),
    }?;
    Ok(Probed { header, jpeg: None })
}

/// Parses the container of a picture whose size is within the limits.
///
/// # Errors
/// [`Error::Truncated`] and [`Error::Damaged`] if the container is cut or invalid.
/// [`Error::TooComplex`] if it has more frames, profile bytes or work than the policy allows.
/// [`Error::TooManyPixels`] if a HEIF picture exceeds the limit before its clean aperture is
/// applied.
pub(crate) fn open<'a>(
    bytes: &'a [u8],
    probed: Probed<'a>,
    policy: &Policy,
) -> Result<Box<dyn FormatDecoder<'a> + 'a>, Error> {
    let Probed { header, jpeg } = probed;
    Ok(match header.format {
        Format::Jpeg => {
            // `read_header` always sets `jpeg` for this format; parsing again is only a fallback.
            let opened = jpeg.map_or_else(|| jpeg::read(bytes), Ok)?;
            Box::new(jpeg::Jpeg::open(opened, policy)?)
        }
        Format::Png => Box::new(png::Png::open(bytes, policy)?),
        Format::Gif => Box::new(gif::Gif::open(bytes, &header)),
        Format::WebP => Box::new(webp::WebP::open(bytes, policy)?),
        Format::Bmp | Format::Tiff => Box::new(bmp_tiff::FullFrame::open(bytes, &header)),
        Format::Avif => Box::new(heif::Heif::open(bytes, header.format, policy)?),
        #[cfg(feature = "heic")]
        Format::Heic => Box::new(heif::Heif::open(bytes, header.format, policy)?),
        #[cfg(not(feature = "heic"))]
        Format::Heic => {
            return Err(Error::UnsupportedFormat {
                what: header.format.name(),
            });
        }
    })
}

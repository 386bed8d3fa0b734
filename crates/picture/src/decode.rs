//! The decoders, one a format. Each reads its container itself, so that limits hold before any
//! codec sees a byte, and decodes all of it, which is the proof that the picture is whole.

mod canvas;
mod foreign;
mod gif;
mod heif;
mod jpeg;
mod png;
mod request;
mod webp;

use request::Source;
pub(crate) use request::Wanted;

use crate::error::Error;
use crate::format::Format;
use crate::header::Header;
use crate::policy::Policy;

/// Reads the header of a known format.
pub(crate) fn header(bytes: &[u8], format: Format) -> Result<Header, Error> {
    match format {
        Format::Jpeg => jpeg::header(bytes),
        Format::Png => png::header(bytes),
        Format::Gif => gif::header(bytes),
        Format::WebP => webp::header(bytes),
        Format::Bmp => foreign::bmp_header(bytes),
        Format::Tiff => foreign::tiff_header(bytes),
        Format::Avif => heif::header(bytes, format),
        #[cfg(feature = "heic")]
        Format::Heic => heif::header(bytes, format),
        #[cfg(not(feature = "heic"))]
        Format::Heic => Err(Error::UnsupportedFormat {
            what: format.name(),
        }),
    }
}

/// Reads the container of a picture whose size is within the limits.
pub(crate) fn open<'a>(
    bytes: &'a [u8],
    header: &Header,
    policy: &Policy,
) -> Result<Box<dyn Source<'a> + 'a>, Error> {
    Ok(match header.format {
        Format::Jpeg => Box::new(jpeg::Jpeg::open(bytes, policy)?),
        Format::Png => Box::new(png::Png::open(bytes, policy)?),
        Format::Gif => Box::new(gif::Gif::open(bytes, header)),
        Format::WebP => Box::new(webp::WebP::open(bytes, policy)?),
        Format::Bmp | Format::Tiff => Box::new(foreign::Whole::open(bytes, header)),
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

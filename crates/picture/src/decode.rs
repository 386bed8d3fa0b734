//! The decoders, one a format. Each reads its container itself, so that limits hold before any
//! codec sees a byte, and decodes all of it, which is the proof that the picture is whole.

mod canvas;
mod foreign;
mod gif;
mod heif;
mod jpeg;
mod png;
mod webp;

pub(crate) use jpeg::peak_memory as jpeg_memory;

use crate::colour::ColourSpace;
use crate::crop::Square;
use crate::orientation::Orientation;
use crate::raster::Pixels;
use crate::{Error, Format, Header, Policy};

/// A picture whose container was read and found in order.
pub(crate) trait Source<'a> {
    /// How its pixels are to be turned.
    fn orientation(&self) -> Orientation;

    /// Decodes all of it, and keeps what the outputs need.
    fn decode(self: Box<Self>, wanted: Wanted<'_>) -> Result<Decoded<'a>, Error>;
}

/// What the outputs need of a picture.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// The square to keep, in stored pixels; it lies inside the picture.
    pub(crate) square: Square,
    /// Side of the largest output, at most that of the square.
    pub(crate) side: u32,
    pub(crate) policy: &'a Policy,
}

/// Pixels that hold the wanted square, perhaps reduced, never below
/// [`MARGIN`](crate::reduce::MARGIN) times the largest output.
pub(crate) struct Decoded<'a> {
    pub(crate) pixels: Pixels,
    pub(crate) space: ColourSpace<'a>,
}

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

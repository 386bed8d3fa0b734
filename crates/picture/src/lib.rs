//! Proves that bytes are a complete picture, and makes small, clean, square pictures of it.
//!
//! Bytes and a [`Policy`] go in; [`Pictures`] or an [`Error`] come out. There is no I/O and no
//! clock. The only state is buffers that each thread reuses.
//!
//! * Every byte that codes a pixel is decoded. So a truncated or damaged picture is refused.
//! * Limits are checked before memory is allocated.
//! * Outputs are newly encoded from pixels: upright, in sRGB, without metadata, never enlarged.
//!
//! ```
//! use veraicon_picture::{Error, OutputFormat, Policy, encode, process};
//!
//! let upload = encode(&[200; 100 * 100 * 4], 100, OutputFormat::WebP, 90)?;
//! let pictures = process(&upload, &Policy::default(), None)?;
//! assert_eq!(pictures.source.width, 100);
//! assert_eq!(pictures.outputs[0].size, 512);
//! assert_eq!(pictures.outputs[0].side, 100);
//!
//! let cut = process(&upload[..upload.len() - 9], &Policy::default(), None);
//! assert!(matches!(cut, Err(Error::Truncated { .. })));
//! # Ok::<(), Error>(())
//! ```

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod bytes;
mod colour;
mod crop;
mod decode;
mod encode;
mod error;
mod exif;
mod format;
mod geometry;
mod header;
pub mod jpeg;
mod opened;
mod orientation;
mod picture;
mod pixels;
mod planar;
mod policy;
mod probe;
mod raster;
mod reduce;
mod resize;
mod yuv;

pub use crop::Crop;
pub use encode::encode;
pub use error::{Complexity, Error};
pub use format::Format;
pub use header::Header;
pub use opened::{Opened, open};
pub use picture::{Picture, Pictures, Source};
pub use policy::{OutputFormat, Policy};
pub use probe::probe;

/// Decodes a picture, and encodes it as small squares: [`open`], then [`Opened::shape`].
///
/// `crop` is the square of the upright picture to keep. Without it, the largest square in the
/// centre is kept. There is one output per size of the policy, largest first.
///
/// # Errors
/// See [`Error`]. All variants except [`Error::Policy`] and [`Error::Encoder`] are faults of the
/// input.
pub fn process(bytes: &[u8], policy: &Policy, crop: Option<Crop>) -> Result<Pictures, Error> {
    open(bytes, policy)?.shape(crop)
}

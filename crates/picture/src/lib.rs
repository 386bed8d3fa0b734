//! Validation of uploaded pictures, and their conversion to small square pictures.
//!
//! [`process`] takes the bytes of an upload and a [`Policy`], and returns [`Pictures`] or an
//! [`Error`]. The crate has no I/O and no clock. Its only state is buffers and colour transforms
//! that each thread reuses.
//!
//! * The picture is decoded to its end. A truncated or damaged picture is refused.
//! * Limits are checked before memory is allocated.
//! * Outputs are encoded from pixels: upright, in sRGB, without metadata. They are never enlarged.
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
/// centre is kept. There is one output per distinct size of the policy, largest first.
///
/// # Errors
/// [`Error::Policy`] if the policy is invalid, and [`Error::Encoder`] if the encoder fails.
/// [`Error::CropOutside`] if the crop is empty or not inside the picture. All other variants
/// describe a fault of the input.
pub fn process(bytes: &[u8], policy: &Policy, crop: Option<Crop>) -> Result<Pictures, Error> {
    open(bytes, policy)?.shape(crop)
}

//! JPEG decoder that reduces the picture while it decodes.
//!
//! The decoder parses every entropy-coded bit, so it detects every truncated or invalid scan. It
//! keeps only the coefficients that the requested [`Scale`] needs.
//!
//! It reads Huffman-coded files of ITU-T T.81 in the baseline, extended sequential and progressive
//! modes, with 8 bits per sample, 1, 3 or 4 components, and sampling factors of 1 to 4.
//!
//! ```
//! # fn shape(bytes: &[u8]) -> Result<(), veraicon_picture::Error> {
//! use veraicon_picture::jpeg::{Decoder, Limits, Scale, read_header};
//!
//! let header = read_header(bytes)?;
//! let scale = Scale::at_least(header.width.min(header.height), 700);
//! let planes = Decoder::default().decode(bytes, scale, None, &Limits::default())?;
//! # Ok(()) }
//! ```

mod baseline;
mod bits;
mod colour;
mod decoder;
mod dispatch;
mod frame_decoder;
mod frame_header;
mod header;
mod huffman;
mod idct;
mod limits;
mod lookup;
mod markers;
mod memory;
mod metadata;
mod planes;
mod progression;
mod progressive;
mod scan_header;
mod select;
mod source;
mod tables;
mod window;

pub use colour::{ColourModel, cmyk_to_rgb};
pub use decoder::{Decoder, RETAINED};
pub use header::{JpegHeader, read_header};
pub(crate) use header::{OpenedJpeg, open};
pub use limits::Limits;
pub(crate) use memory::Footprint;
pub use planes::{Plane, Planes, Region, Scale};

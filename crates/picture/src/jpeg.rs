//! JPEG, scaled while it is decoded.
//!
//! A decoder for pictures that become small: it parses every entropy-coded bit of a file, which
//! proves that all of the picture is there and undamaged, but keeps only the coefficients that the
//! wanted size needs. What ITU-T T.81 calls baseline, extended sequential and progressive is decoded,
//! Huffman-coded, with 8 bits a sample and 1, 3 or 4 components of any sampling.
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

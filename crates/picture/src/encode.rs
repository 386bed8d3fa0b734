//! Encoding of squares to output files.

mod webp;

use crate::colour::SrgbSquare;
use crate::error::Error;
use crate::picture::Picture;
use crate::policy::OutputFormat;
use crate::policy::Policy;
use crate::raster::{Channels, CropBox, Raster, Samples};
use crate::resize;

/// Encodes pixels of the caller, such as a generated default picture.
///
/// `rgba` has `side` × `side` pixels in sRGB, row by row: 8 bits per sample, straight alpha.
/// `quality` is from 1 to 100.
///
/// ```
/// use veraicon_picture::{OutputFormat, encode};
///
/// let grey = vec![128; 16 * 16 * 4];
/// let bytes = encode(&grey, 16, OutputFormat::WebP, 80)?;
/// assert!(bytes.starts_with(b"RIFF"));
/// # Ok::<(), veraicon_picture::Error>(())
/// ```
///
/// # Errors
/// [`Error::Encoder`] if the length of `rgba` is not `side` × `side` × 4, `side` is 0 or above
/// 16,383, or the encoder runs out of memory.
pub fn encode(rgba: &[u8], side: u32, format: OutputFormat, quality: u8) -> Result<Vec<u8>, Error> {
    let expected = u64::from(side) * u64::from(side) * 4;
    if u64::try_from(rgba.len()).ok() != Some(expected) {
        return Err(Error::Encoder {
            what: "the number of pixels does not match the side",
        });
    }
    let square = SrgbSquare::new(side, true, rgba.to_vec());
    encode_square(&square, format, quality)
}

/// Encodes one picture per distinct size of the policy, largest first.
///
/// `largest` has the side of the largest output.
///
/// # Errors
/// [`Error::Encoder`] if the resizer or the encoder fails.
pub(crate) fn sizes(largest: SrgbSquare, policy: &Policy) -> Result<Vec<Picture>, Error> {
    let mut sizes = policy.sizes.clone();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes.dedup();
    let mut square = largest;
    let mut outputs: Vec<Picture> = Vec::with_capacity(sizes.len());
    for size in sizes {
        // Pictures are never enlarged: a small picture has several outputs with the same side.
        let side = size.min(square.side);
        let bytes = match outputs.last() {
            // A small source gives several sizes the same side, and so the same bytes.
            Some(larger) if larger.side == side => larger.bytes.clone(),
            _ => {
                // Each output is reduced from the next larger one, which has fewer pixels than the
                // largest.
                square = shrink(square, side)?;
                encode_square(&square, policy.format, policy.quality)?
            }
        };
        outputs.push(Picture { size, side, bytes });
    }
    Ok(outputs)
}

/// Reduces a square to `side` × `side` pixels.
///
/// # Errors
/// [`Error::Encoder`] if the resizer fails.
fn shrink(square: SrgbSquare, side: u32) -> Result<SrgbSquare, Error> {
    if square.side == side {
        return Ok(square);
    }
    let channels = if square.has_alpha {
        Channels::Rgba
    } else {
        Channels::Rgb
    };
    let whole = f64::from(square.side);
    let crop_box = CropBox {
        x: 0.0,
        y: 0.0,
        width: whole,
        height: whole,
    };
    let raster = Raster {
        width: square.side,
        height: square.side,
        channels,
        samples: Samples::Eight(square.pixels),
    };
    // The resizer keeps the sample depth, so the other branch cannot happen.
    let Samples::Eight(pixels) = resize::interleaved(&raster, crop_box, side)?.samples else {
        // The resizer keeps the sample depth.
        return Err(Error::Encoder { what: "resize" });
    };
    Ok(SrgbSquare::new(side, square.has_alpha, pixels))
}

/// Encodes a square in an output format.
///
/// # Errors
/// [`Error::Encoder`] if the encoder fails.
fn encode_square(square: &SrgbSquare, format: OutputFormat, quality: u8) -> Result<Vec<u8>, Error> {
    match format {
        OutputFormat::WebP => webp::encode(square, quality),
    }
}

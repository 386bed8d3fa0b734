//! Encoding of sRGB squares into output files, one per configured size.

mod webp;

use crate::colour::SrgbSquare;
use crate::error::Error;
use crate::picture::Picture;
use crate::policy::OutputFormat;
use crate::policy::Policy;
use crate::raster::{Channels, CropBox, Raster, Samples};
use crate::resize;

/// Encodes pixels that the caller made, such as a drawn default picture.
///
/// `rgba` holds `side` × `side` pixels in row order: red, green, blue and straight alpha, 8 bits
/// each, in sRGB. `quality` is 1 to 100.
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
/// [`Error::Encoder`] if `rgba` is not `side` × `side` × 4 bytes long, or if the encoder fails.
pub fn encode(rgba: &[u8], side: u32, format: OutputFormat, quality: u8) -> Result<Vec<u8>, Error> {
    let expected = u64::from(side) * u64::from(side) * 4;
    if u64::try_from(rgba.len()).ok() != Some(expected) {
        return Err(Error::Encoder {
            what: "the pixels are not side × side × 4 bytes",
        });
    }
    let square = SrgbSquare::new(side, true, rgba.to_vec());
    encode_square(&square, format, quality)
}

/// Encodes one picture per configured size, largest first.
///
/// `largest` is the square for the largest size. A source that is smaller than a size is not
/// enlarged: the output then has the side of the source.
///
/// # Errors
/// [`Error::Encoder`] if resizing or encoding fails.
pub(crate) fn sizes(largest: SrgbSquare, policy: &Policy) -> Result<Vec<Picture>, Error> {
    let mut sizes = policy.sizes.clone();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes.dedup();
    let mut square = largest;
    let mut outputs: Vec<Picture> = Vec::with_capacity(sizes.len());
    for size in sizes {
        let side = size.min(square.side);
        let bytes = match outputs.last() {
            // A small source gives several sizes the same side, and so the same bytes.
            Some(larger) if larger.side == side => larger.bytes.clone(),
            _ => {
                // Each size is made from the next larger one, which has fewer samples to filter.
                square = shrink(square, side)?;
                encode_square(&square, policy.format, policy.quality)?
            }
        };
        outputs.push(Picture { size, side, bytes });
    }
    Ok(outputs)
}

/// Resizes a square to `side` × `side` pixels.
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
        return Err(Error::Encoder {
            what: "resizing changed the sample depth",
        });
    };
    Ok(SrgbSquare::new(side, square.has_alpha, pixels))
}

/// Encodes a square in `format`. `quality` is 1 to 100.
fn encode_square(square: &SrgbSquare, format: OutputFormat, quality: u8) -> Result<Vec<u8>, Error> {
    match format {
        OutputFormat::WebP => webp::encode(square, quality),
    }
}

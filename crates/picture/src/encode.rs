//! Encoding of outputs.

mod webp;

use crate::colour::SrgbSquare;
use crate::error::Error;
use crate::picture::Picture;
use crate::policy::OutputFormat;
use crate::policy::Policy;
use crate::raster::{Channels, CropBox, Raster, Samples};
use crate::resize;

/// Encodes pixels that the caller has drawn, such as default pictures.
///
/// `rgba` holds `side` × `side` pixels row by row: 8 bits per sample, straight alpha.
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
/// [`Error::Encoder`] if the length does not match the side, or the encoder fails.
pub fn encode(rgba: &[u8], side: u32, format: OutputFormat, quality: u8) -> Result<Vec<u8>, Error> {
    let expected = u64::from(side) * u64::from(side) * 4;
    if u64::try_from(rgba.len()).ok() != Some(expected) {
        return Err(Error::Encoder {
            what: "pixels do not fit the side",
        });
    }
    let square = SrgbSquare::new(side, true, rgba.to_vec());
    encode_square(&square, format, quality)
}

/// Encodes one picture per configured size, largest first. Each is reduced from the largest.
pub(crate) fn sizes(largest: SrgbSquare, policy: &Policy) -> Result<Vec<Picture>, Error> {
    let mut sizes = policy.sizes.clone();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes.dedup();
    let mut square = largest;
    let mut outputs: Vec<Picture> = Vec::with_capacity(sizes.len());
    for size in sizes {
        let side = size.min(square.side);
        let bytes = match outputs.last() {
            Some(larger) if larger.side == side => larger.bytes.clone(),
            _ => {
                square = shrink(square, side)?;
                encode_square(&square, policy.format, policy.quality)?
            }
        };
        outputs.push(Picture { size, side, bytes });
    }
    Ok(outputs)
}

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
    let Samples::Eight(pixels) = resize::interleaved(&raster, crop_box, side)?.samples else {
        return Err(Error::Encoder { what: "resize" });
    };
    Ok(SrgbSquare::new(side, square.has_alpha, pixels))
}

fn encode_square(square: &SrgbSquare, format: OutputFormat, quality: u8) -> Result<Vec<u8>, Error> {
    match format {
        OutputFormat::WebP => webp::encode(square, quality),
    }
}

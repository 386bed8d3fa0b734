//! The header of a picture, and the memory that decoding it takes.

use crate::crop::Crop;
use crate::error::Error;
use crate::format::Format;
use crate::jpeg::Footprint;
use crate::policy::Policy;
use crate::reduce::max_reduced_side;

/// The format and size that the header of a picture states.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// The format.
    pub format: Format,
    /// Width in pixels as stored, before orientation.
    pub width: u32,
    /// Height in pixels as stored, before orientation.
    pub height: u32,
    decoder: DecoderMemory,
}

/// Maximum number of bytes that the decoder holds at once. Each decoder computes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DecoderMemory {
    /// The same for all crops and sizes.
    Fixed(u64),
    /// Depends on the outputs: a JPEG is decoded at the scale that they need.
    Scaled(Footprint),
}

impl From<u64> for DecoderMemory {
    fn from(bytes: u64) -> Self {
        Self::Fixed(bytes)
    }
}

/// Bytes per pixel of the reduced square: four channels of 16 bits, twice during the filter.
const REDUCED_BYTES: u64 = 2 * 8;
/// Bytes per pixel of an output in the resizer and in libwebp's encoder: the filtered square and
/// its 8-bit copies (16), planes, macroblocks and tokens (14).
const OPAQUE_BYTES: u64 = 30;
/// Bytes per pixel for the lossless coding of alpha: hash chains and back references.
const ALPHA_BYTES: u64 = 66;
/// Bytes for cached colour transforms, tables of codecs, and overhead of the allocator.
const FIXED_BYTES: u64 = 12 << 20;

impl Header {
    pub(crate) fn new(
        format: Format,
        width: u32,
        height: u32,
        decoder: impl Into<DecoderMemory>,
    ) -> Self {
        Self {
            format,
            width,
            height,
            decoder: decoder.into(),
        }
    }

    /// Returns the maximum number of bytes that [`process`](crate::process) holds at once for this
    /// picture and crop, without the input. A crop larger than the picture counts as the largest
    /// square; it is refused before anything is decoded.
    ///
    /// It is the sum of the decoder's memory, at most two profiles, the reduced square (below twice
    /// the [margin of 1.4](crate::Policy::sizes) of the largest size), the outputs, and a fixed
    /// part. Not included are the Huffman tables that a hostile lossless WebP makes libwebp
    /// allocate: up to 11 KiB per block of 4 × 4 pixels, at most 65,536 of them.
    ///
    /// ```
    /// use veraicon_picture::{Policy, probe};
    ///
    /// let header = probe(b"BM\0\0\0\0\0\0\0\0\x1A\0\0\0\x0C\0\0\0\x40\0\x30\0")?;
    /// assert!(header.peak_memory(&Policy::default(), None) < 64 << 20);
    /// # Ok::<(), veraicon_picture::Error>(())
    /// ```
    #[must_use]
    pub fn peak_memory(&self, policy: &Policy, crop: Option<Crop>) -> u64 {
        let whole = self.width.min(self.height);
        let square = crop.map_or(whole, |crop| crop.size.min(whole));
        let side = square.min(policy.largest_size());
        let output = u64::from(side);
        let reduced = max_reduced_side(square, side);
        let area = |side: u64| side.saturating_mul(side);
        let (decoder, reduced_bytes, output_bytes) = match &self.decoder {
            DecoderMemory::Fixed(bytes) => (*bytes, REDUCED_BYTES, OPAQUE_BYTES + ALPHA_BYTES),
            // A JPEG has no alpha, and the decoder's planes are the reduced square.
            DecoderMemory::Scaled(footprint) => {
                let size = (self.width, self.height);
                let decoder = footprint.peak_memory_for_square(size, square, policy.largest_size());
                (decoder, 0, OPAQUE_BYTES)
            }
        };
        [
            decoder,
            policy.max_profile_bytes.saturating_mul(2),
            area(reduced).saturating_mul(reduced_bytes),
            area(output).saturating_mul(output_bytes),
            FIXED_BYTES,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }

    /// Checks that the policy lists the format.
    ///
    /// # Errors
    /// [`Error::UnsupportedFormat`] if it does not.
    pub(crate) fn check_format(&self, policy: &Policy) -> Result<(), Error> {
        if policy.formats.contains(&self.format) {
            return Ok(());
        }
        let what = self.format.name();
        Err(Error::UnsupportedFormat { what })
    }

    /// Checks the number of pixels that the header states.
    ///
    /// # Errors
    /// [`Error::TooManyPixels`] if it is above the limit of the policy.
    pub(crate) fn check_pixels(&self, policy: &Policy) -> Result<(), Error> {
        if self.pixels() > policy.max_pixels {
            let limit = policy.max_pixels;
            return Err(Error::TooManyPixels {
                width: self.width,
                height: self.height,
                limit,
            });
        }
        Ok(())
    }

    /// Returns the number of pixels: width × height.
    pub(crate) fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

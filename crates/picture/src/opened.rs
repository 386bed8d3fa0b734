//! Picture whose header is read, and the steps from there to the outputs.

use crate::crop::Crop;
use crate::decode::{self, DecodeRequest, Probed};
use crate::error::Error;
use crate::header::Header;
use crate::picture::{Pictures, Source};
use crate::policy::Policy;
use crate::{colour, encode, geometry, probe};

/// A picture whose header was read and is within the limits of its policy.
///
/// It borrows the input and the policy. The header of a JPEG is parsed only once, by [`open`].
#[derive(Debug)]
pub struct Opened<'a> {
    bytes: &'a [u8],
    policy: &'a Policy,
    probed: Probed<'a>,
}

/// Reads the header of a picture, and checks it against the policy. Nothing is decoded.
///
/// Use it instead of [`process`](crate::process) to learn the size or the memory of a picture
/// before it is decoded.
///
/// ```
/// use veraicon_picture::{OutputFormat, Policy, encode, open};
///
/// let upload = encode(&[200; 100 * 100 * 4], 100, OutputFormat::WebP, 90)?;
/// let policy = Policy::default();
/// let opened = open(&upload, &policy)?;
/// assert_eq!(opened.header().width, 100);
/// assert!(opened.peak_memory(None) < 64 << 20);
/// assert_eq!(opened.shape(None)?.outputs.len(), 4);
/// # Ok::<(), veraicon_picture::Error>(())
/// ```
///
/// # Errors
/// In this order: [`Error::Policy`] if the policy is invalid, [`Error::TooManyBytes`] if the input
/// is too long, the errors of [`probe`](crate::probe), [`Error::UnsupportedFormat`] if the policy
/// does not list the format, and [`Error::TooManyPixels`] if the picture is too large.
pub fn open<'a>(bytes: &'a [u8], policy: &'a Policy) -> Result<Opened<'a>, Error> {
    policy.validate()?;
    policy.check_length(bytes)?;
    let probed = probe::read(bytes)?;
    probed.header.check_format(policy)?;
    probed.header.check_pixels(policy)?;
    Ok(Opened {
        bytes,
        policy,
        probed,
    })
}

impl Opened<'_> {
    /// Returns the header of the picture.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.probed.header
    }

    /// Returns the largest number of bytes that [`shape`](Self::shape) holds at once for this crop:
    /// see [`Header::peak_memory`].
    #[must_use]
    pub fn peak_memory(&self, crop: Option<Crop>) -> u64 {
        self.header().peak_memory(self.policy, crop)
    }

    /// Decodes the picture, crops it, and encodes the outputs.
    ///
    /// # Errors
    /// See [`process`](crate::process). Only the errors of [`open`] cannot occur any more.
    pub fn shape(self, crop: Option<Crop>) -> Result<Pictures, Error> {
        let Self {
            bytes,
            policy,
            probed,
        } = self;
        let Header {
            format,
            width: stored_width,
            height: stored_height,
            ..
        } = probed.header;
        // The container is read before the crop is checked, so a damaged file is reported as
        // damaged, not as a bad crop.
        let decoder = decode::open(bytes, probed, policy)?;
        let orientation = decoder.orientation();
        let (width, height) = orientation.dimensions(stored_width, stored_height);
        let upright = geometry::crop_square(width, height, crop)?;
        let square = orientation.stored_square(upright, stored_width, stored_height);
        let side = policy.largest_size().min(square.size);

        let decoded = decoder.decode(DecodeRequest {
            square,
            side,
            policy,
        })?;
        let resized = decoded.pixels.resize(side)?;
        let mut square = colour::to_srgb(resized, &decoded.space);
        square.orient(orientation);

        let outputs = encode::sizes(square, policy)?;
        Ok(Pictures {
            source: Source {
                format,
                width,
                height,
            },
            outputs,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Format;

    #[test]
    fn checks_have_an_order() {
        // A bitmap of 64 × 48 pixels.
        let bitmap = b"BM\0\0\0\0\0\0\0\0\x1A\0\0\0\x0C\0\0\0\x40\0\x30\0";
        let mut policy = Policy {
            sizes: Vec::new(),
            max_bytes: 1,
            formats: vec![Format::Png],
            max_pixels: 1,
            ..Policy::default()
        };
        let refusal = |bytes: &[u8], policy: &Policy| open(bytes, policy).map(|_| ()).unwrap_err();
        assert!(matches!(refusal(bitmap, &policy), Error::Policy { .. }));
        policy.sizes = vec![64];
        assert!(matches!(
            refusal(bitmap, &policy),
            Error::TooManyBytes { .. }
        ));
        policy.max_bytes = 1 << 10;
        assert_eq!(
            refusal(b"%PDF-", &policy).to_string(),
            "not a picture but PDF"
        );
        assert!(matches!(
            refusal(bitmap, &policy),
            Error::UnsupportedFormat { what: "BMP" }
        ));
        policy.formats = vec![Format::Bmp];
        assert!(matches!(
            refusal(bitmap, &policy),
            Error::TooManyPixels { .. }
        ));
        policy.max_pixels = 64 * 48;
        assert!(open(bitmap, &policy).is_ok());
    }
}

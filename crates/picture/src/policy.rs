use crate::error::Error;
use crate::format::Format;

/// Largest side of a lossy WebP, in pixels. The frame header of VP8 has 14 bits for each side
/// (RFC 6386, section 9.1).
const WEBP_MAX_SIDE: u32 = 16_383;

/// Limits for inputs, and settings for outputs.
///
/// ```
/// use veraicon_picture::Policy;
///
/// let policy = Policy { sizes: vec![256, 32], quality: 75, ..Policy::default() };
/// assert!(policy.validate().is_ok());
/// ```
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Accepted input formats. Default: [`Format::ACCEPTED`], all formats that this build decodes.
    pub formats: Vec<Format>,
    /// Maximum length of the input, in bytes. Default: 20 MiB.
    pub max_bytes: u64,
    /// Maximum number of pixels of the input, width × height. Default: 100 million.
    pub max_pixels: u64,
    /// Maximum number of frames of an animation. Default: 2,000.
    pub max_frames: u32,
    /// Maximum length of an ICC profile after decompression, in bytes. A picture with a longer
    /// profile is refused. Default: 4 MiB, because profiles of printing presses reach 3 MiB.
    pub max_profile_bytes: u64,
    /// Maximum number of pixels decoded in total: over the frames of an animation, the scans of a
    /// JPEG or the items of a HEIF file. Default: 1,000 million, a few seconds of work.
    pub max_work: u64,
    /// Sides of the outputs in pixels, in any order. Default: 512, 256, 128, 64.
    pub sizes: Vec<u32>,
    /// Format of the outputs. Default: WebP.
    pub format: OutputFormat,
    /// Quality of the outputs, 1 to 100. Default: 80.
    pub quality: u8,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            formats: Format::ACCEPTED.to_vec(),
            max_bytes: 20 << 20,
            max_pixels: 100_000_000,
            max_frames: 2_000,
            max_profile_bytes: 4 << 20,
            max_work: 1_000_000_000,
            sizes: vec![512, 256, 128, 64],
            format: OutputFormat::WebP,
            quality: 80,
        }
    }
}

impl Policy {
    /// Checks that the policy is valid. [`process`](crate::process) and [`open`](crate::open) call
    /// this function.
    ///
    /// # Errors
    /// [`Error::Policy`] if `sizes` is empty, a size is 0 or above 16,383, or the quality is
    /// outside 1 to 100.
    pub fn validate(&self) -> Result<(), Error> {
        if self.sizes.is_empty() {
            return Err(Error::Policy {
                what: "sizes is empty",
            });
        }
        if self
            .sizes
            .iter()
            .any(|size| !(1..=WEBP_MAX_SIDE).contains(size))
        {
            return Err(Error::Policy {
                what: "sizes must be from 1 to 16383",
            });
        }
        if !(1..=100).contains(&self.quality) {
            return Err(Error::Policy {
                what: "quality must be from 1 to 100",
            });
        }
        Ok(())
    }

    /// Refuses an input longer than [`max_bytes`](Self::max_bytes).
    ///
    /// # Errors
    /// [`Error::TooManyBytes`] with the length and the limit.
    pub(crate) fn check_length(&self, bytes: &[u8]) -> Result<(), Error> {
        let length = bytes.len() as u64;
        if length > self.max_bytes {
            return Err(Error::TooManyBytes {
                bytes: length,
                limit: self.max_bytes,
            });
        }
        Ok(())
    }

    /// Returns the largest size in pixels, or 1 if there are no sizes.
    pub(crate) fn largest_size(&self) -> u32 {
        // `peak_memory` accepts a policy that was not validated, so `sizes` may be empty here.
        self.sizes.iter().copied().max().unwrap_or(1)
    }
}

/// An output format.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutputFormat {
    /// Lossy WebP, with alpha if the picture has transparent pixels.
    WebP,
}

impl OutputFormat {
    /// Returns the file name extension, without the dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::WebP => "webp",
        }
    }

    /// Returns the media type, as in the header `Content-Type`.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::WebP => "image/webp",
        }
    }
}

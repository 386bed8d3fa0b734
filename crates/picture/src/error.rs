use std::fmt;

use crate::crop::Crop;

/// An error of this crate: the cause why an input was refused or a call failed.
///
/// Variants for limits hold the measured value and the limit. `Display` writes English texts for
/// logs. A service can make its own messages from the values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input is empty.
    #[error("the input is empty")]
    Empty,

    /// The input is longer than [`Policy::max_bytes`](crate::Policy::max_bytes).
    #[error("the input has {bytes} bytes, limit {limit}")]
    TooManyBytes {
        /// Length of the input, in bytes.
        bytes: u64,
        /// The limit, in bytes.
        limit: u64,
    },

    /// The input is not a picture in any known format.
    #[error("not a picture{}", kind.map(|kind| format!(" but {kind}")).unwrap_or_default())]
    NotAnImage {
        /// Kind of file, such as `"PDF"`, if the first bytes identify it.
        kind: Option<&'static str>,
    },

    /// The input is a picture in a format that this build does not decode.
    #[error("{what} is not supported")]
    UnsupportedFormat {
        /// Name of the format, such as `"HEIC"` or `"arithmetic-coded JPEG"`.
        what: &'static str,
    },

    /// The header states more pixels than [`Policy::max_pixels`](crate::Policy::max_pixels).
    #[error("{width} x {height} pixels, limit {limit}")]
    TooManyPixels {
        /// Width as stored, before orientation, in pixels.
        width: u32,
        /// Height as stored, before orientation, in pixels.
        height: u32,
        /// The limit for width × height.
        limit: u64,
    },

    /// The input ends before the picture is complete.
    #[error(
        "truncated{}",
        received.map(|percent| format!(" after {percent} %")).unwrap_or_default()
    )]
    Truncated {
        /// Percentage of the picture that the input contains, 0 to 99, if known. It is never known
        /// for a progressive JPEG, because each scan covers the whole picture.
        received: Option<u8>,
    },

    /// The picture violates the specification of its format.
    #[error("damaged{}: {what}", offset.map(|byte| format!(" at byte {byte}")).unwrap_or_default())]
    Damaged {
        /// Offset in the input at which the damage was detected, in bytes, if known.
        offset: Option<u64>,
        /// Description of the damage.
        what: &'static str,
    },

    /// Decoding the picture would cost more than the policy allows.
    #[error("too complex: {value} {what}, limit {limit}")]
    TooComplex {
        /// Quantity that is too large.
        what: Complexity,
        /// The measured value. If counting stopped early, the value at that point.
        value: u64,
        /// The limit.
        limit: u64,
    },

    /// The crop square is empty, or not inside the upright picture.
    #[error(
        "crop of {size} x {size} at {x}, {y} is empty or not inside {width} x {height} pixels",
        size = crop.size,
        x = crop.x,
        y = crop.y
    )]
    CropOutside {
        /// The requested square.
        crop: Crop,
        /// Width of the upright picture, in pixels.
        width: u32,
        /// Height of the upright picture, in pixels.
        height: u32,
    },

    /// The policy is invalid. This is a fault of the caller, never of the input.
    #[error("invalid policy: {what}")]
    Policy {
        /// Description of the fault.
        what: &'static str,
    },

    /// An output could not be encoded. This is a fault of this crate, never of the input.
    #[error("encoding failed: {what}")]
    Encoder {
        /// Step that failed.
        what: &'static str,
    },
}

/// A limited quantity in [`Error::TooComplex`].
///
/// `Display` writes an English plural, for use after a number. The enum is exhaustive, so that a
/// service with its own messages fails to compile until it has a message for a new quantity.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Complexity {
    /// Bytes of memory that decoding needs. Only callers use it: they compare
    /// [`Header::peak_memory`](crate::Header::peak_memory) with their own limit.
    MemoryBytes,
    /// Bytes of the ICC profile after decompression.
    ProfileBytes,
    /// Frames of an animation.
    Frames,
    /// Pixels of all frames together. Items of a HEIF file count as frames.
    FramePixels,
    /// Scans of a progressive JPEG.
    Scans,
    /// Blocks of 8 × 8 samples, summed over all scans of a JPEG.
    ScanBlocks,
    /// Values of one TIFF tag.
    TagValues,
    /// Items of a HEIF file (box `iinf`).
    Items,
    /// Bytes of all HEIF items that are decoded.
    ItemBytes,
    /// Locations of HEIF items (box `iloc`).
    ItemLocations,
    /// Extents of all HEIF items together (box `iloc`).
    ItemExtents,
    /// Properties of a HEIF file (box `ipco`).
    Properties,
    /// HEIF items that have properties (box `ipma`).
    ItemsWithProperties,
    /// Properties of all HEIF items together (box `ipma`).
    ItemProperties,
    /// References between HEIF items (box `iref`).
    ItemReferences,
}

impl fmt::Display for Complexity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::MemoryBytes => "bytes of memory",
            Self::ProfileBytes => "bytes of ICC profile",
            Self::Frames => "frames",
            Self::FramePixels => "pixels in all frames",
            Self::Scans => "scans",
            Self::ScanBlocks => "blocks in all scans",
            Self::TagValues => "values of a tag",
            Self::Items => "items",
            Self::ItemBytes => "bytes of items",
            Self::ItemLocations => "item locations",
            Self::ItemExtents => "item extents",
            Self::Properties => "properties",
            Self::ItemsWithProperties => "items with properties",
            Self::ItemProperties => "properties of items",
            Self::ItemReferences => "item references",
        })
    }
}

impl Error {
    /// [`Error::Truncated`] without a percentage.
    pub(crate) const TRUNCATED: Self = Self::Truncated { received: None };

    /// Creates an [`Error::Damaged`] at an offset in bytes.
    pub(crate) fn damaged_at(offset: usize, what: &'static str) -> Self {
        Self::Damaged {
            offset: u64::try_from(offset).ok(),
            what,
        }
    }

    /// Creates an [`Error::Damaged`] without an offset.
    pub(crate) const fn damaged(what: &'static str) -> Self {
        Self::Damaged { offset: None, what }
    }

    /// Creates an [`Error::Truncated`] for an input that has `have` of the `whole` units of the
    /// picture. A unit is any measure of the decoder, such as a row or a byte.
    pub(crate) fn truncated(have: u64, whole: u64) -> Self {
        // `checked_div` leaves the percentage unknown if `whole` is 0. An input may have all rows
        // of the picture and lack only its end. It is incomplete, so the limit is 99 %.
        let percent = have
            .saturating_mul(100)
            .checked_div(whole)
            .map(|percent| percent.min(99));
        Self::Truncated {
            received: percent.and_then(|percent| u8::try_from(percent).ok()),
        }
    }

    /// Checks a measured value against its limit.
    ///
    /// # Errors
    /// [`Error::TooComplex`] if `value` is above `limit`.
    pub(crate) fn check_limit(what: Complexity, value: u64, limit: u64) -> Result<(), Self> {
        if value > limit {
            return Err(Self::TooComplex { what, value, limit });
        }
        Ok(())
    }
}

use std::fmt;

use crate::crop::Crop;

/// The reason why an input was refused, or why a call failed.
///
/// Each variant holds the measured value and the limit, if there is one. The texts are for logs. A
/// service makes its own messages from the values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input is empty.
    #[error("there are no bytes")]
    Empty,

    /// The input is longer than [`Policy::max_bytes`](crate::Policy::max_bytes).
    #[error("{bytes} bytes, limit {limit}")]
    TooManyBytes {
        /// Length of the input, in bytes.
        bytes: u64,
        /// The limit, in bytes.
        limit: u64,
    },

    /// The input is not a picture.
    #[error("not a picture{}", kind.map(|kind| format!(" but {kind}")).unwrap_or_default())]
    NotAnImage {
        /// The kind of file, such as `"PDF"`, if the first bytes show it.
        kind: Option<&'static str>,
    },

    /// The input is a picture in a format that this build does not decode.
    #[error("{what} is not supported")]
    UnsupportedFormat {
        /// The format, such as `"HEIC"` or `"arithmetic-coded JPEG"`.
        what: &'static str,
    },

    /// The header claims more pixels than [`Policy::max_pixels`](crate::Policy::max_pixels).
    #[error("{width} x {height} pixels, limit {limit}")]
    TooManyPixels {
        /// Width as stored.
        width: u32,
        /// Height as stored.
        height: u32,
        /// The limit for width × height.
        limit: u64,
    },

    /// The picture ends early.
    #[error("cut{}", received.map(|percent| format!(" after {percent} %")).unwrap_or_default())]
    Truncated {
        /// Percentage of the picture that the input contains, if known. It is never known for a
        /// progressive JPEG, since each scan covers the whole picture.
        received: Option<u8>,
    },

    /// The picture violates its format.
    #[error("damaged{}: {what}", offset.map(|byte| format!(" at byte {byte}")).unwrap_or_default())]
    Damaged {
        /// Offset in the input at which the damage was detected, in bytes, if known.
        offset: Option<u64>,
        /// A description of the damage.
        what: &'static str,
    },

    /// Decoding the picture would cost more than the policy allows.
    #[error("too complex: {value} {what}, limit {limit}")]
    TooComplex {
        /// The quantity that is too large.
        what: Complexity,
        /// The measured value. If counting stopped early, the value at that point.
        value: u64,
        /// The limit.
        limit: u64,
    },

    /// The crop square is empty, or not inside the upright picture.
    #[error("crop of {} at {}, {} leaves {width} x {height} pixels", crop.size, crop.x, crop.y)]
    CropOutside {
        /// The requested square.
        crop: Crop,
        /// Width of the upright picture.
        width: u32,
        /// Height of the upright picture.
        height: u32,
    },

    /// The policy is invalid. This is a fault of the caller, never of the input.
    #[error("policy: {what}")]
    Policy {
        /// A description of the fault.
        what: &'static str,
    },

    /// An output could not be encoded. This is a fault of this crate, never of the input.
    #[error("encoder: {what}")]
    Encoder {
        /// The step that failed.
        what: &'static str,
    },
}

/// A quantity that [`Error::TooComplex`] limits.
///
/// `Display` writes an English plural, for use after a number. The enum is exhaustive: a service
/// that has its own messages then fails to compile when a quantity is added.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Complexity {
    /// Bytes of memory that decoding needs. The crate only reports the need; its caller limits it.
    MemoryBytes,
    /// Bytes of the ICC profile, unpacked.
    ProfileBytes,
    /// Frames of an animation.
    Frames,
    /// Pixels of all frames together.
    FramePixels,
    /// Scans of a progressive JPEG.
    Scans,
    /// Blocks of all scans of a JPEG together.
    ScanBlocks,
    /// Values of one TIFF tag.
    TagValues,
    /// Items of a HEIF file.
    Items,
    /// Bytes of all HEIF items that are read.
    ItemBytes,
    /// Locations of HEIF items.
    ItemLocations,
    /// Extents of all HEIF items together.
    ItemExtents,
    /// Properties of a HEIF file.
    Properties,
    /// HEIF items that have properties.
    ItemsWithProperties,
    /// Properties of all HEIF items together.
    ItemProperties,
    /// References between HEIF items.
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
    /// Makes a [`Error::Truncated`] without a percentage.
    pub(crate) const TRUNCATED: Self = Self::Truncated { received: None };

    /// Makes a [`Error::Damaged`] at a known offset.
    pub(crate) fn damaged_at(offset: usize, what: &'static str) -> Self {
        Self::Damaged {
            offset: u64::try_from(offset).ok(),
            what,
        }
    }

    /// Makes a [`Error::Damaged`] without an offset.
    pub(crate) const fn damaged(what: &'static str) -> Self {
        Self::Damaged { offset: None, what }
    }

    /// Makes a [`Error::Truncated`] for an input with `have` of `whole` units of the picture.
    pub(crate) fn truncated(have: u64, whole: u64) -> Self {
        let percent = have
            .saturating_mul(100)
            .checked_div(whole)
            .map(|percent| percent.min(99));
        Self::Truncated {
            received: percent.and_then(|percent| u8::try_from(percent).ok()),
        }
    }

    /// Returns [`Error::TooComplex`] if `value` is above `limit`.
    pub(crate) fn check_limit(what: Complexity, value: u64, limit: u64) -> Result<(), Self> {
        if value > limit {
            return Err(Self::TooComplex { what, value, limit });
        }
        Ok(())
    }
}

use std::fmt;

use crate::crop::Crop;

/// Why bytes did not become pictures.
///
/// Each variant carries what was measured and, where there is one, the limit it passed. The
/// texts are for logs and for people who read English; a service words its own from the values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There are no bytes at all.
    #[error("there are no bytes")]
    Empty,

    /// The input is longer than [`Policy::max_bytes`](crate::Policy::max_bytes).
    #[error("{bytes} bytes, limit {limit}")]
    TooManyBytes {
        /// Length of the input.
        bytes: u64,
        /// The limit it passed.
        limit: u64,
    },

    /// The bytes are no picture.
    #[error("not a picture{}", kind.map(|kind| format!(" but {kind}")).unwrap_or_default())]
    NotAnImage {
        /// What they are instead, such as `"PDF"`, when their first bytes tell.
        kind: Option<&'static str>,
    },

    /// A picture of a kind that this build does not read.
    #[error("{what} is not supported")]
    UnsupportedFormat {
        /// The kind, such as `"HEIC"` or `"arithmetic-coded JPEG"`.
        what: &'static str,
    },

    /// The header claims more pixels than [`Policy::max_pixels`](crate::Policy::max_pixels).
    #[error("{width} x {height} pixels, limit {limit}")]
    TooManyPixels {
        /// Width as stored.
        width: u32,
        /// Height as stored.
        height: u32,
        /// The limit on their product.
        limit: u64,
    },

    /// The picture ends before all of it is there.
    #[error("cut{}", received.map(|percent| format!(" after {percent} %")).unwrap_or_default())]
    Truncated {
        /// Percent of the picture that is there, when known: never of a progressive JPEG.
        received: Option<u8>,
    },

    /// The picture breaks the rules of its format.
    #[error("damaged{}: {what}", offset.map(|byte| format!(" at byte {byte}")).unwrap_or_default())]
    Damaged {
        /// Byte of the input at which the damage shows, when known.
        offset: Option<u64>,
        /// What is wrong there.
        what: &'static str,
    },

    /// Reading the picture would cost more than the policy allows.
    #[error("too complex: {value} {what}, limit {limit}")]
    TooComplex {
        /// The quantity that is too large.
        what: Complexity,
        /// How much there is, or how much at the point where counting stopped.
        value: u64,
        /// The limit it passed.
        limit: u64,
    },

    /// The crop leaves the upright picture, or is empty.
    #[error("crop of {} at {}, {} leaves {width} x {height} pixels", crop.size, crop.x, crop.y)]
    CropOutside {
        /// The square asked for.
        crop: Crop,
        /// Width of the upright picture.
        width: u32,
        /// Height of the upright picture.
        height: u32,
    },

    /// The policy cannot be followed: a fault of the caller, never of the input.
    #[error("policy: {what}")]
    Policy {
        /// What is wrong with it.
        what: &'static str,
    },

    /// An output could not be made: a fault of this crate, never of the input.
    #[error("encoder: {what}")]
    Encoder {
        /// The step that failed.
        what: &'static str,
    },
}

/// A quantity that [`Error::TooComplex`] limits.
///
/// `Display` writes it as an English plural, to stand after a number. The enum is exhaustive, so that
/// a service that words its own messages notices a new quantity when it compiles.
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
    /// Cut, without knowing where.
    pub(crate) const TRUNCATED: Self = Self::Truncated { received: None };

    /// Damage at a known byte.
    pub(crate) fn damaged_at(offset: usize, what: &'static str) -> Self {
        Self::Damaged {
            offset: u64::try_from(offset).ok(),
            what,
        }
    }

    /// Damage somewhere.
    pub(crate) const fn damaged(what: &'static str) -> Self {
        Self::Damaged { offset: None, what }
    }

    /// Cut, with `have` of `whole` units of the picture present.
    pub(crate) fn truncated(have: u64, whole: u64) -> Self {
        let percent = have
            .saturating_mul(100)
            .checked_div(whole)
            .map(|percent| percent.min(99));
        Self::Truncated {
            received: percent.and_then(|percent| u8::try_from(percent).ok()),
        }
    }

    /// `Err(TooComplex)` when `value` passes `limit`.
    pub(crate) fn check_limit(what: Complexity, value: u64, limit: u64) -> Result<(), Self> {
        if value > limit {
            return Err(Self::TooComplex { what, value, limit });
        }
        Ok(())
    }
}

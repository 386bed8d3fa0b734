//! Errors of a picture on their way from a worker to the client.

use serde::{Deserialize, Serialize};
use veraicon_picture::{Complexity, Error};

use crate::failure::{Failure, FieldProblem};

/// Maximum length of a text from a worker, in characters.
const MAX_TEXT: usize = 80;

/// Reason why a picture was refused.
///
/// The same as the refusals of [`Error`], which cannot be deserialized: its texts are static.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Refusal {
    Empty,
    TooManyBytes {
        bytes: u64,
        limit: u64,
    },
    NotAnImage {
        kind: Option<String>,
    },
    UnsupportedFormat {
        what: String,
    },
    TooManyPixels {
        width: u32,
        height: u32,
        limit: u64,
    },
    Truncated {
        received: Option<u8>,
    },
    Damaged {
        offset: Option<u64>,
    },
    TooComplex {
        what: Complexity,
        value: u64,
        limit: u64,
    },
    CropOutside {
        width: u32,
        height: u32,
    },
}

impl TryFrom<Error> for Refusal {
    type Error = Error;

    /// Returns the error itself if the picture did not cause it.
    fn try_from(error: Error) -> Result<Self, Error> {
        Ok(match error {
            Error::Empty => Self::Empty,
            Error::TooManyBytes { bytes, limit } => Self::TooManyBytes { bytes, limit },
            Error::NotAnImage { kind } => Self::NotAnImage {
                kind: kind.map(Into::into),
            },
            Error::UnsupportedFormat { what } => Self::UnsupportedFormat { what: what.into() },
            Error::TooManyPixels {
                width,
                height,
                limit,
            } => Self::TooManyPixels {
                width,
                height,
                limit,
            },
            Error::Truncated { received } => Self::Truncated { received },
            Error::Damaged { offset, .. } => Self::Damaged { offset },
            Error::TooComplex { what, value, limit } => Self::TooComplex { what, value, limit },
            Error::CropOutside { width, height, .. } => Self::CropOutside { width, height },
            error => return Err(error),
        })
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Empty => Self::EmptyFile,
            Refusal::TooManyBytes { bytes, limit } => Self::TooLarge {
                bytes: Some(bytes),
                limit,
            },
            Refusal::NotAnImage { kind } => Self::NotAnImage {
                kind: kind.map(|kind| sanitize(&kind)),
            },
            Refusal::UnsupportedFormat { what } => Self::UnsupportedFormat {
                what: sanitize(&what),
            },
            Refusal::TooManyPixels {
                width,
                height,
                limit,
            } => Self::TooManyPixels {
                width,
                height,
                limit,
            },
            Refusal::Truncated { received } => Self::ImageTruncated { received },
            Refusal::Damaged { offset } => Self::ImageDamaged { offset },
            Refusal::TooComplex { what, value, limit } => Self::TooComplex { what, value, limit },
            Refusal::CropOutside { width, height } => Self::InvalidField {
                field: "crop_size",
                problem: FieldProblem::OutsidePicture { width, height },
            },
        }
    }
}

/// Makes a text from a worker safe to log and to send to a client: no control characters, and at
/// most [`MAX_TEXT`].
///
/// The picture may have compromised the worker, so the text can be anything.
pub(super) fn sanitize(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(MAX_TEXT)
        .collect()
}

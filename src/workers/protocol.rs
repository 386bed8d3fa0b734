//! What the service and its worker processes say to each other.
//!
//! A message is its length (32 bits, little-endian) and that many bytes of JSON. A [`Job`] brings a descriptor with
//! its first byte; behind [`Outcome::Shaped`] come the pictures' bytes, one after the other.

use std::io;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use veraicon_picture::{Complexity, Crop, Error, Policy};

use crate::failure::{Failure, FieldProblem};

/// The longest message, in bytes: far more than any honest one has.
pub(super) const LONGEST: usize = 64 << 10;
/// The longest word that a worker's verdict may bring, in characters.
const LONGEST_WORD: usize = 80;

/// To a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// What it works by; the first message.
    Start(Start),
    /// A picture to shape.
    Job(Job),
    /// The memory that it asked for is there.
    GoOn,
    /// It is not, and will not be: the job is over.
    Leave,
}

/// What a worker works by, all its life.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Start {
    pub(super) policy: Policy,
    /// The most memory for one picture, in bytes.
    pub(super) memory: u64,
    /// The largest body, in bytes.
    pub(super) body: u64,
    /// What is granted without a question, in bytes.
    pub(super) grant: u64,
    /// Processor time in all, in seconds.
    pub(super) processor_seconds: u64,
}

/// A picture to shape, in a body that comes as a descriptor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    /// Of the body, in bytes.
    pub(super) length: usize,
    /// Where the picture begins and ends in it.
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) crop: Option<Crop>,
}

/// From a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// It has closed itself in and waits for jobs.
    Ready(Ready),
    /// The picture takes more than what is granted to all, in bytes.
    NeedsMemory(u64),
    /// It has let go of a job that it was told to leave.
    Left,
    /// The job is done.
    Done {
        outcome: Outcome,
        /// Processor time used since the start, in milliseconds.
        processor_milliseconds: u64,
    },
}

/// What a worker found out at its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ready {
    pub(super) sandbox: Sandbox,
    /// Unknown where the system does not tell.
    pub(super) address_space: Option<AddressSpace>,
}

/// What closes workers in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// What a worker tried at its start and was denied.
    pub denied: Vec<String>,
    /// What it tried and could do: nothing, where the sandbox is whole.
    pub possible: Vec<String>,
}

/// Of a worker, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AddressSpace {
    /// What it takes without any job, with what it may keep from earlier ones.
    pub(super) own: u64,
    /// The most that it can ever be given.
    pub(super) most: u64,
}

impl AddressSpace {
    /// Enough for a body and what is granted for the picture in it.
    pub(super) fn for_job(self, body: u64, granted: u64) -> u64 {
        self.own
            .saturating_add(body)
            .saturating_add(granted)
            .min(self.most)
    }
}

/// What came of a job.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Outcome {
    /// Squares, largest first, whose bytes follow.
    Shaped(Vec<Square>),
    /// What is wrong with the picture.
    Refused(Refusal),
    /// A decoder panicked, or something else that is no fault of the picture.
    Fault(String),
}

/// One square whose bytes follow.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Square {
    pub(super) size: u32,
    pub(super) side: u32,
    pub(super) length: usize,
}

/// What is wrong with a picture.
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

impl From<Error> for Outcome {
    fn from(error: Error) -> Self {
        Self::Refused(match error {
            Error::Empty => Refusal::Empty,
            Error::TooManyBytes { bytes, limit } => Refusal::TooManyBytes { bytes, limit },
            Error::NotAnImage { kind } => Refusal::NotAnImage {
                kind: kind.map(Into::into),
            },
            Error::UnsupportedFormat { what } => Refusal::UnsupportedFormat { what: what.into() },
            Error::TooManyPixels {
                width,
                height,
                limit,
            } => Refusal::TooManyPixels {
                width,
                height,
                limit,
            },
            Error::Truncated { received } => Refusal::Truncated { received },
            Error::Damaged { offset, .. } => Refusal::Damaged { offset },
            Error::TooComplex { what, value, limit } => Refusal::TooComplex { what, value, limit },
            Error::CropOutside { width, height, .. } => Refusal::CropOutside { width, height },
            fault => return Self::Fault(fault.to_string()),
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
                kind: kind.map(|kind| plain(&kind)),
            },
            Refusal::UnsupportedFormat { what } => Self::UnsupportedFormat { what: plain(&what) },
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

/// A worker's words as they may be shown and logged: it may have been taken over by the picture that it worked on.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(LONGEST_WORD)
        .collect()
}

/// A message with its length before it.
pub(super) fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = u32::try_from(bytes.len() - 4).map_err(io::Error::other)?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

/// How many bytes of JSON follow.
pub(super) fn length(head: [u8; 4]) -> io::Result<usize> {
    usize::try_from(u32::from_le_bytes(head))
        .ok()
        .filter(|length| *length <= LONGEST)
        .ok_or_else(|| io::Error::other("a message is too long"))
}

/// What the bytes behind a length say.
pub(super) fn decode<T: DeserializeOwned>(json: &[u8]) -> io::Result<T> {
    serde_json::from_slice(json).map_err(io::Error::other)
}

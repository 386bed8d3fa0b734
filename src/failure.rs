//! Everything that a request can fail with: a stable reason for programs, a message for people, and a cause for the log.

mod message;

use std::{error::Error, fmt, time::Duration};

pub use self::message::Language;

/// Why a request was refused or could not be served.
///
/// The variants speak of what was asked, never of how it is transported: which HTTP status each has is decided elsewhere.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// The form has no file in its field `data`.
    NoFile,
    /// The form has more than one field `data`.
    SeveralFiles,
    /// The file has no bytes.
    EmptyFile,
    /// The bytes are no picture; `kind` is what they are, where that is known.
    NotAnImage {
        /// A word such as `PDF`.
        kind: Option<String>,
    },
    /// A picture of a kind that is not taken.
    UnsupportedFormat {
        /// A word such as `HEIC`.
        what: String,
    },
    /// The picture ends before all of it is there.
    ImageTruncated {
        /// How much of it is there, in percent, where that is known.
        received: Option<u8>,
    },
    /// The picture's data contradict themselves.
    ImageDamaged {
        /// Where, in bytes from the start of the file.
        offset: Option<u64>,
    },
    /// The file is too large.
    TooLarge {
        /// Its size in bytes, where that is known.
        bytes: Option<u64>,
        /// The most that is taken, in bytes.
        limit: u64,
    },
    /// A form of a few texts is too large.
    BodyTooLarge {
        /// The most that is taken, in bytes.
        limit: u64,
    },
    /// The picture has too many pixels.
    TooManyPixels {
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
        /// The most that is taken, width times height.
        limit: u64,
    },
    /// The picture asks for more work than any honest one.
    TooComplex {
        /// What there is too much of.
        what: String,
        /// How much.
        value: u64,
        /// The most that is taken.
        limit: u64,
    },
    /// A field of the request is missing, of the wrong type or out of bounds.
    InvalidField {
        /// The field's name.
        field: &'static str,
        /// What is wrong with it.
        problem: FieldProblem,
    },
    /// The body is not of a type that this request takes.
    UnsupportedContentType {
        /// The types that are taken.
        expected: &'static str,
    },
    /// The body does not follow the rules of its own type.
    MalformedBody {
        /// The type that it should be.
        expected: &'static str,
    },
    /// The request needs a token and has none.
    TokenMissing,
    /// The token's time is over, and no other one takes its place.
    TokenExpired,
    /// The token was not made here, is of the wrong type, or its session has ended.
    TokenInvalid,
    /// Unknown user or wrong password: which of them is not told.
    BadCredentials,
    /// Another account has this name.
    UsernameTaken,
    /// Too many attempts: the next one must wait.
    RateLimited {
        /// When to try again, in whole seconds.
        retry_after: Duration,
    },
    /// New accounts are not taken.
    RegistrationClosed,
    /// There is no such user.
    UserNotFound,
    /// The user has no such session, or it has ended.
    SessionNotFound,
    /// There is nothing under this address.
    NotFound,
    /// The address is right, the method is not.
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The service has no capacity for the request at the moment.
    Busy {
        /// When to try again.
        retry_after: Duration,
        /// The error that made the service refuse; absent when a limit of its own was reached.
        cause: Option<Cause>,
    },
    /// The database or the object store cannot be reached, or has no space.
    Unavailable(Cause),
    /// A fault of the service, the database or the object store.
    Internal(Cause),
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldProblem {
    /// It is not there.
    Missing,
    /// It is there more than once.
    Repeated,
    /// It is no text.
    NotText,
    /// It is no whole number of pixels.
    NotAWholeNumber,
    /// A name that is too short or too long.
    Characters {
        /// How many characters it has.
        found: usize,
        /// The fewest it may have.
        least: usize,
        /// The most it may have.
        most: usize,
    },
    /// A name with an ASCII character that names may not have.
    NameCharacters,
    /// A password with control characters.
    ControlCharacters,
    /// Characters, or an order of characters, that PRECIS does not let pass (RFC 8264).
    RefusedByPrecis,
    /// Fewer characters than a password needs.
    TooShort {
        /// How many characters it has.
        found: usize,
        /// The fewest it may have.
        least: usize,
    },
    /// More characters than a password may have.
    TooLong {
        /// How many characters it has.
        found: usize,
        /// The most it may have.
        most: usize,
    },
    /// More bytes than a password may have.
    TooManyBytes {
        /// How many bytes of UTF-8 it has.
        found: usize,
        /// The most it may have.
        most: usize,
    },
    /// The crop square leaves the picture.
    OutsidePicture {
        /// The picture's width in pixels, upright.
        width: u32,
        /// The picture's height in pixels, upright.
        height: u32,
    },
}

/// The error behind a [`Failure`]. It is written to the log and never sent to a client.
pub struct Cause(Box<dyn Error + Send + Sync>);

impl Failure {
    /// Makes an internal failure.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal(Cause(cause.into()))
    }

    /// Makes a failure of a database or an object store that cannot be reached.
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(Cause(cause.into()))
    }

    /// Makes a refusal because a limit of the service itself was reached.
    #[must_use]
    pub const fn busy(retry_after: Duration) -> Self {
        Self::Busy {
            retry_after,
            cause: None,
        }
    }

    /// Makes a refusal because of an error that is expected to pass.
    pub fn busy_because(
        retry_after: Duration,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Busy {
            retry_after,
            cause: Some(Cause(cause.into())),
        }
    }

    /// Returns the error to log, if there is one.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Busy { cause, .. } => cause.as_ref(),
            Self::Unavailable(cause) | Self::Internal(cause) => Some(cause),
            _ => None,
        }
    }

    /// The stable word that programs go by.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoFile => "no_file",
            Self::SeveralFiles => "several_files",
            Self::EmptyFile => "empty_file",
            Self::NotAnImage { .. } => "not_an_image",
            Self::UnsupportedFormat { .. } => "unsupported_format",
            Self::ImageTruncated { .. } => "image_truncated",
            Self::ImageDamaged { .. } => "image_damaged",
            Self::TooLarge { .. } | Self::BodyTooLarge { .. } => "too_large",
            Self::TooManyPixels { .. } => "too_many_pixels",
            Self::TooComplex { .. } => "too_complex",
            Self::InvalidField { .. } => "invalid_field",
            Self::UnsupportedContentType { .. } => "unsupported_content_type",
            Self::MalformedBody { .. } => "malformed_body",
            Self::TokenMissing => "token_missing",
            Self::TokenExpired => "token_expired",
            Self::TokenInvalid => "token_invalid",
            Self::BadCredentials => "bad_credentials",
            Self::RateLimited { .. } => "rate_limited",
            Self::UsernameTaken => "username_taken",
            Self::RegistrationClosed => "registration_closed",
            Self::UserNotFound => "user_not_found",
            Self::SessionNotFound => "session_not_found",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::Busy { .. } => "busy",
            Self::Unavailable(_) => "unavailable",
            Self::Internal(_) => "internal",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message(Language::English))
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let cause = self.cause()?;
        Some(&*cause.0)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(formatter, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

//! Failures of the domain: a stable reason for programs, a message for people, a cause for the log.

mod message;

use std::{error::Error, fmt, time::Duration};

use veraicon_picture::Complexity;

pub use self::message::Language;
pub(crate) use self::message::format_bytes;

/// The cause why an operation was refused or could not be done.
///
/// The variants know nothing of HTTP: `http` decides which status each of them has.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// The form has no file in its field `data`.
    NoFile,
    /// The form has more than one field `data`.
    SeveralFiles,
    /// The file has no bytes.
    EmptyFile,
    /// The file is not a picture.
    NotAnImage {
        /// The detected file type, such as `PDF`. `None` if it is unknown.
        kind: Option<String>,
    },
    /// The file is a picture in a format that the service does not read.
    UnsupportedFormat {
        /// The format, such as `HEIC`.
        what: String,
    },
    /// The picture's data end too early.
    ImageTruncated {
        /// Present part of the picture in percent. `None` if it is unknown.
        received: Option<u8>,
    },
    /// The picture's data break the rules of their format.
    ImageDamaged {
        /// Position of the damage in bytes from the start of the file. `None` if it is unknown.
        offset: Option<u64>,
    },
    /// The file is too large.
    TooLarge {
        /// Size in bytes. `None` if the request does not declare it.
        bytes: Option<u64>,
        /// Maximum size in bytes.
        limit: u64,
    },
    /// The picture has too many pixels.
    TooManyPixels {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Maximum of width times height.
        limit: u64,
    },
    /// The picture needs more work or memory than any real picture.
    TooComplex {
        /// The quantity that is too large.
        what: Complexity,
        /// Measured value.
        value: u64,
        /// Maximum value.
        limit: u64,
    },
    /// A field of the request is missing, has the wrong type or is out of range.
    InvalidField {
        /// Name of the field.
        field: &'static str,
        /// The rule that the field breaks.
        problem: FieldProblem,
    },
    /// The request needs a token and has none.
    TokenMissing,
    /// The token has expired, and the request has no other token that is valid.
    TokenExpired,
    /// The token has a wrong signature or type, or its session has ended.
    TokenInvalid,
    /// The user does not exist or the password is wrong. Clients must not learn which.
    BadCredentials,
    /// Another account has this user name.
    UsernameTaken,
    /// Too many attempts. The next one must wait.
    RateLimited {
        /// Delay before the next attempt, in whole seconds.
        retry_after: Duration,
    },
    /// The service accepts no new accounts.
    RegistrationClosed,
    /// The user does not exist.
    UserNotFound,
    /// The user has no such session, or the session has ended.
    SessionNotFound,
    /// The service has no capacity for the request at the moment.
    Busy {
        /// Delay before the next attempt.
        retry_after: Duration,
        /// The error behind the refusal. `None` if the service reached a limit of its own.
        cause: Option<Cause>,
    },
    /// The database or the object store cannot be reached, or has no free space.
    Unavailable(Cause),
    /// The service, the database or the object store has a defect.
    Internal(Cause),
}

/// The rule that a field breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldProblem {
    /// The field is missing.
    Missing,
    /// The form has the field more than once.
    Repeated,
    /// The value is not a text.
    NotText,
    /// The value is not a whole number.
    NotAWholeNumber,
    /// The name is too short or too long.
    Characters {
        /// Number of characters.
        found: usize,
        /// Minimum number of characters.
        min: usize,
        /// Maximum number of characters.
        max: usize,
    },
    /// The name has an ASCII character that names may not have.
    NameCharacters,
    /// The password has control characters.
    ControlCharacters,
    /// PRECIS forbids a character or the order of the characters (RFC 8264).
    RefusedByPrecis,
    /// The password has too few characters.
    TooShort {
        /// Number of characters.
        found: usize,
        /// Minimum number of characters.
        min: usize,
    },
    /// The password has more characters than the maximum number of bytes.
    TooLong {
        /// Number of characters.
        found: usize,
        /// Maximum number of bytes of UTF-8.
        max: usize,
    },
    /// The password has too many bytes.
    TooManyBytes {
        /// Number of bytes of UTF-8.
        found: usize,
        /// Maximum number of bytes of UTF-8.
        max: usize,
    },
    /// A part of the crop square is outside the picture.
    OutsidePicture {
        /// Width of the upright picture in pixels.
        width: u32,
        /// Height of the upright picture in pixels.
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

    /// Returns the stable word by which programs tell failures apart.
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
            Self::TooLarge { .. } => "too_large",
            Self::TooManyPixels { .. } => "too_many_pixels",
            Self::TooComplex { .. } => "too_complex",
            Self::InvalidField { .. } => "invalid_field",
            Self::TokenMissing => "token_missing",
            Self::TokenExpired => "token_expired",
            Self::TokenInvalid => "token_invalid",
            Self::BadCredentials => "bad_credentials",
            Self::RateLimited { .. } => "rate_limited",
            Self::UsernameTaken => "username_taken",
            Self::RegistrationClosed => "registration_closed",
            Self::UserNotFound => "user_not_found",
            Self::SessionNotFound => "session_not_found",
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
        // Most errors print only their own text, and the real cause is the last of the chain.
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

//! The digest that names a picture.

use std::{error::Error, fmt};

use sha2::Sha256;

/// Number of hexadecimal digits of a SHA-256.
const LENGTH: usize = 64;

/// SHA-256 over all outputs of a picture, in lower-case hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Digest(String);

/// The error for a text that is not a digest.
#[derive(Debug)]
pub struct InvalidDigest(String);

impl Digest {
    /// Computes the digest over these outputs, largest first.
    #[must_use]
    pub fn of<'bytes>(outputs: impl IntoIterator<Item = &'bytes [u8]>) -> Self {
        use sha2::Digest as _;
        let mut hash = Sha256::new();
        for output in outputs {
            hash.update(output);
        }
        Self(hex::encode(hash.finalize()))
    }

    /// Parses 64 hexadecimal digits in lower case.
    ///
    /// # Errors
    /// The text has another length or another character. Upper case is refused too: each picture
    /// has only one URL.
    pub fn parse(text: &str) -> Result<Self, InvalidDigest> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == LENGTH && text.bytes().all(is_digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidDigest(text.to_owned()))
        }
    }

    /// Returns the hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for InvalidDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:?} is not a SHA-256 in lower-case hexadecimal",
            self.0
        )
    }
}

impl Error for InvalidDigest {}

//! What may be a user name, and which of them count as the same.

use precis_core::profile::Profile;
use precis_profiles::{UsernameCaseMapped, UsernameCasePreserved};

use crate::failure::{Failure, FieldProblem};

/// The fewest characters of a name.
pub(super) const MIN_CHARACTERS: usize = 2;
/// The most characters of a name.
pub(super) const MAX_CHARACTERS: usize = 32;

/// A name that follows the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username {
    /// As its owner writes it (RFC 8265, section 3.4).
    pub display: String,
    /// As it is compared: in lower case, and in one form of Unicode (RFC 8265, section 3.3).
    pub key: String,
}

impl Username {
    /// Reads a name.
    ///
    /// # Errors
    /// [`Failure::InvalidField`].
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let refuse = |problem| Failure::InvalidField {
            field: "username",
            problem,
        };
        let length = |text: &str| match text.chars().count() {
            MIN_CHARACTERS..=MAX_CHARACTERS => Ok(()),
            found => Err(refuse(FieldProblem::Characters {
                found,
                min: MIN_CHARACTERS,
                max: MAX_CHARACTERS,
            })),
        };
        // Counted before all else, so that a long text costs nothing more.
        length(text)?;
        let allowed = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "._-".contains(c);
        if !text.chars().all(allowed) {
            return Err(refuse(FieldProblem::NameCharacters));
        }
        let (Ok(display), Ok(key)) = (
            UsernameCasePreserved::new().enforce(text),
            UsernameCaseMapped::new().enforce(text),
        ) else {
            return Err(refuse(FieldProblem::RefusedByPrecis));
        };
        // Wide forms of ASCII have become ASCII, and marks may have been joined with their letters.
        if !key.chars().all(allowed) {
            return Err(refuse(FieldProblem::RefusedByPrecis));
        }
        length(&key).map_err(|_| refuse(FieldProblem::RefusedByPrecis))?;
        Ok(Self {
            display: display.into_owned(),
            key: key.into_owned(),
        })
    }
}

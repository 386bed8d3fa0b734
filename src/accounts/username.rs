//! What may be a user name, and which of them count as the same.

use precis_core::profile::Profile;
use precis_profiles::{UsernameCaseMapped, UsernameCasePreserved};

use crate::failure::{Failure, FieldProblem};

/// The fewest characters of a name.
pub(super) const SHORTEST: usize = 2;
/// The most characters of a name.
pub(super) const LONGEST: usize = 32;

/// A name that follows the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username {
    /// As its owner writes it (RFC 8265, section 3.4).
    pub shown: String,
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
        // Counted first, so that a long text costs nothing more.
        let characters = text.chars().count();
        if !(SHORTEST..=LONGEST).contains(&characters) {
            return Err(refuse(FieldProblem::Characters {
                found: characters,
                least: SHORTEST,
                most: LONGEST,
            }));
        }
        let enforce = || {
            Some((
                UsernameCasePreserved::new().enforce(text).ok()?,
                UsernameCaseMapped::new().enforce(text).ok()?,
            ))
        };
        let (shown, key) = enforce().ok_or_else(|| refuse(FieldProblem::ForbiddenCharacters))?;
        let allowed = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "._-".contains(c);
        if !key.chars().all(allowed) {
            return Err(refuse(FieldProblem::ForbiddenCharacters));
        }
        let characters = key.chars().count();
        if !(SHORTEST..=LONGEST).contains(&characters) {
            return Err(refuse(FieldProblem::Characters {
                found: characters,
                least: SHORTEST,
                most: LONGEST,
            }));
        }
        Ok(Self {
            shown: shown.into_owned(),
            key: key.into_owned(),
        })
    }
}

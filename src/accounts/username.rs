//! Rules for user names, and their comparison.

use precis_core::profile::Profile;
use precis_profiles::{UsernameCaseMapped, UsernameCasePreserved};

use crate::failure::{Failure, FieldProblem};

/// Minimum length of a name in characters.
const MIN_CHARACTERS: usize = 2;
/// Maximum length of a name in characters.
const MAX_CHARACTERS: usize = 32;

/// A valid user name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Username {
    /// The name as its owner writes it (UsernameCasePreserved, RFC 8265, section 3.4).
    pub(crate) display: String,
    /// The name for comparisons: in lower case and normalized (UsernameCaseMapped, RFC 8265,
    /// section 3.3).
    pub(crate) key: String,
}

impl Username {
    /// Checks and normalizes a name.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
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
        // Counted first, so that a long text costs no more than the count.
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
        // Checked again: normalization turns full-width forms into ASCII, such as "！" into "!", and
        // joins combining marks with their letters.
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

//! The keys of objects.

use std::fmt;

use crate::digest::Digest;

/// The folder that contains all pictures.
pub(super) const PICTURES: &str = "avatars/";

/// The identity of one stored picture, which consists of one object for each size.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PictureKey {
    user: i64,
    digest: Digest,
}

impl PictureKey {
    /// Makes the key of a user's picture.
    #[must_use]
    pub fn new(user: i64, digest: Digest) -> Self {
        Self { user, digest }
    }

    /// Returns the user that the picture belongs to.
    #[must_use]
    pub fn user(&self) -> i64 {
        self.user
    }

    /// Returns the digest over all sizes of the picture.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Returns the object of one size: `avatars/{user}/{digest}/{size}.{extension}`.
    pub(super) fn object(&self, size: u32, extension: &str) -> String {
        format!("{self}/{size}.{extension}")
    }

    /// Parses an object's path. The reverse of [`Self::object`].
    pub(super) fn parse(object: &str) -> Option<Self> {
        let (folder, _) = object.rsplit_once('/')?;
        let (user, digest) = folder.strip_prefix(PICTURES)?.split_once('/')?;
        let key = Self::new(user.parse().ok()?, Digest::parse(digest).ok()?);
        // Refuses other spellings of the same number, such as `+7` or `007`.
        (key.to_string() == folder).then_some(key)
    }

    /// Returns the folder of the picture's objects. It contains nothing else.
    pub(super) fn folder(&self) -> String {
        format!("{self}/")
    }

    /// Returns the folder of all pictures of the user.
    pub(super) fn user_folder(&self) -> String {
        format!("{PICTURES}{}/", self.user)
    }
}

impl fmt::Display for PictureKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PICTURES}{}/{}", self.user, self.digest)
    }
}

//! Storing the outputs of a picture and making a user's row name them.

use std::time::Duration;

use bytes::Bytes;
use veraicon_picture::{OutputFormat, Picture as Square};

use super::lifecycle::{Declaration, Lifecycle};
use crate::{
    database::{NewAvatar, Owner, Published, User},
    digest::Digest,
    failure::Failure,
    storage::{PictureKey, Storage},
};

/// Number of times that an upload starts again because a sweep removes the very same objects.
const MAX_ATTEMPTS: u32 = 100;
/// Pause before an upload starts again.
const PAUSE: Duration = Duration::from_millis(50);

/// Publishes pictures. Cheap to clone.
#[derive(Clone)]
pub(super) struct Publisher {
    storage: Storage,
    lifecycle: Lifecycle,
    /// Format of the outputs.
    format: OutputFormat,
}

/// Outcome of one attempt to publish a picture.
enum Attempt {
    /// The user's row names the picture.
    Published(User),
    /// A sweep removes the very same objects. The upload must start again.
    Swept,
    /// The user may not publish any more. What was written is abandoned.
    Unauthorized,
}

/// A picture to store: its key, its sizes as the user's row names them, and its outputs.
struct Outputs {
    key: PictureKey,
    sizes: String,
    /// Size in pixels and bytes of each output, largest first.
    files: Vec<(u32, Bytes)>,
}

impl Publisher {
    pub(super) fn new(storage: Storage, lifecycle: Lifecycle, format: OutputFormat) -> Self {
        Self {
            storage,
            lifecycle,
            format,
        }
    }

    /// Declares, stores and publishes the outputs of a picture, largest first. Starts again if a
    /// sweep removes the same picture meanwhile. Returns nothing if the owner may not publish any
    /// more.
    ///
    /// # Errors
    /// [`Failure::Busy`] if sweeps interfere [`MAX_ATTEMPTS`] times. Failures of the store and the
    /// database are passed on.
    pub(super) async fn publish(
        &self,
        owner: Owner,
        squares: Vec<Square>,
    ) -> Result<Option<User>, Failure> {
        let outputs = Outputs::new(owner.user, squares);
        for _ in 0..MAX_ATTEMPTS {
            // Taken for one attempt only, so that an upload that waits for a sweep blocks no other.
            let permit = self.storage.write_permit().await?;
            let attempt = self.attempt(owner, &outputs).await?;
            drop(permit);
            match attempt {
                Attempt::Published(user) => return Ok(Some(user)),
                Attempt::Unauthorized => return Ok(None),
                Attempt::Swept => tokio::time::sleep(PAUSE).await,
            }
        }
        Err(Failure::busy(PAUSE * MAX_ATTEMPTS))
    }

    /// Declares, stores and publishes once.
    async fn attempt(&self, owner: Owner, outputs: &Outputs) -> Result<Attempt, Failure> {
        let Outputs { key, sizes, files } = outputs;
        let declared = self
            .lifecycle
            .declare(key.user(), key.digest().as_str())
            .await?;
        let Some(declaration) = declared else {
            return Ok(Attempt::Swept);
        };
        if let Err(failure) = self.storage.put(key, self.format, files).await {
            // A sweep also removes folders. A write that fails because its folder was removed is
            // tried again.
            if self.lifecycle.was_swept(&declaration).await? {
                return Ok(Attempt::Swept);
            }
            // A bucket may still apply the write later. While the row stays, the objects are found.
            if !self.storage.may_apply_late() {
                self.abandon(&declaration).await;
            }
            return Err(failure);
        }
        let avatar = NewAvatar {
            digest: key.digest().as_str(),
            sizes,
            format: self.format.extension(),
        };
        let published = self.lifecycle.publish(&declaration, owner, avatar).await?;
        Ok(match published {
            Published::Done(user) => Attempt::Published(user),
            Published::Swept => Attempt::Swept,
            Published::Unauthorized => {
                self.abandon(&declaration).await;
                Attempt::Unauthorized
            }
        })
    }

    /// Makes the objects of a failed upload due at once. A failure here only delays their removal.
    async fn abandon(&self, declaration: &Declaration) {
        if let Err(failure) = self.lifecycle.abandon(declaration).await {
            tracing::warn!(
                ?failure,
                "cannot mark a failed upload as abandoned; a later sweep removes its objects"
            );
        }
    }
}

impl Outputs {
    /// Names the outputs by a digest over all of their bytes, in order of size, largest first.
    fn new(user: i64, squares: Vec<Square>) -> Self {
        let digest = Digest::of(squares.iter().map(|square| &*square.bytes));
        let sizes: Vec<_> = squares
            .iter()
            .map(|square| square.size.to_string())
            .collect();
        let files = squares
            .into_iter()
            .map(|square| (square.size, Bytes::from(square.bytes)))
            .collect();
        Self {
            key: PictureKey::new(user, digest),
            sizes: sizes.join(","),
            files,
        }
    }
}

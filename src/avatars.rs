//! Avatars: uploads, removals and URLs. Only this module combines workers, storage and database.
//!
//! An upload takes these steps. If it is interrupted at any of them, the user keeps the old
//! picture, and a later sweep removes the new objects:
//! 1. Decode, crop and resize the picture in a worker. The digest of the outputs is its name.
//! 2. Declare in the database that its objects are about to be written ([`lifecycle`]).
//! 3. Write all objects durably ([`publish`]).
//! 4. In one transaction, make the user's row name the picture and retire the old one.
//!
//! If no user's row names a picture, a sweep finds its row in `pictures` and removes its objects
//! ([`sweep`]).

pub mod lifecycle;
mod publish;
mod sweep;

use bytes::Bytes;
use veraicon_picture::{Crop, Picture as Square};

pub use crate::database::{Owner, PublishGuard};
pub(crate) use crate::workers::{FORM_BYTES, resource_exhausted};
use crate::{
    database::User,
    digest::Digest,
    failure::Failure,
    identicon::Identicons,
    storage::{PictureKey, Storage},
    workers::{BodyBuffer, QueuePermit, Shaped, UploadedPicture, Workers},
};

use self::{lifecycle::Lifecycle, publish::Publisher, sweep::Sweeper};

/// Uploads, removals and URLs of pictures. Cheap to clone.
#[derive(Clone)]
pub struct Avatars {
    workers: Workers,
    storage: Storage,
    lifecycle: Lifecycle,
    publisher: Publisher,
    sweeper: Sweeper,
    identicons: Identicons,
}

/// URL of a user's picture in one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvatarUrl {
    /// The configured size, in pixels.
    pub size: u32,
    /// The absolute URL.
    pub url: String,
}

impl Avatars {
    /// Combines the parts of a service that avatars need.
    #[must_use]
    pub fn new(
        workers: Workers,
        storage: Storage,
        lifecycle: Lifecycle,
        identicons: Identicons,
    ) -> Self {
        Self {
            publisher: Publisher::new(storage.clone(), lifecycle.clone(), identicons.format()),
            sweeper: Sweeper::new(storage.clone(), lifecycle.clone()),
            workers,
            storage,
            lifecycle,
            identicons,
        }
    }

    /// Reserves a place in the queue, and memory for a body of `length` bytes if that is known.
    ///
    /// # Errors
    /// [`Failure::Busy`] if the queue is full, or no memory becomes free in time.
    pub async fn admit(&self, length: Option<u64>) -> Result<(QueuePermit, BodyBuffer), Failure> {
        self.workers.admit(length).await
    }

    /// Makes these bytes the user's picture. On any failure the old picture stays.
    ///
    /// # Errors
    /// A refusal of the picture, [`Failure::TokenInvalid`] if the session has ended meanwhile, or a
    /// failure of workers, store or database.
    pub async fn upload(
        &self,
        permit: QueuePermit,
        owner: Owner,
        picture: UploadedPicture,
        crop: Option<Crop>,
    ) -> Result<User, Failure> {
        let Shaped { squares, permit } = self.workers.shape(permit, picture, crop).await?;
        let this = self.clone();
        // The permit is held until the picture is stored: it bounds the outputs in memory.
        run_to_end(async move {
            let published = this.publish(owner, squares).await;
            drop(permit);
            published?.ok_or(Failure::TokenInvalid)
        })
        .await
    }

    /// Replaces the user's picture with these outputs, unless the account has changed since it was
    /// read. Returns true if it was replaced.
    pub(crate) async fn replace(&self, user: &User, squares: Vec<Square>) -> Result<bool, Failure> {
        let since = user.updated_at;
        let owner = Owner {
            user: user.id,
            guard: PublishGuard::Unchanged { since },
        };
        Ok(self.publish(owner, squares).await?.is_some())
    }

    /// Gives the user the default picture again. The stored pictures are removed at once.
    ///
    /// # Errors
    /// [`Failure::UserNotFound`] if the account is deleted; a failure of the database.
    pub async fn remove(&self, user: i64) -> Result<User, Failure> {
        let lifecycle = self.lifecycle.clone();
        self.change_and_sweep(async move { lifecycle.remove(user, None).await })
            .await
    }

    /// Gives the user the default picture again, unless the account has changed since it was read.
    /// Returns true if the picture was removed.
    pub(crate) async fn remove_unchanged(&self, user: &User) -> Result<bool, Failure> {
        match self.lifecycle.remove(user.id, Some(user.updated_at)).await {
            Ok(_) => Ok(true),
            Err(Failure::UserNotFound) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Deletes an account with its sessions and pictures.
    ///
    /// # Errors
    /// [`Failure::UserNotFound`] if it is deleted already; a failure of the database.
    pub async fn delete_account(&self, user: i64) -> Result<User, Failure> {
        let lifecycle = self.lifecycle.clone();
        self.change_and_sweep(async move { lifecycle.delete_account(user).await })
            .await
    }

    /// Removes the pictures that are due, of one user or of all. Returns how many were removed.
    ///
    /// # Errors
    /// The database cannot be reached. The rest is left for the next sweep.
    pub async fn sweep(&self, user: Option<i64>) -> Result<usize, Failure> {
        self.sweeper.sweep(user).await
    }

    /// Returns the URLs of the user's picture, largest size first.
    #[must_use]
    pub fn urls(&self, user: &User) -> Vec<AvatarUrl> {
        let (Ok(Some(digest)), Some(format)) = (user.digest(), &user.avatar_format) else {
            let urls = self.identicons.urls(user.id).into_iter();
            return urls.map(|(size, url)| AvatarUrl { size, url }).collect();
        };
        let key = PictureKey::new(user.id, digest);
        user.sizes()
            .map(|size| AvatarUrl {
                size,
                url: self.storage.url(&key, size, format),
            })
            .collect()
    }

    /// Returns the bytes of a picture in one size, or nothing if there is none. `name` is a digest
    /// or the name of the user's default picture, as in the URL.
    ///
    /// # Errors
    /// The store cannot be reached, or the default picture cannot be drawn.
    pub async fn get(&self, user: i64, name: &str, size: u32) -> Result<Option<Bytes>, Failure> {
        if let Ok(digest) = Digest::parse(name) {
            let key = PictureKey::new(user, digest);
            let extension = self.identicons.format().extension();
            return self.storage.get_cached(&key, size, extension).await;
        }
        if name == self.identicons.name(user) {
            return self.identicons.get(user, size).await;
        }
        Ok(None)
    }

    /// Returns the bytes of an object if the cache holds them. The key may be any text.
    pub async fn cached(&self, object: &str) -> Option<Bytes> {
        self.storage.cached(object).await
    }

    /// Publishes outputs. Returns nothing if the owner may not publish any more.
    async fn publish(&self, owner: Owner, squares: Vec<Square>) -> Result<Option<User>, Failure> {
        let published = self.publisher.publish(owner, squares).await?;
        if published.is_none() {
            // The account may have been deleted. Then the new objects are removed at once.
            self.sweep_now(owner.user).await;
        }
        Ok(published)
    }

    /// Changes an account, then removes its pictures that are due. Both run to completion.
    async fn change_and_sweep(
        &self,
        change: impl Future<Output = Result<User, Failure>> + Send + 'static,
    ) -> Result<User, Failure> {
        let this = self.clone();
        run_to_end(async move {
            let user = change.await?;
            this.sweep_now(user.id).await;
            Ok(user)
        })
        .await
    }

    /// Removes a user's pictures that are due. If that fails, the next sweep does it.
    async fn sweep_now(&self, user: i64) {
        if let Err(failure) = self.sweep(Some(user)).await {
            tracing::error!(
                ?failure,
                user,
                "cannot remove pictures of a user at once; the next sweep tries again"
            );
        }
    }
}

/// Runs work to completion in a task of its own.
///
/// If a client disconnects, the server drops the future of its request. The task continues.
async fn run_to_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    tokio::spawn(work).await.map_err(Failure::internal)?
}

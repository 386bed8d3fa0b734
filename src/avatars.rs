//! Avatars: the only place where picture, storage and database meet.
//!
//! An upload goes these steps, and nothing is lost wherever it is cut off:
//! 1. shape the picture; its digest names it;
//! 2. declare in the database that its objects are about to be written;
//! 3. write all of them, durably;
//! 4. in one transaction, point the user's row at them and retire the old picture.
//!
//! Objects that no row names in the end are found by what was declared, and swept.

mod sweep;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use veraicon_picture::{Crop, OutputFormat, Picture as Square};

use crate::{
    clock::{Clock, Milliseconds},
    database::{Database, NewAvatar, Owner, Published, Right, User, pictures::Declared},
    digest::Digest,
    failure::Failure,
    identicon::DefaultPictures,
    snowflake::Snowflakes,
    storage::{PictureKey, Storage},
    workers::{
        Seat, Shaped, Workers,
        buffer::{Buffer, Picture},
    },
};

/// How long an upload may take to write its objects, before the sweep takes them for abandoned.
const WRITING_TIME: Milliseconds = 10 * 60 * 1000;
/// How often an upload starts again because the sweep was removing the very same objects.
const ATTEMPTS: u32 = 100;
/// The pause before it does.
const PAUSE: Duration = Duration::from_millis(50);

/// Uploads, removals and where pictures are to be found.
#[derive(Clone)]
#[expect(missing_docs, reason = "most fields are named after their types")]
pub struct Avatars {
    pub database: Database,
    pub storage: Storage,
    pub workers: Workers,
    pub clock: Clock,
    pub ids: Arc<Snowflakes>,
    /// How long a replaced picture stays.
    pub grace: Milliseconds,
    /// What pictures are stored as.
    pub format: OutputFormat,
    pub default_pictures: DefaultPictures,
}

/// Where a user's picture is to be found, in one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvatarUrl {
    /// The configured side, in pixels.
    pub size: u32,
    /// Absolute.
    pub url: String,
}

impl Avatars {
    /// Takes a place in the queue for an upload, and somewhere to read its body into; how many bytes it has may be unknown.
    ///
    /// # Errors
    /// [`Failure::Busy`].
    pub async fn admit(&self, body: Option<u64>) -> Result<(Seat, Buffer), Failure> {
        self.workers.admit(body).await
    }

    /// Makes these bytes the user's picture. On any failure the old one stays.
    ///
    /// # Errors
    /// What is wrong with the picture, or with the service.
    pub async fn upload(
        &self,
        seat: Seat,
        owner: Owner,
        picture: Picture,
        crop: Option<Crop>,
    ) -> Result<User, Failure> {
        let Shaped { squares, seat } = self.workers.shape(seat, picture, crop).await?;
        let this = self.clone();
        to_its_end(async move {
            let user = this.store(owner, squares).await;
            drop(seat);
            user
        })
        .await
    }

    /// Puts these squares in the place of the user's picture, unless the account has changed since it was read.
    pub(crate) async fn replace(&self, user: &User, squares: Vec<Square>) -> Result<bool, Failure> {
        let since = user.updated_at;
        let owner = Owner {
            user: user.id,
            right: Right::Unchanged { since },
        };
        match self.store(owner, squares).await {
            Ok(_) => Ok(true),
            Err(Failure::TokenInvalid) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Goes back to the default picture; what was stored is removed at once.
    ///
    /// # Errors
    /// The account is gone, or the database out of reach.
    pub async fn remove(&self, user: i64) -> Result<User, Failure> {
        let (database, now) = (self.database.clone(), self.clock.now());
        self.change_and_sweep(async move { database.remove_avatar(user, None, now).await })
            .await
    }

    /// The same, unless the account has changed since it was read; tells whether it was done.
    pub(crate) async fn remove_unchanged(&self, user: &User) -> Result<bool, Failure> {
        let now = self.clock.now();
        let removed = self
            .database
            .remove_avatar(user.id, Some(user.updated_at), now);
        match removed.await {
            Ok(_) => Ok(true),
            Err(Failure::UserNotFound) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Deletes an account with its sessions and pictures.
    ///
    /// # Errors
    /// The account is gone, or the database out of reach.
    pub async fn delete_account(&self, user: i64) -> Result<User, Failure> {
        let (database, now) = (self.database.clone(), self.clock.now());
        self.change_and_sweep(async move { database.delete_user(user, now).await })
            .await
    }

    /// Where the user's picture is to be found, largest size first.
    #[must_use]
    pub fn urls(&self, user: &User) -> Vec<AvatarUrl> {
        let (Ok(Some(digest)), Some(format)) = (user.digest(), &user.avatar_format) else {
            return self.default_pictures.urls(user.id);
        };
        let key = PictureKey::new(user.id, digest);
        user.sizes()
            .map(|size| AvatarUrl {
                size,
                url: self.storage.url(&key, size, format),
            })
            .collect()
    }

    /// Runs a change of an account and then sweeps its pictures, both to their end.
    async fn change_and_sweep(
        &self,
        change: impl Future<Output = Result<User, Failure>> + Send + 'static,
    ) -> Result<User, Failure> {
        let this = self.clone();
        to_its_end(async move {
            let user = change.await?;
            this.sweep_or_leave(user.id).await;
            Ok(user)
        })
        .await
    }

    /// Steps 2 to 4, again where the sweep came between.
    async fn store(&self, owner: Owner, squares: Vec<Square>) -> Result<User, Failure> {
        let digest = Digest::of(squares.iter().map(|square| &*square.bytes));
        let key = PictureKey::new(owner.user, digest);
        let sizes: Vec<_> = squares
            .iter()
            .map(|square| square.size.to_string())
            .collect();
        let sizes = sizes.join(",");
        let squares: Vec<_> = squares
            .into_iter()
            .map(|square| (square.size, Bytes::from(square.bytes)))
            .collect();
        for _ in 0..ATTEMPTS {
            // For a pass alone: whoever waits for the sweep takes nobody's turn.
            let permit = self.storage.write_permit().await?;
            let pass = self.store_and_publish(owner, &key, &sizes, &squares);
            let published = pass.await?;
            drop(permit);
            match published {
                Some(user) => return Ok(user),
                None => tokio::time::sleep(PAUSE).await,
            }
        }
        Err(Failure::busy(PAUSE * ATTEMPTS))
    }

    /// One pass of steps 2 to 4; nothing, where the sweep was removing the very same objects.
    async fn store_and_publish(
        &self,
        owner: Owner,
        key: &PictureKey,
        sizes: &str,
        squares: &[(u32, Bytes)],
    ) -> Result<Option<User>, Failure> {
        let until = self.clock.now() + WRITING_TIME;
        let id = self.ids.next().await?;
        let Declared::Row(row) = self
            .database
            .declare_picture(id, key.user(), key.digest().as_str(), until)
            .await?
        else {
            return Ok(None);
        };
        if let Err(failure) = self.storage.put(key, self.format, squares).await {
            // The sweep removes folders too: a write that fails for want of one is tried again.
            if self.database.picture_was_swept(row).await? {
                return Ok(None);
            }
            // What is stored after all, once the store answers again, is found as long as the row is there.
            if !self.storage.may_apply_late() {
                self.abandon(row).await;
            }
            return Err(failure);
        }
        let avatar = NewAvatar {
            digest: key.digest().as_str(),
            sizes,
            format: self.format.extension(),
        };
        let now = self.clock.now();
        match self
            .database
            .publish_avatar(row, owner, avatar, now, now.saturating_add(self.grace))
            .await?
        {
            Published::Done(user) => Ok(Some(user)),
            Published::Swept => Ok(None),
            Published::NoRight => {
                self.abandon(row).await;
                self.sweep_or_leave(key.user()).await;
                Err(Failure::TokenInvalid)
            }
        }
    }

    /// Lets the sweep have what was written. Where that fails too, the row's time runs out by itself.
    async fn abandon(&self, row: i64) {
        if let Err(failure) = self.database.abandon_picture(row, self.clock.now()).await {
            tracing::warn!(
                ?failure,
                "an upload that failed could not be marked as such; the sweep finds it later"
            );
        }
    }
}

/// Runs work that must not stop half-way to its end, also when the client that asked for it goes away.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    tokio::spawn(work).await.map_err(Failure::internal)?
}

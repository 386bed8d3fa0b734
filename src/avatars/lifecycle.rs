//! The states of a stored picture, kept in its row in `pictures`.
//!
//! A row stands for all objects (sizes) of one picture of one user. It is written before the first
//! object, so that no object is ever without a row. It is in one of four states:
//!
//! | state      | meaning                                                            |
//! |------------|--------------------------------------------------------------------|
//! | `writing`  | an upload writes the objects                                       |
//! | `live`     | the user's row names the picture                                   |
//! | `retired`  | nothing names the picture any more                                 |
//! | `sweeping` | a sweep removes the objects                                        |
//!
//! `due_at` is the time from which a sweep may claim a row that is not live.
//!
//! | transition  | from                              | to         | `due_at`                |
//! |-------------|-----------------------------------|------------|-------------------------|
//! | declare     | no row                            | `writing`  | now + [`WRITING_TIME`]  |
//! | declare     | `writing`, `retired`              | `writing`  | the later of both       |
//! | publish     | `writing`, `retired`, `live`      | `live`     | never                   |
//! | abandon     | `writing`, made by this upload    | `retired`  | now                     |
//! | abandon     | `writing`, there before           | `retired`  | unchanged               |
//! | replace     | `live`                            | `retired`  | now + `storage.grace`   |
//! | remove      | `live`, `retired`                 | `retired`  | now                     |
//! | claim       | any but `live`, due, unreferenced | `sweeping` | now + [`CLAIM_TIME`]    |
//! | postpone    | `sweeping`, own claim             | `retired`  | now + [`RETRY_DELAY`]   |
//! | release     | `sweeping`                        | `sweeping` | now                     |
//! | delete      | `sweeping`, own claim             | no row     |                         |
//! | adopt       | no row (orphans in the store)     | `retired`  | now                     |
//! | unreference | `live`, named by no user          | `retired`  | now                     |
//! | restore     | any or no row, named by its user  | `live`     | never                   |
//!
//! Every transition is a compare-and-swap. The identifier of a row is new each time the row is
//! made, and each time a sweep postpones it. An upload publishes exactly the row that it declared.
//! If a sweep claimed and replaced that row meanwhile, the identifiers differ and the upload starts
//! again.
//!
//! Only this file chooses states. The database layer applies the transitions that it receives.

use std::{sync::Arc, time::Duration};

use crate::{
    clock::{Clock, Milliseconds},
    database::{
        Database, NewAvatar, Owner, PictureRow, Publication, Published, Removal, User,
        pictures::{State, Transition},
    },
    failure::Failure,
    snowflake::Snowflakes,
};

/// Time that an upload has to write its objects. After that a sweep treats them as abandoned.
pub const WRITING_TIME: Milliseconds = 10 * 60 * 1000;
/// Time that a sweep has for one picture. After that another sweep takes the picture over.
pub const CLAIM_TIME: Milliseconds = 10 * 60 * 1000;
/// Pause before a picture is swept again whose objects could not all be removed.
pub const RETRY_DELAY: Milliseconds = 60 * 1000;
/// Number of times that a row is read again because another upload or sweep has moved it meanwhile.
const MAX_ROUNDS: u32 = 20;
/// Time after which a client may try again then.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// `due_at` of a live row.
const NEVER: Milliseconds = Milliseconds::MAX;

const DECLARE: Transition = Transition {
    from: &[State::Writing, State::Retired],
    to: State::Writing,
};
const PUBLISH: Transition = Transition {
    from: &[State::Writing, State::Retired, State::Live],
    to: State::Live,
};
const ABANDON: Transition = Transition {
    from: &[State::Writing],
    to: State::Retired,
};
const REPLACE: Transition = Transition {
    from: &[State::Live],
    to: State::Retired,
};
/// Rows in `writing` are left out: their upload checks the account again when it publishes.
const REMOVE: Transition = Transition {
    from: &[State::Live, State::Retired],
    to: State::Retired,
};
const CLAIM: Transition = Transition {
    from: &[State::Writing, State::Retired, State::Sweeping],
    to: State::Sweeping,
};
const POSTPONE: Transition = Transition {
    from: &[State::Sweeping],
    to: State::Retired,
};
const RELEASE: Transition = Transition {
    from: &[State::Sweeping],
    to: State::Sweeping,
};
const UNREFERENCE: Transition = Transition {
    from: &[State::Live],
    to: State::Retired,
};
const RESTORE: Transition = Transition {
    from: &[State::Writing, State::Live, State::Retired, State::Sweeping],
    to: State::Live,
};

/// Moves pictures through their states. Cheap to clone.
#[derive(Clone)]
pub struct Lifecycle {
    database: Database,
    clock: Clock,
    ids: Arc<Snowflakes>,
    /// Time for which a replaced picture is kept.
    grace: Milliseconds,
}

/// An upload's claim to write the objects of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// The row as this upload left it.
    row: PictureRow,
    /// Whether this upload made the row. A row that was there before keeps its `due_at` when the
    /// upload fails: the grace of a replaced picture still holds.
    made: bool,
}

impl Lifecycle {
    /// Makes a lifecycle over the rows of `database`.
    #[must_use]
    pub fn new(
        database: Database,
        clock: Clock,
        ids: Arc<Snowflakes>,
        grace: Milliseconds,
    ) -> Self {
        Self {
            database,
            clock,
            ids,
            grace,
        }
    }

    /// Returns the time for which a replaced picture is kept, in milliseconds.
    #[must_use]
    pub fn grace(&self) -> Milliseconds {
        self.grace
    }

    /// Declares that an upload is about to write these objects. Returns nothing while a sweep
    /// removes the very same objects.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn declare(&self, user: i64, digest: &str) -> Result<Option<Declaration>, Failure> {
        let until = self.clock.now() + WRITING_TIME;
        let fresh = PictureRow {
            id: self.ids.next().await?,
            user_id: user,
            digest: digest.to_owned(),
            state: DECLARE.to,
            due_at: until,
        };
        for _ in 0..MAX_ROUNDS {
            let Some(row) = self.database.picture(user, digest).await? else {
                // If another upload inserted the row first, the next round reads it.
                if self.database.insert_picture(fresh.clone()).await? {
                    let made = true;
                    return Ok(Some(Declaration { row: fresh, made }));
                }
                continue;
            };
            let made = false;
            match row.state {
                // The same bytes are written again. This restores objects that went missing.
                State::Live => return Ok(Some(Declaration { row, made })),
                State::Sweeping => return Ok(None),
                State::Writing | State::Retired => {
                    let due_at = until.max(row.due_at);
                    if self.database.move_picture(&row, DECLARE, due_at).await? {
                        let row = PictureRow {
                            state: DECLARE.to,
                            due_at,
                            ..row
                        };
                        return Ok(Some(Declaration { row, made }));
                    }
                }
            }
        }
        let cause = format!("the row of picture {digest} changed {MAX_ROUNDS} times in a row");
        Err(Failure::busy_because(RETRY_AFTER, cause))
    }

    /// Makes the user's row name a declared picture whose objects are durable, and retires the
    /// picture before it, in one transaction.
    ///
    /// # Errors
    /// The database cannot be reached; nothing has changed then.
    pub async fn publish(
        &self,
        declaration: &Declaration,
        owner: Owner,
        avatar: NewAvatar<'_>,
    ) -> Result<Published, Failure> {
        let now = self.clock.now();
        let publication = Publication {
            picture: declaration.row.id,
            owner,
            avatar,
            now,
            publish: PUBLISH,
            due_at: NEVER,
            replace: REPLACE,
            replaced_due_at: now.saturating_add(self.grace),
        };
        self.database.publish_avatar(&publication).await
    }

    /// Gives up a declared upload: the row is retired. What the upload wrote is due at once if it
    /// made the row. A row that was there before keeps its `due_at`, so the grace of a replaced
    /// picture still holds.
    ///
    /// # Errors
    /// The database cannot be reached. The row then becomes due by itself.
    pub async fn abandon(&self, declaration: &Declaration) -> Result<(), Failure> {
        let Declaration { row, made } = declaration;
        let due_at = if *made { self.clock.now() } else { row.due_at };
        // If another upload has declared the row since, `due_at` may differ, and nothing changes. A
        // live row is not in a state that this transition begins with.
        self.database.move_picture(row, ABANDON, due_at).await?;
        Ok(())
    }

    /// Returns true if a sweep has claimed or deleted a declared row.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn was_swept(&self, declaration: &Declaration) -> Result<bool, Failure> {
        let row = self.database.picture_by_id(declaration.row.id).await?;
        Ok(row.is_none_or(|row| row.state == State::Sweeping))
    }

    /// Removes the picture from a user's row. All pictures of the user become due at once.
    ///
    /// With `unchanged_since` the account must not have changed after that time.
    ///
    /// # Errors
    /// [`Failure::UserNotFound`] if the account is deleted or has changed.
    pub async fn remove(
        &self,
        user: i64,
        unchanged_since: Option<Milliseconds>,
    ) -> Result<User, Failure> {
        let removal = self.removal(user, unchanged_since);
        self.database.remove_avatar(&removal).await
    }

    /// Deletes an account: its name stays taken, its sessions end, its pictures become due at once.
    ///
    /// # Errors
    /// [`Failure::UserNotFound`] if it is deleted already.
    pub async fn delete_account(&self, user: i64) -> Result<User, Failure> {
        self.database.delete_user(&self.removal(user, None)).await
    }

    fn removal(&self, user: i64, unchanged_since: Option<Milliseconds>) -> Removal {
        let now = self.clock.now();
        Removal {
            user,
            unchanged_since,
            now,
            remove: REMOVE,
            writing_due_at: now + WRITING_TIME,
        }
    }

    /// Returns up to `max` rows that a sweep may claim, earliest `due_at` first: of one
    /// user, or of all.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn due(&self, user: Option<i64>, max: u64) -> Result<Vec<PictureRow>, Failure> {
        self.database
            .due_pictures(user, self.clock.now(), max)
            .await
    }

    /// Counts the rows that a sweep may claim.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn count_due(&self) -> Result<u64, Failure> {
        self.database.count_due_pictures(self.clock.now()).await
    }

    /// Claims a row for a sweep. Returns the row as claimed, or nothing if it has changed since it
    /// was read or a user's row names it.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn claim(&self, row: &PictureRow) -> Result<Option<PictureRow>, Failure> {
        let due_at = self.clock.now() + CLAIM_TIME;
        let claimed = self
            .database
            .move_unreferenced_picture(row, CLAIM, due_at)
            .await?;
        Ok(claimed.then(|| PictureRow {
            state: CLAIM.to,
            due_at,
            ..row.clone()
        }))
    }

    /// Gives back a claimed row whose objects could not all be removed.
    ///
    /// The row gets a new identifier. An upload that declared it before cannot publish it any
    /// more, since some of its objects may be gone. One that declares it later writes all objects.
    ///
    /// # Errors
    /// The database cannot be reached. The claim then runs out by itself.
    pub async fn postpone(&self, claimed: &PictureRow) -> Result<(), Failure> {
        let due_at = self.clock.now() + RETRY_DELAY;
        let id = self.ids.next().await?;
        self.database
            .move_picture_to_new_id(claimed, POSTPONE, id, due_at)
            .await
    }

    /// Deletes a claimed row whose objects are gone, unless another sweep has taken the claim over.
    ///
    /// # Errors
    /// The database cannot be reached. The claim then runs out, and the next sweep deletes the row.
    pub async fn delete(&self, claimed: &PictureRow) -> Result<(), Failure> {
        self.database.delete_picture(claimed).await
    }

    /// Makes all claims of earlier sweeps due. Only for a process that is the only
    /// one on its database.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn release(&self) -> Result<(), Failure> {
        self.database.move_pictures(RELEASE, self.clock.now()).await
    }

    /// Makes a row for objects that have none, for the next sweep. Does nothing if they have one
    /// by now.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn adopt(&self, user: i64, digest: &str) -> Result<(), Failure> {
        let row = PictureRow {
            id: self.ids.next().await?,
            user_id: user,
            digest: digest.to_owned(),
            state: State::Retired,
            due_at: self.clock.now(),
        };
        self.database.insert_picture(row).await?;
        Ok(())
    }

    /// Retires a live row that no user's row names. Returns true if it was one.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn unreference(&self, row: &PictureRow) -> Result<bool, Failure> {
        let now = self.clock.now();
        self.database
            .move_unreferenced_picture(row, UNREFERENCE, now)
            .await
    }

    /// Makes the row of a picture live that its user's row names, and makes the row if there is
    /// none. Returns true if the user's row still named the picture.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn restore(&self, user: i64, digest: &str) -> Result<bool, Failure> {
        let row = PictureRow {
            id: self.ids.next().await?,
            user_id: user,
            digest: digest.to_owned(),
            state: RESTORE.to,
            due_at: NEVER,
        };
        self.database.restore_picture(row, RESTORE).await
    }
}

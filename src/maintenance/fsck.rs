//! Check (`fsck`) of all pictures that accounts have: every size exists and decodes, the bytes
//! match the digest, and the rows are right.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, future::try_join_all, stream};
use veraicon_picture::Policy;

use super::{BATCH, Maintenance, Progress};
use crate::{
    database::{User, pictures::State},
    digest::Digest,
    failure::Failure,
    storage::PictureKey,
    workers::{Shaped, Workers},
};

/// Accounts that are checked in parallel.
const PARALLEL: usize = 8;
/// Side in pixels of the output that proves that a picture decodes. A small output costs little
/// time to resize and encode.
const PROOF_SIDE: u32 = 16;

/// Repairs to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// None: faults are only reported.
    None,
    /// Repairs that lose nothing: wrong rows are corrected, and missing sizes are made again from
    /// the largest one that is left.
    Lossless,
    /// In addition, accounts whose picture is missing in all sizes get the default picture.
    ResetLost,
}

/// Counts of a check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FsckReport {
    /// Accounts with a picture.
    pub accounts: u64,
    /// Accounts whose picture is incomplete or damaged.
    pub broken: u64,
    /// Wrong rows of pictures.
    pub rows: u64,
    /// Faults of both kinds that were repaired.
    pub repaired: u64,
}

/// The counts while the check runs. Accounts are checked in parallel, so they are atomic.
#[derive(Default)]
struct Counts {
    accounts: AtomicU64,
    broken: AtomicU64,
    rows: AtomicU64,
    repaired: AtomicU64,
}

/// One size of a picture, with its bytes if the store has it.
struct StoredSize {
    size: u32,
    bytes: Option<Bytes>,
}

impl Maintenance {
    /// Reads and decodes every picture that an account has.
    ///
    /// `proof` are workers with [`proof_policy`]. Missing sizes are made by the workers of the
    /// service's own policy.
    ///
    /// # Errors
    /// Store or database cannot be reached.
    pub async fn fsck(
        &self,
        proof: &Workers,
        repair: Repair,
        progress: &dyn Progress,
    ) -> Result<FsckReport, Failure> {
        let counts = Counts::default();
        // The totals only scale the progress bar, so a failure to count is ignored.
        let accounts = self.database.count_users_with_pictures().await;
        let pictures = self.database.count_pictures().await;
        progress.expect(accounts.unwrap_or(0) + pictures.unwrap_or(0));
        let mut after = i64::MIN;
        loop {
            let page = self.database.users_with_pictures_after(after, BATCH as u64);
            let page = page.await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            self.check_states(&page, repair, &counts, progress).await?;
            stream::iter(page)
                .map(|user| self.check_account(user, proof, repair, &counts, progress))
                .buffer_unordered(PARALLEL)
                .try_for_each(|()| {
                    progress.advance(1);
                    std::future::ready(Ok(()))
                })
                .await?;
        }
        self.check_unreferenced(repair, &counts, progress).await?;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Ok(FsckReport {
            accounts: read(&counts.accounts),
            broken: read(&counts.broken),
            rows: read(&counts.rows),
            repaired: read(&counts.repaired),
        })
    }

    /// Checks that every picture that an account names has a live row. Without one, a sweep could
    /// remove it.
    async fn check_states(
        &self,
        page: &[User],
        repair: Repair,
        counts: &Counts,
        progress: &dyn Progress,
    ) -> Result<(), Failure> {
        let ids: Vec<_> = page.iter().map(|user| user.id).collect();
        let rows = self.database.pictures_of(&ids).await?;
        for user in page {
            let Some(digest) = &user.avatar_digest else {
                continue;
            };
            let row = rows
                .iter()
                .find(|row| row.user_id == user.id && row.digest == *digest);
            if row.is_some_and(|row| row.state == State::Live) || self.has_changed(user).await? {
                continue;
            }
            add(&counts.rows);
            let state = row.map_or("is missing", |_| "is not live");
            progress.find(&format!("{}: the row of its picture {state}", name(user)));
            if repair != Repair::None && self.lifecycle.restore(user.id, digest).await? {
                add(&counts.repaired);
            }
        }
        Ok(())
    }

    /// Checks that every live row is named by its user. Otherwise no sweep would ever
    /// remove it.
    async fn check_unreferenced(
        &self,
        repair: Repair,
        counts: &Counts,
        progress: &dyn Progress,
    ) -> Result<(), Failure> {
        let mut after = i64::MIN;
        loop {
            let page = self.database.pictures_after(after, BATCH as u64).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.id;
            let users: Vec<_> = page.iter().map(|row| row.user_id).collect();
            // Users are read after the rows: a row becomes live in the transaction in which its
            // user names it.
            let named = self.database.named_digests(&users).await?;
            progress.advance(page.len() as u64);
            for row in page.iter().filter(|row| row.state == State::Live) {
                if named.contains(&(row.user_id, row.digest.clone())) {
                    continue;
                }
                if !self.is_unchanged(row).await? {
                    continue;
                }
                add(&counts.rows);
                let key = PictureKey::new(row.user_id, row.digest()?);
                progress.find(&format!("{key}: its row is live, but no account names it"));
                if repair != Repair::None {
                    self.lifecycle.unreference(row).await?;
                    add(&counts.repaired);
                }
            }
        }
    }

    /// Reads all sizes of an account's picture, decodes them, and compares the digest.
    async fn check_account(
        &self,
        user: User,
        proof: &Workers,
        repair: Repair,
        counts: &Counts,
        progress: &dyn Progress,
    ) -> Result<(), Failure> {
        add(&counts.accounts);
        let (Some(expected), Some(format)) = (user.digest()?, &user.avatar_format) else {
            return Ok(());
        };
        let key = PictureKey::new(user.id, expected);
        let sizes = try_join_all(user.sizes().map(async |size| {
            let bytes = self.storage.get(&key, size, format).await?;
            Ok::<_, Failure>(StoredSize { size, bytes })
        }));
        let sizes = sizes.await?;
        let mut wrong = Vec::new();
        let mut intact = Vec::new();
        for StoredSize { size, bytes } in &sizes {
            match bytes {
                None => wrong.push(format!("{size}.{format} is missing")),
                Some(bytes) => match decode(proof, bytes).await {
                    Ok(_) => intact.push(bytes),
                    Err(
                        failure @ (Failure::NotAnImage { .. }
                        | Failure::ImageTruncated { .. }
                        | Failure::ImageDamaged { .. }
                        | Failure::EmptyFile),
                    ) => wrong.push(format!(
                        "{size}.{format} does not decode: {}",
                        failure.reason()
                    )),
                    // A failure of the service says nothing about the picture.
                    Err(failure) => {
                        add(&counts.broken);
                        let reason = failure.reason();
                        let name = name(&user);
                        progress.find(&format!(
                            "{name}: {size}.{format} cannot be checked: {reason}"
                        ));
                        return Ok(());
                    }
                },
            }
        }
        // If all sizes decode but the digest differs, no size is a safe source for a repair.
        let incomplete = !wrong.is_empty();
        if wrong.is_empty()
            && Digest::of(sizes.iter().filter_map(|size| size.bytes.as_deref())) != *key.digest()
        {
            wrong.push("its bytes do not match its digest".into());
        }
        // A picture that was replaced or removed while it was read is no fault.
        if wrong.is_empty() || self.has_changed(&user).await? {
            return Ok(());
        }
        add(&counts.broken);
        progress.find(&format!("{}: {}", name(&user), wrong.join("; ")));
        let repaired = match (repair, intact.first()) {
            (Repair::None, _) => false,
            (_, Some(largest)) if incomplete => {
                let Shaped { squares, .. } = decode(&self.workers, largest).await?;
                self.avatars.replace(&user, squares).await?
            }
            (Repair::ResetLost, None) if sizes.iter().all(|size| size.bytes.is_none()) => {
                self.avatars.remove_unchanged(&user).await?
            }
            _ => false,
        };
        if repaired {
            add(&counts.repaired);
        }
        Ok(())
    }

    /// Returns true if the account has changed since it was read.
    async fn has_changed(&self, user: &User) -> Result<bool, Failure> {
        let now = self.database.user(user.id).await?;
        Ok(now.is_none_or(|now| {
            (now.updated_at, &now.avatar_digest) != (user.updated_at, &user.avatar_digest)
        }))
    }
}

/// Returns a policy that proves that stored pictures decode, with one small output.
///
/// Its limits are the defaults. The limits of uploads may have been lowered since a picture was
/// stored.
#[must_use]
pub fn proof_policy(policy: &Policy) -> Policy {
    Policy {
        sizes: vec![PROOF_SIDE],
        format: policy.format,
        quality: policy.quality,
        ..Policy::default()
    }
}

/// Decodes a picture in a worker.
async fn decode(workers: &Workers, bytes: &[u8]) -> Result<Shaped, Failure> {
    let (permit, mut body) = workers.admit(Some(bytes.len() as u64)).await?;
    body.extend(bytes).map_err(Failure::internal)?;
    let body = body.seal().map_err(Failure::internal)?;
    let picture = body.picture(0..body.len()).map_err(Failure::internal)?;
    workers.shape(permit, picture, None).await
}

/// Adds 1 to a count.
fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// Returns the identifier and the name of an account, for findings.
fn name(user: &User) -> String {
    format!("user {} ({})", user.id, user.username)
}

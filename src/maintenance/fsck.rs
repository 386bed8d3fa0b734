//! Proving that every picture that a row names is there, whole, and the one that it says.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, future::try_join_all, stream};
use veraicon_picture::Policy;

use super::{BATCH, Progress};
use crate::{
    avatars::Avatars,
    database::{User, pictures::State},
    digest::Digest,
    failure::Failure,
    storage::PictureKey,
    workers::{Shaped, Workers},
};

/// Accounts that are looked at side by side.
const ABREAST: usize = 8;
/// The side of what a picture is shaped into to prove that it decodes: as little work beside decoding as there can be.
const PROOF: u32 = 16;

/// What to do about what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Nothing.
    None,
    /// What loses nothing: rows are put right, and missing sizes are made from the largest one that is left.
    Mend,
    /// And accounts of whose picture nothing is left go back to the default one.
    MendAndReset,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FsckReport {
    /// Accounts with a picture.
    pub accounts: u64,
    /// Those among them whose picture is not whole.
    pub broken: u64,
    /// Rows that say of a picture what is not so.
    pub rows: u64,
    /// What was put right, of both.
    pub cured: u64,
}

#[derive(Default)]
struct Counts {
    accounts: AtomicU64,
    broken: AtomicU64,
    rows: AtomicU64,
    cured: AtomicU64,
}

/// One size of a picture as the store has it.
struct Size {
    size: u32,
    bytes: Option<Bytes>,
}

impl Avatars {
    /// Reads every picture that an account has, and decodes it.
    ///
    /// `proof` are workers by [`proof_policy`]; the service's own make anew what is missing.
    ///
    /// # Errors
    /// Store or database is out of reach.
    pub async fn check(
        &self,
        proof: &Workers,
        cure: Repair,
        progress: &dyn Progress,
    ) -> Result<FsckReport, Failure> {
        let counts = Counts::default();
        let accounts = self.database.count_users_with_pictures().await;
        let pictures = self.database.count_pictures().await;
        progress.expect(accounts.unwrap_or(0) + pictures.unwrap_or(0));
        let mut after = i64::MIN;
        loop {
            let page = self.database.users_with_pictures_after(after, BATCH as u64);
            let page = page.await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            self.check_states(&page, cure, &counts, progress).await?;
            stream::iter(page)
                .map(|user| self.check_account(user, proof, cure, &counts, progress))
                .buffer_unordered(ABREAST)
                .try_for_each(|()| {
                    progress.advance(1);
                    std::future::ready(Ok(()))
                })
                .await?;
        }
        self.check_unnamed(cure, &counts, progress).await?;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Ok(FsckReport {
            accounts: read(&counts.accounts),
            broken: read(&counts.broken),
            rows: read(&counts.rows),
            cured: read(&counts.cured),
        })
    }

    /// Every picture that is named is kept as live: else the sweep would be told that it may go.
    async fn check_states(
        &self,
        page: &[User],
        cure: Repair,
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
            if cure != Repair::None {
                let id = self.ids.next().await?;
                if self.database.keep_named(id, user.id, digest).await? {
                    add(&counts.cured);
                }
            }
        }
        Ok(())
    }

    /// Every picture that is kept as live is named: else nobody would ever remove it.
    async fn check_unnamed(
        &self,
        cure: Repair,
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
            // Users are read after the rows: a row becomes live in the transaction that names it.
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
                progress.find(&format!(
                    "avatars/{}/{}: kept, though no account names it",
                    row.user_id, row.digest
                ));
                if cure != Repair::None {
                    self.database
                        .retire_unnamed(row.id, self.clock.now())
                        .await?;
                    add(&counts.cured);
                }
            }
        }
    }

    async fn check_account(
        &self,
        user: User,
        proof: &Workers,
        cure: Repair,
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
            Ok::<_, Failure>(Size { size, bytes })
        }));
        let sizes = sizes.await?;
        let mut wrong = Vec::new();
        let mut sound = Vec::new();
        for Size { size, bytes } in &sizes {
            match bytes {
                None => wrong.push(format!("{size}.{format} is missing")),
                Some(bytes) => match decode(proof, bytes).await {
                    Ok(_) => sound.push(bytes),
                    Err(
                        failure @ (Failure::NotAnImage { .. }
                        | Failure::ImageTruncated { .. }
                        | Failure::ImageDamaged { .. }
                        | Failure::EmptyFile),
                    ) => wrong.push(format!(
                        "{size}.{format} does not decode: {}",
                        failure.reason()
                    )),
                    // That says nothing of the picture.
                    Err(failure) => {
                        add(&counts.broken);
                        let reason = failure.reason();
                        let name = name(&user);
                        progress.find(&format!(
                            "{name}: {size}.{format} cannot be judged: {reason}"
                        ));
                        return Ok(());
                    }
                },
            }
        }
        let remade = !wrong.is_empty();
        if wrong.is_empty()
            && Digest::of(sizes.iter().filter_map(|size| size.bytes.as_deref())) != *key.digest()
        {
            wrong.push("its bytes are not those that its digest names".into());
        }
        // What was replaced or removed while it was read is no fault.
        if wrong.is_empty() || self.has_changed(&user).await? {
            return Ok(());
        }
        add(&counts.broken);
        progress.find(&format!("{}: {}", name(&user), wrong.join("; ")));
        let cured = match (cure, sound.first()) {
            (Repair::None, _) => false,
            (_, Some(largest)) if remade => {
                let Shaped { squares, .. } = decode(&self.workers, largest).await?;
                self.replace(&user, squares).await?
            }
            (Repair::MendAndReset, None) if sizes.iter().all(|size| size.bytes.is_none()) => {
                self.remove_unchanged(&user).await?
            }
            _ => false,
        };
        if cured {
            add(&counts.cured);
        }
        Ok(())
    }

    /// Whether the account's picture is another by now.
    async fn has_changed(&self, user: &User) -> Result<bool, Failure> {
        let now = self.database.user(user.id).await?;
        Ok(now.is_none_or(|now| {
            (now.updated_at, &now.avatar_digest) != (user.updated_at, &user.avatar_digest)
        }))
    }
}

/// Takes what is stored, whatever limits uploads have today, and does as little as possible beside decoding it.
#[must_use]
pub fn proof_policy(policy: &Policy) -> Policy {
    Policy {
        sizes: vec![PROOF],
        format: policy.format,
        quality: policy.quality,
        ..Policy::default()
    }
}

async fn decode(workers: &Workers, bytes: &[u8]) -> Result<Shaped, Failure> {
    let (seat, mut body) = workers.admit(Some(bytes.len() as u64)).await?;
    body.extend(bytes).map_err(Failure::internal)?;
    let body = body.seal().map_err(Failure::internal)?;
    let picture = body.picture(&body);
    workers.shape(seat, picture, None).await
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

fn name(user: &User) -> String {
    format!("user {} ({})", user.id, user.username)
}

//! Removing objects that no row names: what a crash, a late store or a restored database has left behind.

use std::collections::HashSet;

use super::{BATCH, Progress};
use crate::{
    avatars::Avatars,
    failure::Failure,
    storage::{Listed, PictureKey},
};

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Pictures that the store holds, orphans too.
    pub pictures: u64,
    /// Pictures whose time was over: replaced, or given up.
    pub due: u64,
    /// Pictures that no row names, older than the grace.
    pub orphans: u64,
    /// Pictures that no row names, and that are too young to be called orphans.
    pub young: u64,
    /// Objects among the pictures that are none; they are left alone.
    pub foreign: u64,
    /// Pictures that were removed.
    pub removed: u64,
}

impl Avatars {
    /// Looks through the store for pictures that no row names and that are older than the grace. With `remove` they get a
    /// row, by which the sweep removes them as it does all others: never one that a user's row names.
    ///
    /// # Errors
    /// Store or database is out of reach; the rest is left for the next time.
    pub async fn collect(
        &self,
        remove: bool,
        progress: &dyn Progress,
    ) -> Result<GcReport, Failure> {
        let mut collected = GcReport {
            due: self.database.count_due_pictures(self.clock.now()).await?,
            ..GcReport::default()
        };
        progress.expect(self.database.count_pictures().await.unwrap_or(0));
        let mut listing = self.storage.list().await?;
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let listed = listing.next().await?;
            let ended = listed.is_none();
            match listed {
                Some(Listed::Picture(key, objects)) => batch.push((key, objects)),
                Some(Listed::Unknown(object)) => {
                    collected.foreign += 1;
                    progress.find(&format!("{object}: not an object of a picture; left alone"));
                }
                None => {}
            }
            if batch.len() >= BATCH || ended {
                self.collect_from(&batch, remove, &mut collected, progress)
                    .await?;
                progress.advance(batch.len() as u64);
                batch.clear();
            }
            if ended {
                break;
            }
        }
        if remove {
            collected.removed = self.sweep(None).await? as u64;
        }
        Ok(collected)
    }

    async fn collect_from(
        &self,
        batch: &[(PictureKey, Vec<String>)],
        remove: bool,
        collected: &mut GcReport,
        progress: &dyn Progress,
    ) -> Result<(), Failure> {
        collected.pictures += batch.len() as u64;
        // Rows are read after the store was: an upload has its row before its first object.
        let users: Vec<_> = batch.iter().map(|(key, _)| key.user()).collect();
        let rows = self.database.pictures_of(&users).await?.into_iter();
        let known = rows.map(|row| Ok(PictureKey::new(row.user_id, row.digest()?)));
        let known: HashSet<_> = known.collect::<Result<_, Failure>>()?;
        let named = self.database.named_digests(&users).await?;
        for (key, objects) in batch.iter().filter(|(key, _)| !known.contains(key)) {
            if named.contains(&(key.user(), key.digest().to_string())) {
                progress.find(&format!("{key}: in use without a row; see veraicon fsck"));
                continue;
            }
            let Some(written) = self.storage.last_modified(objects).await? else {
                continue;
            };
            if self.clock.now().saturating_sub(written) < self.grace {
                collected.young += 1;
                continue;
            }
            collected.orphans += 1;
            progress.find(&format!(
                "{key}: no row names it; objects: {}",
                objects.len()
            ));
            if remove {
                let (id, now) = (self.ids.next().await?, self.clock.now());
                self.database
                    .adopt_picture(id, key.user(), key.digest().as_str(), now)
                    .await?;
            }
        }
        Ok(())
    }
}

//! Garbage collection: finds and removes objects without a row. They remain after a crash, after a
//! late write of a bucket, or after the database was restored from a backup.

use std::collections::HashSet;

use super::{BATCH, Maintenance, Progress};
use crate::{
    failure::Failure,
    storage::{Listed, PictureKey},
};

/// Counts of a garbage collection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Pictures in the store, orphans included.
    pub pictures: u64,
    /// Pictures that were due before: replaced, removed or abandoned.
    pub due: u64,
    /// Pictures without a row, older than the grace.
    pub orphans: u64,
    /// Pictures without a row that are not older than the grace. They may belong to a recent
    /// upload.
    pub young: u64,
    /// Objects that are not part of any picture. They are never removed.
    pub unknown: u64,
    /// Removed pictures.
    pub removed: u64,
}

impl Maintenance {
    /// Searches the store for pictures that have no row and are older than the grace.
    ///
    /// With `remove` they get a row, and a sweep removes them like all other due pictures. A sweep
    /// never removes a picture that a user's row names.
    ///
    /// # Errors
    /// Store or database cannot be reached. The rest is left for the next run.
    pub async fn gc(&self, remove: bool, progress: &dyn Progress) -> Result<GcReport, Failure> {
        let mut report = GcReport {
            due: self.lifecycle.count_due().await?,
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
                    report.unknown += 1;
                    progress.find(&format!("{object}: not part of any picture; left alone"));
                }
                None => {}
            }
            if batch.len() >= BATCH || ended {
                self.collect_batch(&batch, remove, &mut report, progress)
                    .await?;
                progress.advance(batch.len() as u64);
                batch.clear();
            }
            if ended {
                break;
            }
        }
        if remove {
            report.removed = self.avatars.sweep(None).await? as u64;
        }
        Ok(report)
    }

    /// Compares a batch of stored pictures with the rows. With `remove`, orphans get a row.
    async fn collect_batch(
        &self,
        batch: &[(PictureKey, Vec<String>)],
        remove: bool,
        report: &mut GcReport,
        progress: &dyn Progress,
    ) -> Result<(), Failure> {
        report.pictures += batch.len() as u64;
        // Rows are read after the store: an upload has its row before its first object.
        let users: Vec<_> = batch.iter().map(|(key, _)| key.user()).collect();
        let rows = self.database.pictures_of(&users).await?.into_iter();
        let known = rows.map(|row| Ok(PictureKey::new(row.user_id, row.digest()?)));
        let known: HashSet<_> = known.collect::<Result<_, Failure>>()?;
        let named = self.database.named_digests(&users).await?;
        for (key, objects) in batch.iter().filter(|(key, _)| !known.contains(key)) {
            if named.contains(&(key.user(), key.digest().to_string())) {
                progress.find(&format!("{key}: in use, but has no row; run veraicon fsck"));
                continue;
            }
            // No time: the objects were removed since they were listed.
            let Some(written) = self.storage.last_modified(objects).await? else {
                continue;
            };
            if self.clock.now().saturating_sub(written) < self.lifecycle.grace() {
                report.young += 1;
                continue;
            }
            report.orphans += 1;
            progress.find(&format!("{key}: has no row; objects: {}", objects.len()));
            if remove {
                self.lifecycle
                    .adopt(key.user(), key.digest().as_str())
                    .await?;
            }
        }
        Ok(())
    }
}

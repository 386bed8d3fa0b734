//! Copies all pictures to another store. The service may run meanwhile.

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use veraicon_picture::OutputFormat;

use super::{BATCH, Maintenance, Progress};
use crate::{
    database::{PictureRow, pictures::State},
    digest::Digest,
    failure::Failure,
    storage::{PictureKey, Storage},
};

/// Pictures that are copied in parallel.
const PARALLEL: usize = 16;

/// Counts of one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MoveReport {
    /// Pictures that have a row: in use, or in their grace.
    pub pictures: u64,
    /// Objects that were copied. All others were in the target already.
    pub copied: u64,
    /// Bytes of the copied objects.
    pub bytes: u64,
    /// Pictures in use that are incomplete or damaged in the source. `fsck` reports the details.
    pub broken: u64,
}

impl MoveReport {
    /// Writes one object to the target and counts it.
    async fn copy(
        &mut self,
        to: &Storage,
        key: &PictureKey,
        format: OutputFormat,
        size: u32,
        bytes: &Bytes,
    ) -> Result<(), Failure> {
        self.copied += 1;
        self.bytes += bytes.len() as u64;
        to.put(key, format, &[(size, bytes.clone())]).await
    }
}

impl Maintenance {
    /// Copies every object that `to` does not have. A later pass copies what is still missing.
    ///
    /// With `verify` all objects are read back from `to` and compared, and pictures in use are
    /// compared with their digests.
    ///
    /// # Errors
    /// A store or the database cannot be reached, or a copy differs from its source.
    pub async fn move_storage(
        &self,
        to: &Storage,
        verify: bool,
        progress: &dyn Progress,
    ) -> Result<MoveReport, Failure> {
        progress.expect(self.database.count_pictures().await.unwrap_or(0));
        let mut total = MoveReport::default();
        let mut after = i64::MIN;
        loop {
            let page = self.database.pictures_after(after, BATCH as u64).await?;
            let Some(last) = page.last() else {
                return Ok(total);
            };
            after = last.id;
            // A picture that is being removed needs no copy.
            let pictures = page.into_iter().filter(|row| row.state != State::Sweeping);
            total = stream::iter(pictures)
                .map(|row| self.copy_picture(row, to, verify, progress))
                .buffer_unordered(PARALLEL)
                .try_fold(total, async |total, one: MoveReport| {
                    progress.advance(1);
                    Ok(MoveReport {
                        pictures: total.pictures + one.pictures,
                        copied: total.copied + one.copied,
                        bytes: total.bytes + one.bytes,
                        broken: total.broken + one.broken,
                    })
                })
                .await?;
        }
    }

    /// Copies the objects of one picture that the target does not have.
    async fn copy_picture(
        &self,
        row: PictureRow,
        to: &Storage,
        verify: bool,
        progress: &dyn Progress,
    ) -> Result<MoveReport, Failure> {
        let key = PictureKey::new(row.user_id, row.digest()?);
        let mut from = self.storage.sizes(&key).await?;
        // The digest covers the outputs in this order: largest first.
        from.sort_unstable_by_key(|(size, _)| std::cmp::Reverse(*size));
        if from.is_empty() && row.state == State::Live && self.is_unchanged(&row).await? {
            progress.find(&format!("{key}: is missing"));
            return Ok(MoveReport {
                pictures: 1,
                broken: 1,
                ..MoveReport::default()
            });
        }
        let there = to.sizes(&key).await?;
        let mut one = MoveReport {
            pictures: 1,
            ..MoveReport::default()
        };
        let mut all = Vec::new();
        for (size, format) in from {
            let is_there = there.contains(&(size, format));
            if is_there && !verify {
                continue;
            }
            // An object that no longer exists was removed since it was listed.
            let Some(bytes) = self.storage.get(&key, size, format.extension()).await? else {
                continue;
            };
            if !is_there {
                one.copy(to, &key, format, size, &bytes).await?;
            }
            all.push((size, format, bytes));
        }
        if verify {
            self.verify(&row, &key, to, &all, &mut one, progress)
                .await?;
        }
        Ok(one)
    }

    /// Compares the copies in the target with `all`, and the picture with its digest.
    ///
    /// # Errors
    /// An object differs although it was copied again, or a store or the database fails.
    async fn verify(
        &self,
        row: &PictureRow,
        key: &PictureKey,
        to: &Storage,
        all: &[(u32, OutputFormat, Bytes)],
        one: &mut MoveReport,
        progress: &dyn Progress,
    ) -> Result<(), Failure> {
        for (size, format, bytes) in all {
            let copy = to.get(key, *size, format.extension()).await?;
            if copy.as_ref() == Some(bytes) {
                continue;
            }
            // An earlier copy was interrupted, or another object has the same key.
            progress.find(&format!(
                "{key}/{size}: differs in the target; copied again"
            ));
            one.copy(to, key, *format, *size, bytes).await?;
            if to.get(key, *size, format.extension()).await?.as_ref() != Some(bytes) {
                return Err(Failure::internal(format!(
                    "{key}/{size} differs after it was copied"
                )));
            }
        }
        // A picture that is not in use may lose objects at any time, so it is not reported.
        let named = row.state == State::Live;
        let whole = Digest::of(all.iter().map(|(_, _, bytes)| &**bytes)) == *key.digest();
        if named && !whole && self.is_unchanged(row).await? {
            one.broken += 1;
            progress.find(&format!("{key}: is not whole in the source"));
        }
        Ok(())
    }
}

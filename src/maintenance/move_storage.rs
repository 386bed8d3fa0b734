//! Moving all pictures to another store, while the service goes on.

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use veraicon_picture::OutputFormat;

use super::{BATCH, Progress};
use crate::{
    avatars::Avatars,
    database::{Stored, pictures::State},
    digest::Digest,
    failure::Failure,
    storage::{PictureKey, Storage},
};

/// Pictures that are copied side by side.
const ABREAST: usize = 16;

/// What came of one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MoveReport {
    /// Pictures that rows name, used ones and those in their grace.
    pub pictures: u64,
    /// Objects that were copied; all others were there already.
    pub copied: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Pictures in use that are not whole where they come from; `fsck` tells more.
    pub broken: u64,
}

impl MoveReport {
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

impl Avatars {
    /// Copies every object that `to` does not have. With `verify` all are read back from there and compared, those that
    /// were there too, and pictures in use are held to their digests. Begun again, it copies what is still missing.
    ///
    /// # Errors
    /// A store or the database is out of reach, or an object came back as another.
    pub async fn relocate(
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
            // What is being removed needs no copy.
            let pictures = page.into_iter().filter(|row| row.state != State::Sweeping);
            total = stream::iter(pictures)
                .map(|row| self.relocate_one(row, to, verify, progress))
                .buffer_unordered(ABREAST)
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

    async fn relocate_one(
        &self,
        row: Stored,
        to: &Storage,
        verify: bool,
        progress: &dyn Progress,
    ) -> Result<MoveReport, Failure> {
        let key = PictureKey::new(row.user_id, row.digest()?);
        let mut from = self.storage.sizes(&key).await?;
        // Largest first, as the digest has them.
        from.sort_unstable_by_key(|(size, _)| std::cmp::Reverse(*size));
        if from.is_empty() && row.state == State::Live && self.is_unchanged(&row).await? {
            progress.find(&format!("{key}: not there"));
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
            // What is gone by now was removed meanwhile.
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

    async fn verify(
        &self,
        row: &Stored,
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
            // A copy that was cut off, or an object that was there and is another.
            progress.find(&format!(
                "{key}/{size}: not the same over there; copied anew"
            ));
            one.copy(to, key, *format, *size, bytes).await?;
            if to.get(key, *size, format.extension()).await?.as_ref() != Some(bytes) {
                return Err(Failure::internal(format!(
                    "{key}/{size} does not come back as it was sent"
                )));
            }
        }
        let named = row.state == State::Live;
        let whole = Digest::of(all.iter().map(|(_, _, bytes)| &**bytes)) == *key.digest();
        if named && !whole && self.is_unchanged(row).await? {
            one.broken += 1;
            progress.find(&format!("{key}: not whole where it comes from"));
        }
        Ok(())
    }
}

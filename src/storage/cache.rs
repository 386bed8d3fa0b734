//! Pictures that are asked for again and again, kept in memory for a moment.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use moka::future::Cache as Kept;
use opendal::Error;
use veraicon_picture::OutputFormat;

use super::PictureKey;

/// How long a picture is kept, which is how long another node may go on to show one that was removed.
const LIFETIME: Duration = Duration::from_secs(5);
/// What an entry takes beside the picture, in bytes.
const ENTRY: usize = 512;

/// A node's cache. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    /// By objects' keys.
    kept: Kept<String, Bytes>,
    /// Of these sizes and this format, so that it is known what to forget of a picture.
    sizes: Arc<[u32]>,
    format: OutputFormat,
    /// How many pictures were removed so far.
    removals: Arc<AtomicU64>,
}

impl Cache {
    /// Keeps so many bytes of pictures of these sizes.
    pub(super) fn new(bytes: u64, sizes: &[u32], format: OutputFormat) -> Self {
        let weigh =
            |_: &String, bytes: &Bytes| u32::try_from(bytes.len() + ENTRY).unwrap_or(u32::MAX);
        let kept = Kept::builder()
            .weigher(weigh)
            .max_capacity(bytes)
            .time_to_live(LIFETIME)
            .build();
        Self {
            kept,
            sizes: sizes.into(),
            format,
            removals: Arc::default(),
        }
    }

    /// The object, where it is here.
    pub(super) async fn look(&self, object: &str) -> Option<Bytes> {
        self.kept.get(object).await
    }

    /// The object of this size, which `read` gets where it is not here. However many ask at once, it is read once; and
    /// once more, where a picture was removed meanwhile, which may have been this one.
    pub(super) async fn get<Read>(
        &self,
        object: &str,
        size: u32,
        read: impl Fn() -> Read,
    ) -> Result<Bytes, Arc<Error>>
    where
        Read: Future<Output = Result<Bytes, Error>>,
    {
        if self.sizes.contains(&size) {
            let removals = self.removals.load(Ordering::SeqCst);
            let bytes = self.kept.try_get_with_by_ref(object, read()).await?;
            if self.removals.load(Ordering::SeqCst) == removals {
                return Ok(bytes);
            }
            self.kept.invalidate(object).await;
        }
        read().await.map_err(Arc::new)
    }

    /// Forgets a picture that was removed.
    pub(super) async fn forget(&self, key: &PictureKey) {
        // First: who puts it here after the lines below sees that, and takes it away again.
        self.removals.fetch_add(1, Ordering::SeqCst);
        for size in self.sizes.iter() {
            let object = key.object(*size, self.format.extension());
            self.kept.invalidate(&object).await;
        }
    }
}

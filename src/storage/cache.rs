//! A short-lived cache of pictures in memory.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use moka::future::Cache;
use opendal::Error;
use veraicon_picture::OutputFormat;

use super::key::PictureKey;

/// Time that a picture stays in the cache. Another node may serve a removed picture for this long.
const LIFETIME: Duration = Duration::from_secs(5);
/// Memory of an entry beside the picture, in bytes: the key and the cache's own records.
const ENTRY_OVERHEAD: usize = 512;

/// A cache of the objects of pictures. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct PictureCache {
    /// The bytes by object.
    objects: Cache<String, Bytes>,
    // Only these sizes and this format are cached, so that `remove` knows all objects of a picture.
    sizes: Arc<[u32]>,
    format: OutputFormat,
    /// Number of removed pictures.
    removals: Arc<AtomicU64>,
}

impl PictureCache {
    /// Makes a cache of at most `max_bytes` for pictures of these sizes and this format.
    pub(super) fn new(max_bytes: u64, sizes: &[u32], format: OutputFormat) -> Self {
        let weigh = |_: &String, bytes: &Bytes| {
            u32::try_from(bytes.len() + ENTRY_OVERHEAD).unwrap_or(u32::MAX)
        };
        let objects = Cache::builder()
            .weigher(weigh)
            .max_capacity(max_bytes)
            .time_to_live(LIFETIME)
            .build();
        Self {
            objects,
            sizes: sizes.into(),
            format,
            removals: Arc::default(),
        }
    }

    /// Returns an object if it is cached.
    pub(super) async fn peek(&self, object: &str) -> Option<Bytes> {
        self.objects.get(object).await
    }

    /// Returns an object of this size. Reads it with `read` if it is not cached; parallel calls
    /// share one read.
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
            let bytes = self.objects.try_get_with_by_ref(object, read()).await?;
            if self.removals.load(Ordering::SeqCst) == removals {
                return Ok(bytes);
            }
            // A picture was removed during the read. It may be this one, and then these bytes are
            // stale.
            self.objects.invalidate(object).await;
        }
        read().await.map_err(Arc::new)
    }

    /// Removes a picture that is no longer in the store.
    pub(super) async fn remove(&self, key: &PictureKey) {
        // Before the loop: a parallel `get` that inserts the picture after the loop then sees the
        // new number, and removes it again.
        self.removals.fetch_add(1, Ordering::SeqCst);
        for size in self.sizes.iter() {
            let object = key.object(*size, self.format.extension());
            self.objects.invalidate(&object).await;
        }
    }
}

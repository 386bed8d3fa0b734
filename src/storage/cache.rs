//! Pictures that are asked for again and again, kept in memory for a moment.

use std::{sync::Arc, time::Duration};

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
        }
    }

    /// The object, where it is here.
    pub(super) async fn look(&self, object: &str) -> Option<Bytes> {
        self.kept.get(object).await
    }

    /// The object of this size, which `read` gets where it is not here. However many ask at once, it is read once.
    pub(super) async fn get(
        &self,
        object: String,
        size: u32,
        read: impl Future<Output = Result<Bytes, Error>>,
    ) -> Result<Bytes, Arc<Error>> {
        if self.sizes.contains(&size) {
            self.kept.try_get_with(object, read).await
        } else {
            read.await.map_err(Arc::new)
        }
    }

    /// Forgets a picture that was removed.
    pub(super) async fn forget(&self, key: &PictureKey) {
        for size in self.sizes.iter() {
            let object = key.object(*size, self.format.extension());
            self.kept.invalidate(&object).await;
        }
    }
}

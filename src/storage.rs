//! The object store. Only this module knows the path of an object, and when the object is durable.

mod bucket;
mod cache;
mod errors;
mod key;
mod listing;
mod local;
mod location;

pub(crate) use self::local::create_durably;
pub use self::{
    bucket::{BucketCredentials, StorageOptions},
    key::PictureKey,
    listing::{Listed, Listing},
    location::{Bucket, Provider, StorageLocation},
};

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use opendal::{ErrorKind, Operator, services::Fs};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use veraicon_picture::OutputFormat;

use self::{bucket::BucketOperators, cache::PictureCache, errors::store_failure};
use crate::{
    clock::{Clock, Milliseconds},
    failure::Failure,
};

/// `Cache-Control` of an object. Its path contains the digest of its content, so the content never
/// changes (RFC 8246).
pub const CACHE_CONTROL_IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// Most pictures that a node stores in parallel.
///
/// More would only wait in the store, where their requests time out and are then repeated, which
/// adds to its load.
const MAX_CONCURRENT_WRITES: usize = 32;
/// Time after which a client may try again if it got no permit.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The object that contains the name of the store.
const NAME: &str = "veraicon-store";

/// An open object store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Storage {
    operator: Operator,
    /// For removals. A repeated removal could take effect late, after the same picture has been
    /// stored again.
    without_retry: Operator,
    /// The folder, if the store is one on this machine.
    folder: Option<PathBuf>,
    /// The start of each object's URL.
    url_base: String,
    cache: Option<PictureCache>,
    write_permits: Arc<Semaphore>,
    /// Most time to wait for a permit.
    permit_timeout: Duration,
}

/// A permit to store a picture.
#[derive(Debug)]
pub struct WritePermit {
    _permit: OwnedSemaphorePermit,
}

impl Storage {
    /// Opens the store at `location`. URLs of its objects begin with `url_base`.
    ///
    /// Sends no request to a bucket.
    ///
    /// # Errors
    /// The folder cannot be created, or the settings of the bucket are invalid.
    pub async fn open(
        location: &StorageLocation,
        options: &StorageOptions,
        url_base: String,
    ) -> Result<Self, opendal::Error> {
        let (operator, without_retry, folder) = match location {
            StorageLocation::Folder(folder) => {
                let operator = Self::open_folder(folder).await?;
                (operator.clone(), operator, Some(folder.clone()))
            }
            StorageLocation::Bucket(bucket) => {
                let BucketOperators {
                    with_retry,
                    without_retry,
                } = bucket::open(bucket, options)?;
                (with_retry, without_retry, None)
            }
        };
        Ok(Self {
            operator,
            without_retry,
            folder,
            url_base,
            cache: None,
            write_permits: Arc::new(Semaphore::new(MAX_CONCURRENT_WRITES)),
            permit_timeout: options.timeout,
        })
    }

    /// Returns the same store with a cache of `max_bytes` for [`Self::get_cached`]; 0 for none.
    ///
    /// Only pictures of these sizes and this format are cached.
    #[must_use]
    pub fn with_cache(self, max_bytes: u64, sizes: &[u32], format: OutputFormat) -> Self {
        let cache = (max_bytes > 0).then(|| PictureCache::new(max_bytes, sizes, format));
        Self { cache, ..self }
    }

    async fn open_folder(folder: &Path) -> Result<Operator, opendal::Error> {
        let invalid = |problem: &str| {
            let text = format!("folder {}: {problem}", folder.display());
            opendal::Error::new(ErrorKind::ConfigInvalid, text)
        };
        let prepared = local::prepare(folder).await;
        prepared.map_err(|error| invalid("it cannot be created").set_source(error))?;
        let utf8 = |path: PathBuf| {
            let text = path.into_os_string().into_string();
            text.map_err(|_| invalid("its path is not UTF-8"))
        };
        let builder = Fs::default()
            .root(&utf8(folder.to_owned())?)
            .atomic_write_dir(&utf8(local::unfinished(folder))?);
        Operator::new(builder)
    }

    /// Waits for a permit to store a picture. Call this before the picture is recorded in the
    /// database.
    ///
    /// # Errors
    /// [`Failure::Busy`] if no permit is free within `storage.timeout`.
    pub async fn write_permit(&self) -> Result<WritePermit, Failure> {
        let permit = Arc::clone(&self.write_permits).acquire_owned();
        match tokio::time::timeout(self.permit_timeout, permit).await {
            Ok(permit) => Ok(WritePermit {
                _permit: permit.map_err(Failure::internal)?,
            }),
            Err(_) => Err(Failure::busy(RETRY_AFTER)),
        }
    }

    /// Stores all sizes of a picture. After this they survive a power loss.
    ///
    /// # Errors
    /// The store fails. Some of the sizes may then be stored.
    pub async fn put(
        &self,
        key: &PictureKey,
        format: OutputFormat,
        pictures: &[(u32, Bytes)],
    ) -> Result<(), Failure> {
        let writes = pictures.iter().map(|(size, bytes)| {
            let path = key.object(*size, format.extension());
            self.write(path, format.media_type(), bytes.clone())
        });
        // Not `try_join_all`: it drops the other writes after the first error, before they have
        // cleaned up.
        let written = join_all(writes).await;
        written
            .into_iter()
            .collect::<Result<Vec<_>, _>>()
            .map_err(store_failure)?;
        // A rename is durable only when the folder of the new name is synced. OpenDAL does not sync
        // it.
        if let Some(folder) = &self.folder {
            let synced = local::sync_folders(folder, &key.folder()).await;
            synced.map_err(Failure::internal)?;
        }
        Ok(())
    }

    /// Returns the name that [`Self::set_name`] gave to the store. It identifies the store even if
    /// it moves.
    ///
    /// # Errors
    /// The store fails.
    pub async fn name(&self) -> Result<Option<String>, Failure> {
        match self.operator.read(NAME).await {
            Ok(buffer) => {
                let text = String::from_utf8(buffer.to_vec());
                Ok(Some(text.map_err(Failure::internal)?.trim().to_owned()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(store_failure(error)),
        }
    }

    /// Gives the store a name.
    ///
    /// # Errors
    /// The store fails.
    pub async fn set_name(&self, name: &str) -> Result<(), Failure> {
        let text = Bytes::from(format!("{name}\n"));
        let written = self.write(NAME.to_owned(), "text/plain", text).await;
        written.map_err(store_failure)?;
        match &self.folder {
            Some(folder) => local::sync_folder(folder).await.map_err(Failure::internal),
            None => Ok(()),
        }
    }

    async fn write(&self, path: String, media_type: &str, bytes: Bytes) -> opendal::Result<()> {
        let mut writer = self.operator.writer_with(&path);
        // Files have no headers, and OpenDAL refuses these options for them.
        if self.folder.is_none() {
            writer = writer
                .content_type(media_type)
                .cache_control(CACHE_CONTROL_IMMUTABLE);
        }
        let mut writer = writer.await?;
        let outcome = match writer.write(bytes).await {
            Ok(()) => writer.close().await.map(|_| ()),
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            // If this fails too, `remove_unfinished` or the garbage collection removes the rest
            // later.
            let _ = writer.abort().await;
        }
        outcome
    }

    /// Reads one size of a picture; `None` if it does not exist.
    ///
    /// # Errors
    /// The store fails.
    pub async fn get(
        &self,
        key: &PictureKey,
        size: u32,
        extension: &str,
    ) -> Result<Option<Bytes>, Failure> {
        let read = self.read(&key.object(size, extension)).await;
        some_if_found(read.map_err(Arc::new))
    }

    /// Reads one size of a picture through the cache.
    ///
    /// A picture that another node has removed may still be returned for some seconds.
    ///
    /// # Errors
    /// The store fails.
    pub async fn get_cached(
        &self,
        key: &PictureKey,
        size: u32,
        extension: &str,
    ) -> Result<Option<Bytes>, Failure> {
        let object = key.object(size, extension);
        let read = || self.read(&object);
        some_if_found(match &self.cache {
            Some(cache) => cache.get(&object, size, read).await,
            None => read().await.map_err(Arc::new),
        })
    }

    /// Returns an object if it is in the cache. `object` may be any text.
    pub async fn cached(&self, object: &str) -> Option<Bytes> {
        self.cache.as_ref()?.peek(object).await
    }

    async fn read(&self, object: &str) -> Result<Bytes, opendal::Error> {
        let Some(folder) = &self.folder else {
            // Copied: the chunks of the response are slices of larger buffers, which the cache
            // would keep alive.
            return Ok(self.operator.read(object).await?.to_vec().into());
        };
        let read = local::read(folder.join(object)).await;
        read.map(Bytes::from).map_err(|error| {
            let what = format!("{object} cannot be read");
            match error.kind() {
                io::ErrorKind::NotFound => opendal::Error::new(ErrorKind::NotFound, what),
                io::ErrorKind::PermissionDenied => {
                    opendal::Error::new(ErrorKind::PermissionDenied, what)
                }
                // Such as EMFILE: the process has no free file descriptor.
                _ => opendal::Error::new(ErrorKind::Unexpected, what).set_temporary(),
            }
            .set_source(error)
        })
    }

    /// Removes all sizes of a picture. Succeeds if there are none.
    ///
    /// # Errors
    /// The store fails. Some of the sizes may then be removed.
    pub async fn remove(&self, key: &PictureKey) -> Result<(), Failure> {
        let folder = key.folder();
        let removal = self.without_retry.delete_with(&folder).recursive(true);
        let removed = removal.await;
        // Even after an error, since some sizes may be gone.
        if let Some(cache) = &self.cache {
            cache.remove(key).await;
        }
        removed.map_err(store_failure)?;
        match &self.folder {
            // Without this the picture could return after a power loss.
            Some(folder) => local::sync_folder(&folder.join(key.user_folder()))
                .await
                .map_err(Failure::internal),
            None => Ok(()),
        }
    }

    /// Returns true if the store may still apply a request after the request has failed or timed
    /// out.
    #[must_use]
    pub fn may_apply_late(&self) -> bool {
        self.folder.is_none()
    }

    /// Removes unfinished files of interrupted uploads from a local folder.
    ///
    /// # Errors
    /// The folder cannot be read or changed.
    pub async fn remove_unfinished(&self, clock: &Clock) -> Result<(), Failure> {
        match &self.folder {
            Some(folder) => local::remove_unfinished(folder, clock.now())
                .await
                .map_err(Failure::internal),
            None => Ok(()),
        }
    }

    /// Checks that the store answers.
    ///
    /// # Errors
    /// The store fails.
    pub async fn ping(&self) -> Result<(), Failure> {
        match &self.folder {
            Some(folder) => local::check(folder).await.map_err(Failure::internal),
            None => self.operator.check().await.map_err(store_failure),
        }
    }

    /// Lists all objects below the folder of pictures.
    ///
    /// # Errors
    /// The store fails.
    pub async fn list(&self) -> Result<Listing, Failure> {
        Listing::start(&self.operator).await
    }

    /// Returns the stored sizes of a picture, and the format of each.
    ///
    /// # Errors
    /// The store fails.
    pub async fn sizes(&self, key: &PictureKey) -> Result<Vec<(u32, OutputFormat)>, Failure> {
        listing::sizes(&self.operator, key).await
    }

    /// Returns the newest modification time of these objects; `None` if none of them exists.
    ///
    /// # Errors
    /// The store fails, or returns no modification time.
    pub async fn last_modified(&self, objects: &[String]) -> Result<Option<Milliseconds>, Failure> {
        listing::last_modified(&self.operator, objects).await
    }

    /// Returns the URL of one size of a picture.
    #[must_use]
    pub fn url(&self, key: &PictureKey, size: u32, extension: &str) -> String {
        format!("{}/{}", self.url_base, key.object(size, extension))
    }
}

/// Maps "not found" to `None`.
fn some_if_found(outcome: Result<Bytes, Arc<opendal::Error>>) -> Result<Option<Bytes>, Failure> {
    match outcome {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(store_failure(error)),
    }
}

//! The object store: the one place that knows where each object lies, and when it is safe.

mod bucket;
mod cache;
mod listing;
mod local;
mod location;

pub(crate) use self::local::create_durably;
pub use self::{
    bucket::Access,
    listing::{Listed, Listing},
    location::{Bucket, Location, Provider},
};

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use opendal::{ErrorKind, Operator, services::Fs};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use veraicon_picture::OutputFormat;

use self::cache::Cache;
use crate::{clock::Clock, failure::Failure};

/// Names one set of objects: the sizes of one picture of one user.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PictureKey {
    /// Whose picture it is.
    pub user: i64,
    /// SHA-256 over the outputs, in hexadecimal.
    pub digest: String,
}

/// How long browsers and caches may keep an object: a key names its content, so what lies under it never changes.
pub const CACHING: &str = "public, max-age=31536000, immutable";

/// How many pictures are being stored at once by a node. More of them would wait for each other in the store, where the
/// time of each request runs out: a store that has too much to do would be asked for everything again.
const TURNS: usize = 32;
/// How long a client is told to wait for its turn.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The object that holds the store's name.
const NAME: &str = "veraicon-store";

/// An open object store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Storage {
    operator: Operator,
    /// The same, where nothing is asked for twice: what was removed again could be removed a third time, later.
    once: Operator,
    /// The folder of a store on this machine.
    folder: Option<PathBuf>,
    /// What precedes an object's key in its URL.
    url_base: String,
    /// What was shown lately.
    shown: Option<Cache>,
    turns: Arc<Semaphore>,
    /// How long a turn is waited for.
    patience: Duration,
}

/// Leave to store a picture.
#[derive(Debug)]
pub struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Storage {
    /// Opens the store at `location`. Objects are handed out under `url_base`.
    ///
    /// # Errors
    /// The store cannot be opened. A bucket is not asked yet.
    pub async fn open(
        location: &Location,
        access: &Access,
        url_base: String,
    ) -> Result<Self, opendal::Error> {
        let (operator, once, folder) = match location {
            Location::Folder(folder) => {
                let operator = Self::open_folder(folder).await?;
                (operator.clone(), operator, Some(folder.clone()))
            }
            Location::Bucket(bucket) => {
                let (operator, once) = bucket::open(bucket, access)?;
                (operator, once, None)
            }
        };
        Ok(Self {
            operator,
            once,
            folder,
            url_base,
            shown: None,
            turns: Arc::new(Semaphore::new(TURNS)),
            patience: access.timeout,
        })
    }

    /// The same store, of whose pictures so many bytes are kept for [`show`](Self::show); sizes and format are the ones in use.
    #[must_use]
    pub fn keeping(self, bytes: u64, sizes: &[u32], format: OutputFormat) -> Self {
        let shown = (bytes > 0).then(|| Cache::new(bytes, sizes, format));
        Self { shown, ..self }
    }

    async fn open_folder(folder: &Path) -> Result<Operator, opendal::Error> {
        let unusable = |text: &str| opendal::Error::new(ErrorKind::ConfigInvalid, text.to_owned());
        let prepared = local::prepare(folder).await;
        prepared.map_err(|error| unusable("the store's folder").set_source(error))?;
        let text = |path: PathBuf| {
            let text = path.into_os_string().into_string();
            text.map_err(|_| unusable("the store's folder is no UTF-8"))
        };
        let builder = Fs::default()
            .root(&text(folder.to_owned())?)
            .atomic_write_dir(&text(local::unfinished(folder))?);
        Operator::new(builder)
    }

    /// Waits for leave to store a picture, before anybody is told that it is being stored.
    ///
    /// # Errors
    /// [`Failure::Busy`], where it does not come within `storage.timeout`.
    pub async fn turn(&self) -> Result<Turn, Failure> {
        let permit = Arc::clone(&self.turns).acquire_owned();
        match tokio::time::timeout(self.patience, permit).await {
            Ok(permit) => Ok(Turn {
                _permit: permit.map_err(Failure::internal)?,
            }),
            Err(_) => Err(Failure::busy(RETRY_AFTER)),
        }
    }

    /// Stores all sizes of a picture, each with its bytes. When this returns, they outlive a loss of power.
    ///
    /// # Errors
    /// Not all could be stored; what was stored is of no consequence.
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
        // All of them come to their end, also after one has failed, so that each clears up after itself.
        let written = join_all(writes).await;
        written
            .into_iter()
            .collect::<Result<Vec<_>, _>>()
            .map_err(store_failure)?;
        if let Some(folder) = &self.folder {
            let synced = local::sync_folders(folder, &key.folder()).await;
            synced.map_err(Failure::internal)?;
        }
        Ok(())
    }

    /// The name that the store was given: what tells it from all others, wherever it lies.
    ///
    /// # Errors
    /// The store is out of reach.
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
    /// The store is out of reach.
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
        if self.folder.is_none() {
            writer = writer.content_type(media_type).cache_control(CACHING);
        }
        let mut writer = writer.await?;
        let outcome = match writer.write(bytes).await {
            Ok(()) => writer.close().await.map(|_| ()),
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            // Nothing is lost if this fails as well: what is left over is removed in time.
            let _ = writer.abort().await;
        }
        outcome
    }

    /// Reads one size of a picture; absent where there is none.
    ///
    /// # Errors
    /// The store is out of reach.
    pub async fn get(
        &self,
        key: &PictureKey,
        size: u32,
        extension: &str,
    ) -> Result<Option<Bytes>, Failure> {
        let read = self.read(&key.object(size, extension)).await;
        found(read.map_err(Arc::new))
    }

    /// As [`get`](Self::get), for whoever looks at pictures: one that another node has removed may be there for some
    /// seconds yet.
    ///
    /// # Errors
    /// The store is out of reach.
    pub async fn show(
        &self,
        key: &PictureKey,
        size: u32,
        extension: &str,
    ) -> Result<Option<Bytes>, Failure> {
        let object = key.object(size, extension);
        let read = || self.read(&object);
        found(match &self.shown {
            Some(shown) => shown.get(&object, size, read).await,
            None => read().await.map_err(Arc::new),
        })
    }

    /// The object, where it was shown lately. Its key may be any text.
    pub async fn shown(&self, object: &str) -> Option<Bytes> {
        self.shown.as_ref()?.look(object).await
    }

    async fn read(&self, object: &str) -> Result<Bytes, opendal::Error> {
        let Some(folder) = &self.folder else {
            // Copied, since the pieces that came are parts of larger buffers.
            return Ok(self.operator.read(object).await?.to_vec().into());
        };
        let read = local::read(folder.join(object)).await;
        read.map(Bytes::from).map_err(|error| {
            let what = "an object cannot be read";
            match error.kind() {
                io::ErrorKind::NotFound => opendal::Error::new(ErrorKind::NotFound, what),
                io::ErrorKind::PermissionDenied => {
                    opendal::Error::new(ErrorKind::PermissionDenied, what)
                }
                // As when there are no descriptors left.
                _ => opendal::Error::new(ErrorKind::Unexpected, what).set_temporary(),
            }
            .set_source(error)
        })
    }

    /// Removes all sizes of a picture; there being none is no error.
    ///
    /// # Errors
    /// Not all could be removed.
    pub async fn remove(&self, key: &PictureKey) -> Result<(), Failure> {
        let folder = key.folder();
        let removal = self.once.delete_with(&folder).recursive(true);
        let removed = removal.await;
        if let Some(shown) = &self.shown {
            shown.forget(key).await;
        }
        removed.map_err(store_failure)?;
        match &self.folder {
            // Else a loss of power could bring the picture back.
            Some(folder) => local::sync_folder(&folder.join(key.owner()))
                .await
                .map_err(Failure::internal),
            None => Ok(()),
        }
    }

    /// Whether what was asked of the store, and never answered, may still be done later.
    #[must_use]
    pub fn answers_late(&self) -> bool {
        self.folder.is_none()
    }

    /// Removes what uploads that were cut off left unfinished long ago.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub async fn remove_unfinished(&self, clock: &Clock) -> Result<(), Failure> {
        match &self.folder {
            Some(folder) => local::remove_unfinished(folder, clock.now())
                .await
                .map_err(Failure::internal),
            None => Ok(()),
        }
    }

    /// Answers whether the store can be reached.
    ///
    /// # Errors
    /// It cannot.
    pub async fn ping(&self) -> Result<(), Failure> {
        match &self.folder {
            Some(folder) => local::check(folder).await.map_err(Failure::internal),
            None => self.operator.check().await.map_err(store_failure),
        }
    }

    /// The URL of one size of a picture.
    #[must_use]
    pub fn url(&self, key: &PictureKey, size: u32, extension: &str) -> String {
        format!("{}/{}", self.url_base, key.object(size, extension))
    }
}

impl PictureKey {
    /// Whose object this is: the reverse of [`Self::object`].
    fn of(object: &str) -> Option<Self> {
        let (folder, _) = object.rsplit_once('/')?;
        let (user, digest) = folder.strip_prefix("avatars/")?.split_once('/')?;
        let key = Self {
            user: user.parse().ok()?,
            digest: digest.to_owned(),
        };
        let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_digest && key.to_string() == folder).then_some(key)
    }

    /// `avatars/{user}/{digest}/{size}.{extension}`.
    fn object(&self, size: u32, extension: &str) -> String {
        format!("{self}/{size}.{extension}")
    }

    /// All pictures of a user lie under this.
    fn owner(&self) -> String {
        format!("avatars/{}/", self.user)
    }

    /// All objects of a picture lie under this, and nothing else does.
    fn folder(&self) -> String {
        format!("{self}/")
    }
}

impl fmt::Display for PictureKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "avatars/{}/{}", self.user, self.digest)
    }
}

/// That there is no such object is no failure.
fn found(outcome: Result<Bytes, Arc<opendal::Error>>) -> Result<Option<Bytes>, Failure> {
    match outcome {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(store_failure(error)),
    }
}

/// A store that is out of reach or without space is not available; all else is a fault.
fn store_failure(error: impl Into<Arc<opendal::Error>>) -> Failure {
    let error = error.into();
    // What was tried again and failed again is persistent, and still nothing that is wrong here.
    let refused = matches!(
        error.kind(),
        ErrorKind::PermissionDenied | ErrorKind::ConfigInvalid | ErrorKind::Unsupported
    );
    if (error.is_temporary() || error.is_persistent()) && !refused {
        return Failure::unavailable(error);
    }
    if has_no_space(&error) {
        return Failure::unavailable(error);
    }
    Failure::internal(error)
}

/// Returns true if the error or one of its sources says that a disk or a quota is full.
fn has_no_space(error: &opendal::Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        if let Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) = kind {
            return true;
        }
        source = cause.source();
    }
    false
}

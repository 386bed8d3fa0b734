//! The object store: the one place that knows where each object lies, and when it is safe.

mod local;

pub(crate) use self::local::create_durably;

use std::{fmt, path::PathBuf};

use bytes::Bytes;
use futures_util::future::try_join_all;
use opendal::{ErrorKind, Operator, services::Fs};
use veraicon_picture::Picture;

use crate::{clock::Clock, config::path_of, failure::Failure};

/// Names one set of objects: the sizes of one picture of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureKey {
    /// Whose picture it is.
    pub user: i64,
    /// SHA-256 over the outputs, in hexadecimal.
    pub digest: String,
}

/// An open object store.
#[derive(Clone, Debug)]
pub struct Storage {
    operator: Operator,
    /// The folder of a store on this machine.
    folder: Option<PathBuf>,
    /// What precedes an object's key in its URL.
    url_base: String,
}

impl Storage {
    /// Opens the store that `url` names. Objects are handed out under `url_base`.
    ///
    /// # Errors
    /// The store cannot be opened.
    pub async fn open(url: &str, url_base: String) -> Result<Self, opendal::Error> {
        let unusable = |text: &str| opendal::Error::new(ErrorKind::ConfigInvalid, text.to_owned());
        let folder = path_of(url, "fs://")
            .ok_or_else(|| unusable("the store's URL has no path"))?
            .to_owned();
        local::prepare(&folder)
            .await
            .map_err(|error| unusable("the store's folder").set_source(error))?;
        let text = |path: PathBuf| {
            path.into_os_string()
                .into_string()
                .map_err(|_| unusable("the store's folder is no UTF-8"))
        };
        let builder = Fs::default()
            .root(&text(folder.clone())?)
            .atomic_write_dir(&text(local::unfinished(&folder))?);
        Ok(Self {
            operator: Operator::new(builder)?,
            folder: Some(folder),
            url_base,
        })
    }

    /// Stores all sizes of a picture. When this returns, they outlive a loss of power.
    ///
    /// # Errors
    /// Not all could be stored; what was stored is of no consequence.
    pub async fn put(
        &self,
        key: &PictureKey,
        extension: &str,
        pictures: Vec<Picture>,
    ) -> Result<(), Failure> {
        let writes = pictures.into_iter().map(|picture| {
            let path = key.object(picture.size, extension);
            async move { self.operator.write(&path, picture.bytes).await.map(|_| ()) }
        });
        try_join_all(writes).await.map_err(Failure::internal)?;
        if let Some(folder) = &self.folder {
            local::sync_folders(folder, &key.folder())
                .await
                .map_err(Failure::internal)?;
        }
        Ok(())
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
        match self.operator.read(&key.object(size, extension)).await {
            Ok(buffer) => Ok(Some(buffer.to_bytes())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::internal(error)),
        }
    }

    /// Removes all sizes of a picture; there being none is no error.
    ///
    /// # Errors
    /// Not all could be removed.
    pub async fn remove(&self, key: &PictureKey) -> Result<(), Failure> {
        self.operator
            .delete_with(&key.folder())
            .recursive(true)
            .await
            .map_err(Failure::internal)
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
        self.operator.check().await.map_err(Failure::internal)
    }

    /// The URL of one size of a picture.
    #[must_use]
    pub fn url(&self, key: &PictureKey, size: u32, extension: &str) -> String {
        format!("{}/{}", self.url_base, key.object(size, extension))
    }
}

impl PictureKey {
    /// `avatars/{user}/{digest}/{size}.{extension}`.
    fn object(&self, size: u32, extension: &str) -> String {
        format!("{self}/{size}.{extension}")
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

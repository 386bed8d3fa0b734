//! What the store holds, picture by picture: for whoever looks after it, not for requests.

use futures_util::{TryStreamExt, future::try_join_all};
use opendal::{EntryMode, ErrorKind, Lister};
use veraicon_picture::OutputFormat;

use super::{PictureKey, Storage, store_failure};
use crate::{clock::Milliseconds, failure::Failure};

/// What objects may be stored as.
const FORMATS: [OutputFormat; 1] = [OutputFormat::WebP];
/// What all pictures lie under.
const PICTURES: &str = "avatars/";

/// The objects of one picture, or one that is none of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// A picture, and the keys of its objects.
    Picture(PictureKey, Vec<String>),
    /// The key of an object that no picture has.
    Foreign(String),
}

/// A walk through the store.
pub struct Listing {
    lister: Lister,
    /// A picture whose objects are being read, and what came after the last one.
    next: Option<(PictureKey, Vec<String>)>,
}

impl Listing {
    /// What comes next; nothing at the end. A picture whose objects the store does not list one after the other comes
    /// several times.
    ///
    /// # Errors
    /// The store is out of reach.
    pub async fn next(&mut self) -> Result<Option<Listed>, Failure> {
        while let Some(entry) = self.lister.try_next().await.map_err(store_failure)? {
            if entry.metadata().mode() == EntryMode::DIR {
                continue;
            }
            let object = entry.path().to_owned();
            let Some(key) = PictureKey::of(&object) else {
                return Ok(Some(Listed::Foreign(object)));
            };
            match &mut self.next {
                Some((current, objects)) if *current == key => objects.push(object),
                next => {
                    if let Some((key, objects)) = next.replace((key, vec![object])) {
                        return Ok(Some(Listed::Picture(key, objects)));
                    }
                }
            }
        }
        let last = self.next.take();
        Ok(last.map(|(key, objects)| Listed::Picture(key, objects)))
    }
}

impl Storage {
    /// A walk through all that lies where pictures lie.
    ///
    /// # Errors
    /// The store is out of reach.
    pub async fn list(&self) -> Result<Listing, Failure> {
        let lister = self.operator.lister_with(PICTURES).recursive(true).await;
        let lister = lister.map_err(store_failure)?;
        Ok(Listing { lister, next: None })
    }

    /// The sizes that are there of a picture, and what each is stored as.
    ///
    /// # Errors
    /// The store is out of reach.
    pub async fn sizes(&self, key: &PictureKey) -> Result<Vec<(u32, OutputFormat)>, Failure> {
        let folder = key.folder();
        let entries = match self.operator.list(&folder).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(store_failure)?,
        };
        let sizes = entries.iter().filter_map(|entry| {
            let (size, extension) = entry.path().rsplit_once('/')?.1.split_once('.')?;
            let format = FORMATS
                .iter()
                .find(|format| format.extension() == extension);
            Some((size.parse().ok()?, *format?))
        });
        Ok(sizes.collect())
    }

    /// When the youngest of these objects was written; nothing, where all are gone.
    ///
    /// # Errors
    /// The store is out of reach, or does not say.
    pub async fn youngest(&self, objects: &[String]) -> Result<Option<Milliseconds>, Failure> {
        let times = objects
            .iter()
            .map(async |object| match self.operator.stat(object).await {
                Ok(metadata) => metadata
                    .last_modified()
                    .map(|time| Some(time.into_inner().as_millisecond()))
                    .ok_or_else(|| Failure::internal("the store tells no times")),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(store_failure(error)),
            });
        Ok(try_join_all(times).await?.into_iter().flatten().max())
    }
}

//! Lists the objects of a store, for maintenance commands.

use futures_util::{TryStreamExt, future::try_join_all};
use opendal::{EntryMode, ErrorKind, Lister, Operator};
use veraicon_picture::OutputFormat;

use super::{
    errors::store_failure,
    key::{PICTURES, PictureKey},
};
use crate::{clock::Milliseconds, failure::Failure};

/// All formats in which pictures are stored.
const FORMATS: [OutputFormat; 1] = [OutputFormat::WebP];

/// A picture with its objects, or another object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// A picture, and its objects.
    Picture(PictureKey, Vec<String>),
    /// An object whose path is not that of a picture.
    Unknown(String),
}

/// A walk through all objects of a store.
pub struct Listing {
    lister: Lister,
    /// The picture that is being collected, with the objects found so far.
    current: Option<(PictureKey, Vec<String>)>,
}

impl Listing {
    /// Starts at the first object below the folder of all pictures.
    pub(super) async fn start(operator: &Operator) -> Result<Self, Failure> {
        let lister = operator.lister_with(PICTURES).recursive(true).await;
        Ok(Self {
            lister: lister.map_err(store_failure)?,
            current: None,
        })
    }

    /// Returns the next picture or unknown object; `None` at the end.
    ///
    /// A picture comes more than once if the store does not list its objects one after the other.
    ///
    /// # Errors
    /// The store fails.
    pub async fn next(&mut self) -> Result<Option<Listed>, Failure> {
        while let Some(entry) = self.lister.try_next().await.map_err(store_failure)? {
            if entry.metadata().mode() == EntryMode::DIR {
                continue;
            }
            let object = entry.path().to_owned();
            let Some(key) = PictureKey::parse(&object) else {
                return Ok(Some(Listed::Unknown(object)));
            };
            match &mut self.current {
                Some((current, objects)) if *current == key => objects.push(object),
                current => {
                    if let Some((key, objects)) = current.replace((key, vec![object])) {
                        return Ok(Some(Listed::Picture(key, objects)));
                    }
                }
            }
        }
        let last = self.current.take();
        Ok(last.map(|(key, objects)| Listed::Picture(key, objects)))
    }
}

/// Returns the stored sizes of a picture, and the format of each.
pub(super) async fn sizes(
    operator: &Operator,
    key: &PictureKey,
) -> Result<Vec<(u32, OutputFormat)>, Failure> {
    let entries = match operator.list(&key.folder()).await {
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

/// Returns the newest modification time of these objects; `None` if none of them exists.
pub(super) async fn last_modified(
    operator: &Operator,
    objects: &[String],
) -> Result<Option<Milliseconds>, Failure> {
    let times = objects
        .iter()
        .map(async |object| match operator.stat(object).await {
            Ok(metadata) => metadata
                .last_modified()
                .map(|time| Some(time.into_inner().as_millisecond()))
                .ok_or_else(|| {
                    Failure::internal(format!(
                        "the object store returned no modification time of {object}"
                    ))
                }),
            // Another node may have removed it since it was listed.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(store_failure(error)),
        });
    Ok(try_join_all(times).await?.into_iter().flatten().max())
}

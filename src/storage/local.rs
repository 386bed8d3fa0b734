//! What a folder on this machine needs beside an object store's own calls: durable names, and no left-overs.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use crate::clock::Milliseconds;

/// Longer than any upload takes.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Where objects are written before they are renamed into place: in the store's own folder, so that the file system is the same.
pub(super) fn unfinished(folder: &Path) -> PathBuf {
    folder.join(".unfinished")
}

/// Makes the store's folder, durably.
pub(super) async fn prepare(folder: &Path) -> io::Result<()> {
    let folder = folder.to_owned();
    blocking(move || create_durably(&unfinished(&folder))).await
}

/// Makes a folder and those above it, and makes their names outlive a loss of power.
pub(crate) fn create_durably(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    create_durably(parent)?;
    // What lies here is nobody else's: password hashes and the signing key.
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(parent)?.sync_all()
}

/// Makes the names of objects outlive a loss of power: a rename is safe only when the folder that holds it is synced,
/// and so on up, since each folder may be as new as the object.
pub(super) async fn sync_folders(root: &Path, below: &str) -> io::Result<()> {
    let (root, mut folder) = (root.to_owned(), root.join(below));
    blocking(move || {
        loop {
            File::open(&folder)?.sync_all()?;
            if folder == root || !folder.pop() {
                return Ok(());
            }
        }
    })
    .await
}

/// Makes what was removed from a folder stay removed after a loss of power; a folder that is gone needs nothing.
pub(super) async fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = folder.to_owned();
    blocking(move || match File::open(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        folder => folder?.sync_all(),
    })
    .await
}

/// Reads a whole object, into memory of its size; the library's own way takes a buffer of a megabyte.
pub(super) async fn read(object: PathBuf) -> io::Result<Vec<u8>> {
    blocking(move || fs::read(object)).await
}

/// Answers whether objects can be written: their folder is there.
pub(super) async fn check(folder: &Path) -> io::Result<()> {
    let folder = unfinished(folder);
    blocking(move || fs::read_dir(folder).map(|_| ())).await
}

/// Removes files that no upload can still be writing.
pub(super) async fn remove_unfinished(root: &Path, now: Milliseconds) -> io::Result<()> {
    let folder = unfinished(root);
    blocking(move || {
        let now = Duration::from_millis(u64::try_from(now).unwrap_or(0));
        for entry in fs::read_dir(&folder)? {
            match remove_if_old(&entry?, now) {
                // An upload has just renamed it into place.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                outcome => outcome?,
            }
        }
        Ok(())
    })
    .await
}

fn remove_if_old(entry: &fs::DirEntry, now: Duration) -> io::Result<()> {
    let modified = entry.metadata()?.modified()?;
    let modified = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    if now.saturating_sub(modified) > ABANDONED_AFTER {
        fs::remove_file(entry.path())?;
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

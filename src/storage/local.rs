//! A store in a local folder: durable names, and removal of unfinished files. OpenDAL does neither.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use crate::clock::Milliseconds;

/// Age at which an unfinished file is removed. No upload takes this long.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns the folder for unfinished files. It is inside the store, since a rename works only
/// within one file system.
pub(super) fn unfinished(folder: &Path) -> PathBuf {
    folder.join(".unfinished")
}

/// Creates the folders of the store, durably.
pub(super) async fn prepare(folder: &Path) -> io::Result<()> {
    let folder = folder.to_owned();
    blocking(move || create_durably(&unfinished(&folder))).await
}

/// Creates a folder and its parents, and syncs their names, so that they survive a power loss.
pub(crate) fn create_durably(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    create_durably(parent)?;
    // Other users of the machine must not read the password hashes and the signing key in the data
    // directory.
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // A folder's name is part of its parent, so the parent is synced.
    File::open(parent)?.sync_all()
}

/// Syncs the folder `below` and all its parents up to `root`, so that the names in them survive a
/// power loss.
pub(super) async fn sync_folders(root: &Path, below: &str) -> io::Result<()> {
    let (root, mut folder) = (root.to_owned(), root.join(below));
    blocking(move || {
        // The parents may be as new as the object: OpenDAL creates them, but does not sync them.
        loop {
            File::open(&folder)?.sync_all()?;
            if folder == root || !folder.pop() {
                return Ok(());
            }
        }
    })
    .await
}

/// Syncs a folder, so that removals from it survive a power loss. Succeeds if the folder does not
/// exist.
pub(super) async fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = folder.to_owned();
    blocking(move || match File::open(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        folder => folder?.sync_all(),
    })
    .await
}

/// Reads an object into memory of exactly its size. OpenDAL allocates a buffer of 1 MiB instead.
pub(super) async fn read(object: PathBuf) -> io::Result<Vec<u8>> {
    blocking(move || fs::read(object)).await
}

/// Checks that the folder of the store exists and can be read.
pub(super) async fn check(folder: &Path) -> io::Result<()> {
    let folder = unfinished(folder);
    blocking(move || fs::read_dir(folder).map(|_| ())).await
}

/// Removes unfinished files of interrupted uploads.
pub(super) async fn remove_unfinished(root: &Path, now: Milliseconds) -> io::Result<()> {
    let folder = unfinished(root);
    blocking(move || {
        let now = Duration::from_millis(u64::try_from(now).unwrap_or(0));
        for entry in fs::read_dir(&folder)? {
            match remove_if_old(&entry?, now) {
                // An upload has just renamed it.
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

//! Uploads in memory that worker processes can be lent: written once, then sealed for all.

use std::{fs::File, io, io::Write, ops::Range, os::fd::AsFd, os::fd::BorrowedFd, sync::Arc};

use memmap2::{Mmap, MmapOptions};
use tokio::sync::OwnedSemaphorePermit;

/// An upload's body while it arrives.
#[derive(Debug)]
pub struct Buffer {
    file: File,
    length: usize,
    room: Option<Arc<OwnedSemaphorePermit>>,
}

/// A whole body that nobody can change any more. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sealed(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    file: File,
    map: Option<Mmap>,
    /// What was taken for the memory; it goes back when the memory does, and not before.
    _room: Option<Arc<OwnedSemaphorePermit>>,
}

/// The part of a body that is the picture.
#[derive(Clone, Debug)]
pub struct Picture {
    pub(super) body: Sealed,
    pub(super) range: Range<usize>,
}

impl Buffer {
    /// An empty buffer, in memory that `room` was taken for.
    ///
    /// # Errors
    /// The system has no descriptor or no memory to spare.
    pub fn new(room: Option<Arc<OwnedSemaphorePermit>>) -> io::Result<Self> {
        let file = anonymous_file()?;
        Ok(Self {
            file,
            length: 0,
            room,
        })
    }

    /// Adds bytes at the end: the one time that they are copied.
    ///
    /// # Errors
    /// The system has no memory to spare.
    pub fn extend(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.length += bytes.len();
        Ok(())
    }

    /// How many bytes are there.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Ends the writing, for this process and every other.
    ///
    /// # Errors
    /// The system has no memory to spare.
    pub fn seal(self) -> io::Result<Sealed> {
        let Self { file, length, room } = self;
        seal(&file)?;
        let map = if length == 0 {
            None
        } else {
            Some(map(&file, length, false)?)
        };
        Ok(Sealed(Arc::new(Parts {
            file,
            map,
            _room: room,
        })))
    }
}

impl Sealed {
    /// The part of the body that `data`, a slice of it, is.
    ///
    /// # Panics
    /// Where `data` is no slice of this body: a fault of the caller.
    #[must_use]
    pub fn picture(&self, data: &[u8]) -> Picture {
        let start = data.as_ptr() as usize - self.as_ptr() as usize;
        let range = start..start + data.len();
        assert!(range.end <= self.len(), "the data lie outside the body");
        Picture {
            body: self.clone(),
            range,
        }
    }

    /// What a worker is lent.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.file.as_fd()
    }
}

impl std::ops::Deref for Sealed {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.map.as_deref().unwrap_or_default()
    }
}

/// Maps the first `length` bytes of a sealed file; with `all`, which is cheaper for who reads all, every page at once.
#[expect(
    unsafe_code,
    reason = "a mapping is sound while nobody can change or cut its file"
)]
pub(super) fn map(file: &File, length: usize, all: bool) -> io::Result<Mmap> {
    let mut options = MmapOptions::new();
    if all {
        options.populate();
    }
    // SAFETY: the file has no name. On Linux its seals forbid to write to it and to cut it, to its owner too; elsewhere
    // it is written by `Buffer` alone, which is gone.
    // Private, though nobody writes: older kernels refuse to share what is sealed against writing.
    unsafe { options.len(length).map_copy_read_only(file) }
}

/// Memory that has a descriptor.
#[cfg(target_os = "linux")]
fn anonymous_file() -> io::Result<File> {
    use rustix::fs::{MemfdFlags, memfd_create};

    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Some systems insist that it is never run; older ones do not know the word.
    let file = memfd_create("upload", flags | MemfdFlags::NOEXEC_SEAL)
        .or_else(|_| memfd_create("upload", flags))?;
    Ok(file.into())
}

#[cfg(target_os = "linux")]
fn seal(file: &File) -> io::Result<()> {
    use rustix::fs::{SealFlags, fcntl_add_seals};

    let all = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    Ok(fcntl_add_seals(file, all)?)
}

#[cfg(not(target_os = "linux"))]
fn anonymous_file() -> io::Result<File> {
    tempfile::tempfile()
}

#[cfg(not(target_os = "linux"))]
fn seal(_file: &File) -> io::Result<()> {
    Ok(())
}

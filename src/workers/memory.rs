//! Memory that has a descriptor: written here, lent to worker processes to read, and used again for another upload.
//!
//! To have the kernel make pages and take them back costs more than to fill them: some 350 µs a MiB against 70.

use std::{
    fs::File,
    io::{self, Seek, Write},
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
};

use memmap2::{Mmap, MmapOptions, MmapRaw};

/// As much of it stays for the next upload, in bytes: most photos of phones.
pub(super) const KEPT: usize = 4 << 20;

/// Memory that has a descriptor.
#[derive(Debug)]
pub(super) struct Memory {
    file: File,
    /// How many bytes were written.
    length: usize,
    /// The first [`KEPT`] bytes of the file, as they are when they are read.
    view: MmapRaw,
    /// What was written, where the view is too short for it.
    whole: Option<Mmap>,
}

/// Memory that waits for the next upload. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    memories: Arc<Mutex<Vec<Memory>>>,
    /// How much of it there may be.
    most: usize,
}

impl Shelf {
    /// A shelf for so many.
    pub(super) fn new(most: usize) -> Self {
        Self {
            memories: Arc::default(),
            most,
        }
    }

    /// Memory to write from its beginning, which holds no more than `room` bytes until then.
    pub(super) fn take(&self, room: u64) -> io::Result<Memory> {
        let kept = { self.memories().pop() };
        match kept {
            Some(memory) => memory.cut(room).map(|()| memory),
            None => Memory::new(),
        }
    }

    /// Keeps memory for the next upload, where there is room, and where nobody else has it any more: a worker that was
    /// taken over, and did not let go of it, shall not see what is written next. Nor shall it keep what it has.
    pub(super) fn give_back(&self, mut memory: Memory) {
        if !memory.is_ours_alone() {
            let _ = memory.cut(0);
        } else if memory.rewind().is_ok() {
            let mut memories = self.memories();
            if memories.len() < self.most {
                memories.push(memory);
            }
        }
    }

    fn memories(&self) -> std::sync::MutexGuard<'_, Vec<Memory>> {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn new() -> io::Result<Self> {
        let file = anonymous_file()?;
        let view = MmapOptions::new().len(KEPT).map_raw_read_only(&file)?;
        Ok(Self {
            file,
            length: 0,
            view,
            whole: None,
        })
    }

    /// Adds bytes where the last ones ended.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.length += bytes.len();
        Ok(())
    }

    /// How many bytes were written.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Ends the writing. What comes back can be lent: it shows what was written and nothing that was there before, and
    /// can only be read from, in whatever process.
    pub(super) fn end(&mut self) -> io::Result<OwnedFd> {
        self.file.set_len(self.length as u64)?;
        if self.length > self.view.len() {
            self.whole = Some(map(&self.file, self.length)?);
        }
        read_only(&self.file)
    }

    /// What was written, once the writing has ended.
    #[expect(unsafe_code, reason = "the view is of more than was written")]
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.whole {
            Some(whole) => whole,
            None if self.length <= self.view.len() => {
                // SAFETY: so many bytes are there, and none are written or cut while `self` is borrowed.
                unsafe { std::slice::from_raw_parts(self.view.as_ptr(), self.length) }
            }
            None => &[],
        }
    }

    fn rewind(&mut self) -> io::Result<()> {
        self.whole = None;
        self.length = 0;
        self.cut(KEPT as u64)?;
        self.file.rewind()
    }

    /// Frees what lies behind so many bytes, whoever has it mapped.
    fn cut(&self, most: u64) -> io::Result<()> {
        if self.file.metadata()?.len() > most {
            self.file.set_len(most)?;
        }
        Ok(())
    }

    /// Whether no process beside this one has a descriptor of it, or has it mapped: only then is a lease to write given
    /// (fcntl(2), `F_SETLEASE`). Pages that lie in a pipe are not seen by it; a worker has no call that puts them there.
    #[cfg(target_os = "linux")]
    #[expect(unsafe_code, reason = "no library here has the call")]
    fn is_ours_alone(&self) -> bool {
        use std::os::fd::AsRawFd;

        let file = self.file.as_raw_fd();
        // SAFETY: the calls take numbers alone, and the descriptor is open.
        unsafe {
            libc::fcntl(file, libc::F_SETLEASE, libc::F_WRLCK) == 0
                && libc::fcntl(file, libc::F_SETLEASE, libc::F_UNLCK) == 0
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn is_ours_alone(&self) -> bool {
        false
    }
}

/// Maps the first `length` bytes of what was lent, to be read once from beginning to end.
#[expect(
    unsafe_code,
    reason = "a mapping is sound while nobody can change or cut its file"
)]
pub(super) fn map(file: &File, length: usize) -> io::Result<Mmap> {
    // SAFETY: the file has no name, only `Memory` can write to it, and does not while it is lent.
    let map = unsafe { MmapOptions::new().len(length).map_copy_read_only(file)? };
    // Spares the kernel a note on every page that it was used, once it is unmapped. Only advice.
    #[cfg(target_os = "linux")]
    let _ = map.advise(memmap2::Advice::Sequential);
    Ok(map)
}

/// A file in memory alone.
#[cfg(target_os = "linux")]
fn anonymous_file() -> io::Result<File> {
    use rustix::fs::{MemfdFlags, OFlags, memfd_create};

    // Some systems insist that it is never run; older ones do not know the word.
    let file = memfd_create("upload", MemfdFlags::CLOEXEC | MemfdFlags::NOEXEC_SEAL)
        .or_else(|_| memfd_create("upload", MemfdFlags::CLOEXEC))?;
    // Opened once more, since the kernel counts those who write from an opening on.
    Ok(reopen(&file.into(), OFlags::RDWR)?.into())
}

#[cfg(target_os = "linux")]
fn read_only(file: &File) -> io::Result<OwnedFd> {
    reopen(file, rustix::fs::OFlags::RDONLY)
}

#[cfg(target_os = "linux")]
fn reopen(file: &File, flags: rustix::fs::OFlags) -> io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;

    use rustix::fs::{Mode, OFlags, open};

    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(open(path, flags | OFlags::CLOEXEC, Mode::empty())?)
}

#[cfg(not(target_os = "linux"))]
fn anonymous_file() -> io::Result<File> {
    tempfile::tempfile()
}

/// Without a sandbox a worker could write anywhere else too.
#[cfg(not(target_os = "linux"))]
fn read_only(file: &File) -> io::Result<OwnedFd> {
    Ok(file.try_clone()?.into())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::os::{fd::AsFd, unix::fs::MetadataExt};

    use super::*;

    /// Which memory it is.
    fn number(file: &impl AsFd) -> u64 {
        let file = File::from(file.as_fd().try_clone_to_owned().unwrap());
        file.metadata().unwrap().ino()
    }

    fn written(shelf: &Shelf, bytes: &[u8]) -> (Memory, OwnedFd) {
        let mut memory = shelf.take(u64::MAX).unwrap();
        memory.write(bytes).unwrap();
        let lent = memory.end().unwrap();
        assert_eq!(memory.bytes(), bytes);
        (memory, lent)
    }

    #[test]
    fn memory_is_used_again_only_when_nobody_else_has_it() {
        let shelf = Shelf::new(1);
        let (memory, lent) = written(&shelf, b"first");
        let first = number(&lent);
        drop(lent);
        shelf.give_back(memory);

        let (memory, lent) = written(&shelf, b"second");
        assert_eq!(number(&lent), first);
        // Somebody keeps the descriptor, or what it was mapped to.
        shelf.give_back(memory);
        let (memory, lent) = written(&shelf, b"third");
        let third = number(&lent);
        assert_ne!(third, first);
        let mapped = map(&lent.into(), 5).unwrap();
        shelf.give_back(memory);
        let (_, lent) = written(&shelf, b"fourth");
        assert_ne!(number(&lent), third);
        drop(mapped);
    }

    #[test]
    fn what_somebody_keeps_mapped_holds_no_memory() {
        let shelf = Shelf::new(1);
        let (memory, lent) = written(&shelf, &[1; 100_000]);
        let file = File::from(lent);
        let _mapped = map(&file, 4096).unwrap();
        shelf.give_back(memory);
        let held = file.metadata().unwrap();
        assert_eq!((held.len(), held.blocks()), (0, 0));
    }

    #[test]
    fn memory_that_is_taken_holds_no_more_than_there_is_room_for() {
        let shelf = Shelf::new(1);
        let (memory, lent) = written(&shelf, &[1; 100_000]);
        drop(lent);
        shelf.give_back(memory);
        let memory = shelf.take(8192).unwrap();
        assert_eq!(memory.file.metadata().unwrap().len(), 8192);
    }

    #[test]
    fn what_is_lent_shows_one_upload_and_cannot_be_written() {
        let shelf = Shelf::new(1);
        for length in [1, 100_000, KEPT + 1, 10, KEPT, 5000] {
            let bytes = vec![length.to_le_bytes()[0]; length];
            let (memory, lent) = written(&shelf, &bytes);
            let mut file = File::from(lent);
            assert_eq!(file.metadata().unwrap().len(), length as u64);
            assert!(file.write(b"more").is_err());
            assert!(file.set_len(0).is_err());
            assert!(*map(&file, length).unwrap() == *bytes);
            drop(file);
            shelf.give_back(memory);
        }
    }
}

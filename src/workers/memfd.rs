//! Memory files (memfd_create(2)): the service writes a body, worker processes map it, and the next
//! upload reuses it.
//!
//! Reuse saves time. The kernel takes about 350 µs to provide and free the pages of 1 MiB; filling
//! them takes 70 µs.

use std::{
    fs::File,
    io::{self, Seek, Write},
    os::fd::{AsRawFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use memmap2::{Advice, Mmap, MmapOptions, MmapRaw};
use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create, open};

use super::budget::POOLED_BYTES;

/// Memory with a file descriptor, so that it can be shared with another process.
#[derive(Debug)]
pub(super) struct SharedBuffer {
    file: File,
    /// Number of bytes written.
    length: usize,
    /// A mapping of the first [`POOLED_BYTES`] of the file. It lives as long as the buffer, since
    /// mapping costs time.
    view: MmapRaw,
    /// A mapping of all that was written, if the view is too short.
    full_view: Option<Mmap>,
}

/// Buffers that wait for the next upload. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct MemfdPool {
    buffers: Arc<Mutex<Vec<SharedBuffer>>>,
    max_buffers: usize,
}

impl MemfdPool {
    pub(super) fn new(max_buffers: usize) -> Self {
        Self {
            buffers: Arc::default(),
            max_buffers,
        }
    }

    /// Returns an empty buffer that holds at most `max_bytes` of memory left over from an earlier
    /// upload.
    pub(super) fn take(&self, max_bytes: u64) -> io::Result<SharedBuffer> {
        // The braces release the lock before the system calls below.
        let pooled = { self.buffers().pop() };
        match pooled {
            Some(buffer) => buffer.truncate(max_bytes).map(|()| buffer),
            None => SharedBuffer::new(),
        }
    }

    /// Keeps the buffer for the next upload if the pool has space, and if no other process has the
    /// memory any more.
    ///
    /// A compromised worker may keep a descriptor or a mapping. It must not see the next upload,
    /// and must not hold memory that nobody counts, so such a buffer is emptied and dropped.
    pub(super) fn release(&self, mut buffer: SharedBuffer) {
        if !buffer.is_exclusive() {
            let _ = buffer.truncate(0);
        } else if buffer.rewind().is_ok() {
            let mut buffers = self.buffers();
            if buffers.len() < self.max_buffers {
                buffers.push(buffer);
            }
        }
    }

    fn buffers(&self) -> MutexGuard<'_, Vec<SharedBuffer>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SharedBuffer {
    fn new() -> io::Result<Self> {
        let file = memory_file()?;
        // The file is still empty. Pages of the mapping become readable as the file grows.
        let view = MmapOptions::new()
            .len(POOLED_BYTES)
            .map_raw_read_only(&file)?;
        Ok(Self {
            file,
            length: 0,
            view,
            full_view: None,
        })
    }

    /// Appends bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.length += bytes.len();
        Ok(())
    }

    /// Returns the number of bytes written.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Ends the writing. Returns a descriptor of the bytes written, which no process can use to
    /// write.
    pub(super) fn seal(&mut self) -> io::Result<OwnedFd> {
        // A reused file can be longer than what was written. The rest belongs to an earlier upload.
        self.file.set_len(self.length as u64)?;
        if self.length > self.view.len() {
            self.full_view = Some(map(&self.file, self.length)?);
        }
        reopen(&self.file, OFlags::RDONLY)
    }

    /// Returns the bytes written. Complete only after [`seal`](Self::seal).
    #[expect(unsafe_code, reason = "the view is longer than the bytes written")]
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.full_view {
            Some(full_view) => full_view,
            None if self.length <= self.view.len() => {
                // SAFETY: the file has at least `length` bytes. Writing and truncating need `&mut
                // self`.
                unsafe { std::slice::from_raw_parts(self.view.as_ptr(), self.length) }
            }
            None => &[],
        }
    }

    fn rewind(&mut self) -> io::Result<()> {
        self.full_view = None;
        self.length = 0;
        self.truncate(POOLED_BYTES as u64)?;
        self.file.rewind()
    }

    /// Frees the memory after the first `max_bytes`, even where another process has mapped it.
    fn truncate(&self, max_bytes: u64) -> io::Result<()> {
        if self.file.metadata()?.len() > max_bytes {
            self.file.set_len(max_bytes)?;
        }
        Ok(())
    }

    /// Returns true if no other process has a descriptor of the file or has mapped it.
    ///
    /// The kernel grants a write lease only if the file is open nowhere else (fcntl(2),
    /// `F_SETLEASE`); a mapping counts as open. Pages in a pipe do not count. The system call
    /// filter of workers therefore has no call that puts pages there.
    #[expect(unsafe_code, reason = "rustix does not wrap F_SETLEASE")]
    fn is_exclusive(&self) -> bool {
        let file = self.file.as_raw_fd();
        // SAFETY: the calls take integers only, and the descriptor is open.
        unsafe {
            libc::fcntl(file, libc::F_SETLEASE, libc::F_WRLCK) == 0
                // The lease was only a test. If it stayed, opening the file again would block.
                && libc::fcntl(file, libc::F_SETLEASE, libc::F_UNLCK) == 0
        }
    }
}

/// Maps the first `length` bytes of a sealed buffer, to read them once from beginning to end.
#[expect(
    unsafe_code,
    reason = "a mapping is sound only while nobody changes or truncates the file"
)]
pub(super) fn map(file: &File, length: usize) -> io::Result<Mmap> {
    // SAFETY: the file has no name. Only its `SharedBuffer` can write to it, which does not happen
    // between sealing and release.
    let map = unsafe { MmapOptions::new().len(length).map_copy_read_only(file)? };
    // Advice: the kernel then need not mark each page as recently used when it is unmapped.
    let _ = map.advise(Advice::Sequential);
    Ok(map)
}

/// Makes a file that exists in memory only.
fn memory_file() -> io::Result<File> {
    // Systems with `vm.memfd_noexec` = 2 refuse files that can be executed. Kernels before 6.3 do
    // not know the flag.
    let file = memfd_create("upload", MemfdFlags::CLOEXEC | MemfdFlags::NOEXEC_SEAL)
        .or_else(|_| memfd_create("upload", MemfdFlags::CLOEXEC))?;
    // Leases need the kernel's count of writers. It counts openings, and `memfd_create` is not one.
    Ok(reopen(&file.into(), OFlags::RDWR)?.into())
}

/// Opens a file once more. Duplicating the descriptor would not change its access mode.
fn reopen(file: &File, flags: OFlags) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(open(path, flags | OFlags::CLOEXEC, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use std::os::{fd::AsFd, unix::fs::MetadataExt};

    use super::*;

    /// Returns the inode, which tells whether two descriptors refer to the same memory.
    fn inode(file: &impl AsFd) -> u64 {
        let file = File::from(file.as_fd().try_clone_to_owned().unwrap());
        file.metadata().unwrap().ino()
    }

    fn write(pool: &MemfdPool, bytes: &[u8]) -> (SharedBuffer, OwnedFd) {
        let mut buffer = pool.take(u64::MAX).unwrap();
        buffer.write(bytes).unwrap();
        let descriptor = buffer.seal().unwrap();
        assert_eq!(buffer.bytes(), bytes);
        (buffer, descriptor)
    }

    #[test]
    fn memory_is_reused_only_if_no_other_process_has_it() {
        let pool = MemfdPool::new(1);
        let (buffer, descriptor) = write(&pool, b"first");
        let first = inode(&descriptor);
        drop(descriptor);
        pool.release(buffer);

        let (buffer, descriptor) = write(&pool, b"second");
        assert_eq!(inode(&descriptor), first);
        // The descriptor is still open.
        pool.release(buffer);
        let (buffer, descriptor) = write(&pool, b"third");
        let third = inode(&descriptor);
        assert_ne!(third, first);
        // The descriptor is closed, but the mapping remains.
        let mapping = map(&descriptor.into(), 5).unwrap();
        pool.release(buffer);
        let (_, descriptor) = write(&pool, b"fourth");
        assert_ne!(inode(&descriptor), third);
        drop(mapping);
    }

    #[test]
    fn a_mapping_that_is_kept_holds_no_memory() {
        let pool = MemfdPool::new(1);
        let (buffer, descriptor) = write(&pool, &[1; 100_000]);
        let file = File::from(descriptor);
        let _mapping = map(&file, 4096).unwrap();
        pool.release(buffer);
        let metadata = file.metadata().unwrap();
        assert_eq!((metadata.len(), metadata.blocks()), (0, 0));
    }

    #[test]
    fn a_reused_buffer_holds_no_more_than_was_reserved() {
        let pool = MemfdPool::new(1);
        let (buffer, descriptor) = write(&pool, &[1; 100_000]);
        drop(descriptor);
        pool.release(buffer);
        let buffer = pool.take(8192).unwrap();
        assert_eq!(buffer.file.metadata().unwrap().len(), 8192);
    }

    #[test]
    fn a_sealed_descriptor_shows_one_upload_and_cannot_be_written() {
        let pool = MemfdPool::new(1);
        for length in [1, 100_000, POOLED_BYTES + 1, 10, POOLED_BYTES, 5000] {
            let bytes = vec![length.to_le_bytes()[0]; length];
            let (buffer, descriptor) = write(&pool, &bytes);
            let mut file = File::from(descriptor);
            assert_eq!(file.metadata().unwrap().len(), length as u64);
            assert!(file.write(b"more").is_err());
            assert!(file.set_len(0).is_err());
            assert!(*map(&file, length).unwrap() == *bytes);
            drop(file);
            pool.release(buffer);
        }
    }
}

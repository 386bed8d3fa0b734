//! Uploads in memory that worker processes can be lent: written once, then never changed.

use std::{
    io,
    ops::Range,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use tokio::sync::OwnedSemaphorePermit;

use super::memory::{Memory, Shelf};

/// An upload's body while it arrives.
#[derive(Debug)]
pub struct Buffer {
    memory: Memory,
    shelf: Shelf,
    room: Arc<OwnedSemaphorePermit>,
}

/// A whole body that nobody can change any more. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sealed(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    /// Both are there until this is dropped.
    memory: Option<Memory>,
    lent: Option<OwnedFd>,
    shelf: Shelf,
    /// What was taken for the memory; it goes back when the memory does, and not before.
    _room: Arc<OwnedSemaphorePermit>,
}

/// The part of a body that is the picture.
#[derive(Clone, Debug)]
pub struct Picture {
    pub(super) body: Sealed,
    pub(super) range: Range<usize>,
}

impl Buffer {
    /// An empty buffer, in memory that `room` was taken for.
    pub(super) fn new(shelf: &Shelf, room: Arc<OwnedSemaphorePermit>) -> io::Result<Self> {
        Ok(Self {
            memory: shelf.take()?,
            shelf: shelf.clone(),
            room,
        })
    }

    /// Adds bytes at the end: the one time that they are copied.
    ///
    /// # Errors
    /// The system has no memory to spare.
    pub fn extend(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.memory.write(bytes)
    }

    /// Ends the writing.
    ///
    /// # Errors
    /// The system has no descriptor or no memory to spare.
    pub fn seal(self) -> io::Result<Sealed> {
        let Self {
            mut memory,
            shelf,
            room,
        } = self;
        let lent = Some(memory.end()?);
        Ok(Sealed(Arc::new(Parts {
            memory: Some(memory),
            lent,
            shelf,
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
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.0.lent.as_ref().map(AsFd::as_fd)
    }
}

impl std::ops::Deref for Sealed {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0
            .memory
            .as_ref()
            .map(Memory::bytes)
            .unwrap_or_default()
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        // Whoever has a descriptor keeps the memory from being used again.
        self.lent = None;
        if let Some(memory) = self.memory.take() {
            self.shelf.give_back(memory);
        }
    }
}

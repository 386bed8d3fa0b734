//! Uploads in memory that worker processes can be lent: written once, then never changed.

use std::{
    io,
    ops::Range,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::{
    UNIT,
    memory::{Memory, Shelf},
    units,
};

/// A body of unknown length takes so much room at a time, in bytes.
pub(super) const STEP: u64 = 256 << 10;

/// An upload's body while it arrives.
#[derive(Debug)]
pub struct Buffer {
    memory: Memory,
    shelf: Shelf,
    room: Room,
}

/// What was taken of the memory for bodies.
#[derive(Debug)]
pub(super) struct Room {
    /// What more is taken of.
    of: Arc<Semaphore>,
    taken: OwnedSemaphorePermit,
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
    _room: Room,
}

/// The part of a body that is the picture.
#[derive(Clone, Debug)]
pub struct Picture {
    pub(super) body: Sealed,
    pub(super) range: Range<usize>,
}

impl Room {
    /// Room for so many bytes, as soon as there is as much.
    pub(super) async fn take(of: &Arc<Semaphore>, bytes: u64) -> Result<Self, AcquireError> {
        let taken = Arc::clone(of).acquire_many_owned(units(bytes)).await?;
        let of = Arc::clone(of);
        Ok(Self { of, taken })
    }

    fn bytes(&self) -> u64 {
        self.taken.num_permits() as u64 * UNIT
    }

    /// Sees to it that there is room for so many bytes, where it can be had at once: what is waited for while something
    /// is held could be waited for for ever.
    fn grow(&mut self, bytes: u64) -> bool {
        let wanted = units(bytes) as usize;
        let missing = wanted.saturating_sub(self.taken.num_permits());
        if missing == 0 {
            return true;
        }
        let step = missing.max(units(STEP) as usize);
        let more = [step, missing].into_iter().find_map(|units| {
            let units = u32::try_from(units).ok()?;
            Arc::clone(&self.of).try_acquire_many_owned(units).ok()
        });
        more.is_some_and(|more| {
            self.taken.merge(more);
            true
        })
    }
}

impl Buffer {
    /// An empty buffer, in memory that `room` was taken for.
    pub(super) fn new(shelf: &Shelf, room: Room) -> io::Result<Self> {
        Ok(Self {
            memory: shelf.take(room.bytes())?,
            shelf: shelf.clone(),
            room,
        })
    }

    /// Adds bytes at the end: the one time that they are copied.
    ///
    /// # Errors
    /// The system has no memory to spare, or there is no room for more of a body whose length was not known.
    pub fn extend(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = self.memory.len() + bytes.len();
        if !self.room.grow(length as u64) {
            return Err(io::Error::other("all room for bodies is taken"));
        }
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
    /// Returns the picture that lies in `range` of this body.
    ///
    /// # Panics
    /// If the range ends after the body: a defect of the caller.
    #[must_use]
    pub fn picture(&self, range: Range<usize>) -> Picture {
        assert!(range.end <= self.len(), "the picture ends after the body");
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

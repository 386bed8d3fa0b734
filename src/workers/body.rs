//! Bodies of uploads in memory that worker processes can map: written once, then never changed.

use std::{
    io,
    ops::Range,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use super::{
    memfd::{MemfdPool, SharedBuffer},
    reservation::MemoryReservation,
};

/// The body of an upload while it is received.
#[derive(Debug)]
pub struct BodyBuffer {
    memory: SharedBuffer,
    pool: MemfdPool,
    reservation: MemoryReservation,
}

/// A complete body, which nobody can change. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SealedBody(Arc<SealedMemory>);

#[derive(Debug)]
struct SealedMemory {
    /// Always there; `Drop` takes it out.
    memory: Option<SharedBuffer>,
    /// A read-only descriptor of the same memory, which is sent to the worker. Always there; `Drop`
    /// takes it out.
    descriptor: Option<OwnedFd>,
    pool: MemfdPool,
    /// Dropped after `Drop` has released the memory, so that memory in use is never uncounted.
    _reservation: MemoryReservation,
}

/// The part of a body that is the picture.
#[derive(Clone, Debug)]
pub struct UploadedPicture {
    pub(super) body: SealedBody,
    pub(super) range: Range<usize>,
}

impl BodyBuffer {
    /// Makes an empty buffer whose memory is counted by `reservation`.
    pub(super) fn new(pool: &MemfdPool, reservation: MemoryReservation) -> io::Result<Self> {
        Ok(Self {
            memory: pool.take(reservation.bytes())?,
            pool: pool.clone(),
            reservation,
        })
    }

    /// Appends bytes. This is the only time that the body is copied.
    ///
    /// # Errors
    /// The system has no free memory, or the body has outgrown its reservation and no more can be
    /// reserved.
    pub fn extend(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = self.memory.len() + bytes.len();
        if !self.reservation.try_grow(length as u64) {
            return Err(io::Error::other(format!(
                "the memory for upload bodies is used up: \
                 a body of at least {length} bytes does not fit"
            )));
        }
        self.memory.write(bytes)
    }

    /// Ends the writing.
    ///
    /// # Errors
    /// The system has no free file descriptor or memory.
    pub fn seal(self) -> io::Result<SealedBody> {
        let Self {
            mut memory,
            pool,
            reservation,
        } = self;
        let descriptor = Some(memory.seal()?);
        Ok(SealedBody(Arc::new(SealedMemory {
            memory: Some(memory),
            descriptor,
            pool,
            _reservation: reservation,
        })))
    }
}

impl SealedBody {
    /// Returns the picture at `range` of the body.
    ///
    /// # Errors
    /// The range is not inside the body.
    pub fn picture(&self, range: Range<usize>) -> io::Result<UploadedPicture> {
        if self.get(range.clone()).is_none() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "bytes {} to {} are not inside a body of {} bytes",
                    range.start,
                    range.end,
                    self.len()
                ),
            ));
        }
        Ok(UploadedPicture {
            body: self.clone(),
            range,
        })
    }

    /// Returns the read-only descriptor for the worker.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.0.descriptor.as_ref().map(AsFd::as_fd)
    }
}

impl std::ops::Deref for SealedBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let memory = self.0.memory.as_ref();
        memory.map(SharedBuffer::bytes).unwrap_or_default()
    }
}

impl Drop for SealedMemory {
    fn drop(&mut self) {
        // First: the pool reuses only memory of which no other descriptor is open, and this one
        // counts as another.
        self.descriptor = None;
        if let Some(memory) = self.memory.take() {
            self.pool.release(memory);
        }
    }
}

//! Reservations of memory. They limit how much is allocated in all; they allocate nothing
//! themselves.

use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::budget::{RESERVATION_STEP, RESERVATION_UNIT};

/// An amount of memory that uploads share. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct MemoryQuota(Arc<Semaphore>);

/// A reserved part of a [`MemoryQuota`]. Dropping it returns the memory.
#[derive(Debug)]
pub(super) struct MemoryReservation {
    quota: MemoryQuota,
    permit: OwnedSemaphorePermit,
}

impl MemoryQuota {
    pub(super) fn new(bytes: u64) -> Self {
        Self(Arc::new(Semaphore::new(units(bytes) as usize)))
    }

    /// Reserves memory, and waits until enough is free. Requests are served in order of arrival.
    pub(super) async fn reserve(&self, bytes: u64) -> Result<MemoryReservation, AcquireError> {
        let semaphore = Arc::clone(&self.0);
        let permit = semaphore.acquire_many_owned(units(bytes)).await?;
        Ok(MemoryReservation {
            quota: self.clone(),
            permit,
        })
    }
}

impl MemoryReservation {
    pub(super) fn bytes(&self) -> u64 {
        self.permit.num_permits() as u64 * RESERVATION_UNIT
    }

    /// Extends the reservation to at least `bytes`. Returns false if that much is not free now.
    ///
    /// It never waits: two uploads that each hold memory and wait for more could wait for each
    /// other forever.
    pub(super) fn try_grow(&mut self, bytes: u64) -> bool {
        let missing = (units(bytes) as usize).saturating_sub(self.permit.num_permits());
        if missing == 0 {
            return true;
        }
        // If a whole step is not free, the missing bytes alone may be.
        let step = missing.max(units(RESERVATION_STEP) as usize);
        let more = [step, missing].into_iter().find_map(|units| {
            let units = u32::try_from(units).ok()?;
            Arc::clone(&self.quota.0).try_acquire_many_owned(units).ok()
        });
        more.is_some_and(|more| {
            self.permit.merge(more);
            true
        })
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(RESERVATION_UNIT)).unwrap_or(u32::MAX)
}

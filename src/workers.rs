//! Shaping pictures, away from the threads that serve requests: so many at once, so many waiting, no more.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use veraicon_picture::{Crop, Pictures, Policy};

use crate::failure::Failure;

/// How long a client is told to wait when all places are taken.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The workers and the queue before them.
#[derive(Clone, Debug)]
pub struct Workers {
    /// Every upload at work or waiting holds a place.
    places: Arc<Semaphore>,
    /// Every upload at work holds a worker.
    workers: Arc<Semaphore>,
    policy: Arc<Policy>,
    timeout: Duration,
}

/// A place in the queue. It is taken before the upload's body is read, since the body takes memory.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Workers {
    /// `workers` uploads at work and `queue` waiting; an answer is given up after `timeout`.
    #[must_use]
    pub fn new(workers: usize, queue: usize, policy: Arc<Policy>, timeout: Duration) -> Self {
        Self {
            places: Arc::new(Semaphore::new(workers + queue)),
            workers: Arc::new(Semaphore::new(workers)),
            policy,
            timeout,
        }
    }

    /// Takes a place in the queue.
    ///
    /// # Errors
    /// [`Failure::Busy`] at once, where all are taken.
    pub fn admit(&self) -> Result<Place, Failure> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        place
            .map(|permit| Place { _permit: permit })
            .map_err(|_| Failure::Busy {
                retry_after: RETRY_AFTER,
            })
    }

    /// Proves that the bytes are a picture and shapes it.
    ///
    /// # Errors
    /// What is wrong with the picture; [`Failure::Busy`] where no answer came in time.
    pub async fn shape(
        &self,
        place: Place,
        bytes: Bytes,
        crop: Option<Crop>,
    ) -> Result<Pictures, Failure> {
        let policy = Arc::clone(&self.policy);
        let work = async {
            let worker = Arc::clone(&self.workers)
                .acquire_owned()
                .await
                .map_err(Failure::internal)?;
            // Both permits move into the work: a request that goes away frees nothing that still runs.
            let work = move || {
                let outcome = catch_unwind(AssertUnwindSafe(|| {
                    veraicon_picture::process(&bytes, &policy, crop)
                }));
                drop((bytes, worker, place));
                outcome
            };
            let outcome = tokio::task::spawn_blocking(work)
                .await
                .map_err(Failure::internal)?;
            outcome
                .map_err(|_| Failure::internal("a decoder panicked"))?
                .map_err(Failure::from)
        };
        let timed_out = |_| Failure::Busy {
            retry_after: RETRY_AFTER,
        };
        tokio::time::timeout(self.timeout, work)
            .await
            .map_err(timed_out)?
    }
}

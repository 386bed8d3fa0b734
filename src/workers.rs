//! Worker processes, which decode pictures in a sandbox, and the limits on their number, their
//! queue and their memory.
//!
//! The process that serves requests never parses a picture; even its header is read by a worker. A
//! picture that crashes or compromises its worker fails one request.

mod body;
mod budget;
#[cfg(debug_assertions)]
pub mod fault_injection;
mod handle;
mod job;
mod memfd;
mod output;
mod pool;
pub mod process;
mod protocol;
mod refusal;
mod reservation;
mod sandbox;

use std::{io, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use veraicon_picture::{Crop, Picture, Policy};

pub(crate) use self::budget::FORM_BYTES;
pub use self::{
    body::{BodyBuffer, SealedBody, UploadedPicture},
    budget::Budget,
    handle::Program,
    protocol::Sandbox,
};
use self::{
    budget::{INITIAL_GRANT, RESERVATION_STEP, RETRY_AFTER},
    job::JobRunner,
    memfd::MemfdPool,
    pool::Pool,
    protocol::Start,
    reservation::MemoryQuota,
};
use crate::{failure::Failure, metrics::Metrics};

const BUSY: Failure = Failure::busy(RETRY_AFTER);

/// Worker processes and the queue for them. Cheap to clone.
#[derive(Clone)]
pub struct Workers(Arc<Inner>);

struct Inner {
    /// One permit for each upload, waiting or processed.
    queue: Arc<Semaphore>,
    /// Memory for the bodies of uploads.
    body_memory: MemoryQuota,
    body_pool: MemfdPool,
    /// Maximum time that an upload waits for memory.
    timeout: Duration,
    jobs: JobRunner,
    workers: Pool,
    metrics: Metrics,
}

/// A permit to upload. Held until the pictures are stored.
pub struct QueuePermit {
    _permit: OwnedSemaphorePermit,
    metrics: Metrics,
}

/// The squares of a picture.
pub struct Shaped {
    /// Largest first.
    pub squares: Vec<Picture>,
    /// To be held until the squares are stored.
    pub permit: QueuePermit,
}

impl Workers {
    /// Sets up the limits. No process is started yet. The sizes of the policy must be sorted,
    /// largest first.
    #[must_use]
    pub fn new(budget: Budget, policy: Arc<Policy>, program: Program, metrics: Metrics) -> Self {
        // Workers return the squares in this order. Any other order would look like a protocol
        // error.
        debug_assert!(policy.sizes.is_sorted_by(|left, right| left >= right));
        let start = Start {
            policy: (*policy).clone(),
            max_picture_bytes: budget.picture_bytes,
            max_body_bytes: policy.max_bytes + FORM_BYTES,
            initial_grant: INITIAL_GRANT,
            cpu_seconds: budget.cpu_seconds,
        };
        let workers = Pool::new(program, start, budget.processes(), metrics.clone());
        Self(Arc::new(Inner {
            queue: Arc::new(Semaphore::new(budget.workers + budget.queue)),
            body_memory: MemoryQuota::new(budget.body_bytes),
            body_pool: MemfdPool::new(budget.processes()),
            timeout: budget.timeout,
            jobs: JobRunner::new(budget, policy, workers.clone(), metrics.clone()),
            workers,
            metrics,
        }))
    }

    /// Starts the first process and returns the state of its sandbox. The other processes start in
    /// the background.
    ///
    /// # Errors
    /// The process cannot be started, or it exits or hangs before it is ready.
    pub async fn open(&self) -> io::Result<Sandbox> {
        self.0.workers.open().await
    }

    /// Ends all processes: idle ones now, busy ones after their job.
    pub fn close(&self) {
        self.0.workers.close();
    }

    /// Returns the number of processes.
    #[must_use]
    pub fn alive(&self) -> usize {
        self.0.workers.alive()
    }

    /// Returns the process identifiers of the idle processes.
    #[must_use]
    pub fn idle(&self) -> Vec<u32> {
        self.0.workers.idle_ids()
    }

    /// Takes a permit, and memory for a body of `body_bytes`, or for its first part if the length
    /// is unknown.
    ///
    /// Call this before the body is read, so that a client learns of an overload before it sends
    /// the body.
    ///
    /// # Errors
    /// [`Failure::Busy`] at once if all permits are taken, after a timeout if the memory does not
    /// become free, and at once if the system has no free file descriptor or memory.
    pub async fn admit(
        &self,
        body_bytes: Option<u64>,
    ) -> Result<(QueuePermit, BodyBuffer), Failure> {
        let permit = Arc::clone(&self.0.queue).try_acquire_owned();
        let permit = QueuePermit::new(permit.map_err(|_| BUSY)?, &self.0.metrics);
        let bytes = body_bytes.unwrap_or(RESERVATION_STEP);
        let reservation = timeout(self.0.timeout, self.0.body_memory.reserve(bytes)).await;
        let reservation = reservation.map_err(|_| BUSY)?.map_err(Failure::internal)?;
        let body = BodyBuffer::new(&self.0.body_pool, reservation).map_err(resource_exhausted)?;
        Ok((permit, body))
    }

    /// Decodes a picture in a worker process and makes its squares.
    ///
    /// The job runs to its end even if the caller is dropped. It holds its permit and its memory
    /// until then.
    ///
    /// # Errors
    /// The reason why the picture is refused, [`Failure::Busy`] if no worker became free or the
    /// worker timed out, and [`Failure::Internal`] if the worker crashed.
    pub async fn shape(
        &self,
        permit: QueuePermit,
        picture: UploadedPicture,
        crop: Option<Crop>,
    ) -> Result<Shaped, Failure> {
        let this = self.clone();
        let work = async move {
            let squares = this.0.jobs.run(&picture, crop).await;
            // The squares are stored without the body: its memory goes to the next upload before
            // that.
            drop(picture);
            Ok(Shaped {
                squares: squares?,
                permit,
            })
        };
        tokio::spawn(work).await.map_err(Failure::internal)?
    }
}

/// Makes a failure for an upload for which the system has no free file descriptor or memory.
pub(crate) fn resource_exhausted(error: io::Error) -> Failure {
    Failure::busy_because(RETRY_AFTER, error)
}

impl QueuePermit {
    fn new(permit: OwnedSemaphorePermit, metrics: &Metrics) -> Self {
        metrics.queue_permits.inc();
        Self {
            _permit: permit,
            metrics: metrics.clone(),
        }
    }
}

impl Drop for QueuePermit {
    fn drop(&mut self) {
        self.metrics.queue_permits.dec();
    }
}

//! The way of one picture through a worker, as the service sees it. The states are in
//! [`protocol`](super::protocol).

use std::{
    fmt, io, os::unix::process::ExitStatusExt, process::ExitStatus, sync::Arc, time::Duration,
};

use rustix::process::Signal;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use veraicon_picture::{Complexity, Crop, Picture, Policy};

use super::{
    body::UploadedPicture,
    budget::{Budget, INITIAL_GRANT, RETRY_AFTER},
    handle::WorkerHandle,
    output::{validate_header, validate_output},
    pool::Pool,
    protocol::{Job, JobOutcome, OutputHeader, Request, Response},
    refusal::sanitize,
    reservation::{MemoryQuota, MemoryReservation},
};
use crate::{
    failure::Failure,
    metrics::{Kind, Metrics},
};

const BUSY: Failure = Failure::busy(RETRY_AFTER);
/// Time that a worker gets to exit after its socket was closed. A kill is not urgent, since it has
/// no job.
const EXIT_TIME: Duration = Duration::from_millis(50);

/// Runs jobs within the limits of a [`Budget`].
pub(super) struct JobRunner {
    budget: Budget,
    policy: Arc<Policy>,
    /// One permit for each picture that is decoded.
    running: Arc<Semaphore>,
    /// Memory for the pictures that are decoded.
    memory: MemoryQuota,
    pool: Pool,
    metrics: Metrics,
}

/// Result of a job that the worker ended by itself.
struct JobResult {
    outcome: Result<Vec<Picture>, Failure>,
    /// CPU time of the process since it started.
    cpu_time: Duration,
    /// A decoder panicked and may have left data in any state.
    has_panicked: bool,
}

/// Reason why a worker cannot be used any more.
enum WorkerError {
    /// The worker did not respond in time.
    Timeout,
    /// The channel failed, or the worker violated the protocol.
    Protocol(io::Error),
}

impl JobRunner {
    pub(super) fn new(budget: Budget, policy: Arc<Policy>, pool: Pool, metrics: Metrics) -> Self {
        Self {
            running: Arc::new(Semaphore::new(budget.workers)),
            memory: MemoryQuota::new(budget.picture_bytes),
            budget,
            policy,
            pool,
            metrics,
        }
    }

    /// Decodes the picture in a worker, and returns its squares.
    pub(super) async fn run(
        &self,
        picture: &UploadedPicture,
        crop: Option<Crop>,
    ) -> Result<Vec<Picture>, Failure> {
        let deadline = Instant::now() + self.budget.timeout;
        let (running, memory, mut worker) = timeout_at(deadline, async {
            // The number of workers comes first: an upload that waits for it must not hold memory.
            let running = Arc::clone(&self.running).acquire_owned().await;
            let memory = self.memory.reserve(INITIAL_GRANT).await;
            (running, memory, self.pool.take().await)
        })
        .await
        .map_err(|_| BUSY)?;
        let _running = running.map_err(Failure::internal)?;
        // Held until the worker has returned its memory or has exited. Otherwise memory would be
        // counted for two jobs.
        let mut memory = Some(memory.map_err(Failure::internal)?);
        let result = self
            .attempt(&mut worker, picture, crop, &mut memory, deadline)
            .await;
        match result {
            Ok(result) => {
                worker.jobs += 1;
                match self.retirement(&worker, &result) {
                    None => self.pool.release(worker),
                    Some(kind) => {
                        let retirements = &self.metrics.worker_retirements;
                        retirements.get_or_create(&Kind { kind }).inc();
                        // The client need not wait for the exit.
                        tokio::spawn(async move {
                            worker.end(EXIT_TIME).await;
                            drop(memory);
                        });
                    }
                }
                result.outcome
            }
            Err(error) => Err(self.discard(worker, error).await),
        }
    }

    /// Runs one job in one worker.
    async fn attempt(
        &self,
        worker: &mut WorkerHandle,
        picture: &UploadedPicture,
        crop: Option<Crop>,
        memory: &mut Option<MemoryReservation>,
        deadline: Instant,
    ) -> Result<JobResult, WorkerError> {
        let body_bytes = picture.body.len();
        // Before the request: the worker maps the body as soon as it receives it.
        worker.set_limit(body_bytes as u64, INITIAL_GRANT)?;
        let mut end = Instant::now() + self.budget.timeout;
        let job = Request::Job(Job {
            body_bytes,
            picture: picture.range.clone(),
            crop,
        });
        let exchange = worker.channel.exchange(&job, picture.body.descriptor());
        let mut response = before(end, exchange).await?;
        if let Response::NeedsMemory(bytes) = response {
            // Returned before more is reserved. Two jobs that hold memory and wait for more could
            // wait forever.
            drop(memory.take());
            let asked = Instant::now();
            let reserved = self.reserve(bytes, deadline).await;
            // The worker does not spend the time that it waits.
            end += asked.elapsed();
            match reserved {
                Ok(reserved) => *memory = Some(reserved),
                Err(failure) => return cancel(worker, end, failure).await,
            }
            // Before the request: the worker allocates as soon as it receives it.
            worker.set_limit(body_bytes as u64, bytes)?;
            response = before(end, worker.channel.exchange(&Request::Proceed, None)).await?;
        }
        let (outcome, cpu_milliseconds) = match response {
            Response::Done {
                outcome,
                cpu_milliseconds,
            } => (outcome, cpu_milliseconds),
            response => return Err(response.unexpected("Done").into()),
        };
        let has_panicked = matches!(outcome, JobOutcome::InternalError(_));
        let outcome = match outcome {
            JobOutcome::Shaped(headers) => Ok(before(end, self.receive(worker, &headers)).await?),
            JobOutcome::Refused(refusal) => Err(refusal.into()),
            JobOutcome::InternalError(cause) => {
                let cause = sanitize(&cause);
                let process_id = worker.id.as_raw_nonzero();
                tracing::error!(
                    process_id,
                    cause,
                    "a worker process failed while it decoded a picture; it is replaced"
                );
                self.count("panic");
                Err(Failure::internal(format!("a decoder failed: {cause}")))
            }
        };
        Ok(JobResult {
            outcome,
            cpu_time: Duration::from_millis(cpu_milliseconds),
            has_panicked,
        })
    }

    /// Receives the squares that the worker announced. They must be those that the policy asks for.
    async fn receive(
        &self,
        worker: &mut WorkerHandle,
        headers: &[OutputHeader],
    ) -> io::Result<Vec<Picture>> {
        let sizes = headers.iter().map(|header| header.size);
        // Both are sorted, largest first.
        if !sizes.eq(self.policy.sizes.iter().copied()) {
            return Err(io::Error::other(format!(
                "the worker announced {} pictures whose sizes are not {:?}",
                headers.len(),
                self.policy.sizes
            )));
        }
        let mut squares = Vec::with_capacity(headers.len());
        for header in headers {
            // Before memory is allocated for the bytes.
            validate_header(header)?;
            let bytes = worker.channel.receive_bytes(header.length).await?;
            validate_output(&bytes, header.side)?;
            squares.push(Picture {
                size: header.size,
                side: header.side,
                bytes,
            });
        }
        Ok(squares)
    }

    /// Reserves the memory that a picture needs beyond the initial grant.
    async fn reserve(&self, bytes: u64, deadline: Instant) -> Result<MemoryReservation, Failure> {
        let limit = self.budget.picture_bytes;
        if bytes > limit {
            return Err(Failure::TooComplex {
                what: Complexity::MemoryBytes,
                value: bytes,
                limit,
            });
        }
        let reserved = timeout_at(deadline, self.memory.reserve(bytes)).await;
        reserved.map_err(|_| BUSY)?.map_err(Failure::internal)
    }

    /// Returns why a worker that has ended its job gets no other one, or `None`.
    fn retirement(&self, worker: &WorkerHandle, result: &JobResult) -> Option<&'static str> {
        let max_cpu_time = Duration::from_secs(self.budget.cpu_seconds);
        if result.has_panicked {
            Some("panic")
        } else if worker.jobs >= self.budget.max_jobs {
            Some("jobs")
        } else if result.cpu_time >= max_cpu_time.saturating_sub(self.budget.timeout) {
            // The kernel could end it during its next job.
            Some("cpu_time")
        } else if !worker.is_within_idle_limits() {
            Some("memory")
        } else {
            None
        }
    }

    /// Ends a worker that failed, and reports how it ended.
    async fn discard(&self, worker: WorkerHandle, error: WorkerError) -> Failure {
        let process_id = worker.id.as_raw_nonzero();
        let grace = match error {
            WorkerError::Timeout => Duration::ZERO,
            // If it is crashing, its own exit status says more than a kill would.
            WorkerError::Protocol(_) => EXIT_TIME,
        };
        let status = worker.end(grace).await;
        let kind = error.kind(status);
        tracing::error!(
            process_id,
            kind,
            status = status.map(|status| status.to_string()),
            cause = %error,
            "a worker process was lost while it decoded a picture"
        );
        self.count(kind);
        match error {
            WorkerError::Timeout => BUSY,
            WorkerError::Protocol(error) => Failure::internal(format!(
                "worker process {process_id} was lost ({kind}): {error}"
            )),
        }
    }

    fn count(&self, kind: &'static str) {
        let faults = &self.metrics.worker_faults;
        faults.get_or_create(&Kind { kind }).inc();
    }
}

/// Cancels a job for which no memory could be reserved. The worker survives.
async fn cancel(
    worker: &mut WorkerHandle,
    end: Instant,
    failure: Failure,
) -> Result<JobResult, WorkerError> {
    match before(end, worker.channel.exchange(&Request::Cancel, None)).await? {
        Response::Cancelled => Ok(JobResult {
            outcome: Err(failure),
            // Not reported. The next job reports it again.
            cpu_time: Duration::ZERO,
            has_panicked: false,
        }),
        response => Err(response.unexpected("Cancelled").into()),
    }
}

async fn before<T>(
    end: Instant,
    work: impl Future<Output = io::Result<T>>,
) -> Result<T, WorkerError> {
    let result = timeout_at(end, work).await;
    Ok(result.map_err(|_| WorkerError::Timeout)??)
}

impl WorkerError {
    /// Returns the label of the metric `worker_faults`.
    fn kind(&self, status: Option<ExitStatus>) -> &'static str {
        let signal = status.and_then(|status| status.signal());
        match self {
            Self::Timeout => "timeout",
            // The soft limit on CPU time sends this signal.
            Self::Protocol(_) if signal == Some(Signal::XCPU.as_raw()) => "cpu_time",
            // A failed allocation and an overflowing stack abort the process.
            Self::Protocol(_) if signal == Some(Signal::ABORT.as_raw()) => "abort",
            // A kill came from the service itself.
            Self::Protocol(_) if signal.is_some_and(|signal| signal != Signal::KILL.as_raw()) => {
                "crash"
            }
            Self::Protocol(_) => "protocol",
        }
    }
}

impl From<io::Error> for WorkerError {
    fn from(error: io::Error) -> Self {
        Self::Protocol(error)
    }
}

impl fmt::Display for WorkerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => formatter.write_str("the worker did not respond in time"),
            Self::Protocol(error) => error.fmt(formatter),
        }
    }
}

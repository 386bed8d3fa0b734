//! The pool of worker processes: keeps idle ones ready, and replaces those that end.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    handle::{Monitor, Program, WorkerHandle},
    protocol::{Sandbox, Start},
};
use crate::metrics::{Kind, Metrics};

/// Delay before the next start after one failed start. It doubles with each further one, up to the
/// maximum.
const MIN_BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// Largest exponent of the backoff. The maximum is reached much earlier; larger ones would
/// overflow.
const MAX_DOUBLINGS: u32 = 16;
/// A process that lived this long counts as a successful start, even if it ends unexpectedly.
const STABLE_AFTER: Duration = Duration::from_secs(10);

/// Worker processes. Cheap to clone.
#[derive(Clone)]
pub(super) struct Pool(Arc<PoolState>);

struct PoolState {
    program: Program,
    start: Start,
    /// Sandbox of the first process. All others must have the same.
    sandbox: OnceLock<Sandbox>,
    /// Number of processes to keep.
    target: usize,
    idle: Mutex<VecDeque<WorkerHandle>>,
    /// Number of processes, idle or busy.
    alive: AtomicUsize,
    /// Number of processes in a row that could not be started, or ended idle soon after their
    /// start.
    failed_starts: AtomicU32,
    /// Notified when a process becomes idle.
    ready: Notify,
    /// Notified when a process has ended.
    ended: Notify,
    stop: CancellationToken,
    metrics: Metrics,
}

impl Pool {
    pub(super) fn new(program: Program, start: Start, target: usize, metrics: Metrics) -> Self {
        Self(Arc::new(PoolState {
            program,
            start,
            sandbox: OnceLock::new(),
            target,
            idle: Mutex::default(),
            alive: AtomicUsize::new(0),
            failed_starts: AtomicU32::new(0),
            ready: Notify::new(),
            ended: Notify::new(),
            stop: CancellationToken::new(),
            metrics,
        }))
    }

    /// Starts the first process, and the others in the background.
    pub(super) async fn open(&self) -> io::Result<Sandbox> {
        let (first, sandbox) = self.launch().await?;
        self.release(first);
        tokio::spawn(self.clone().refill());
        Ok(sandbox)
    }

    /// Takes an idle process, and waits until there is one.
    pub(super) async fn take(&self) -> WorkerHandle {
        loop {
            let ready = self.0.ready.notified();
            tokio::pin!(ready);
            // Before the queue is checked: a process that becomes idle after the check must wake
            // this task.
            ready.as_mut().enable();
            // The braces release the lock before the process is checked.
            while let Some(worker) = { self.idle().pop_front() } {
                // A process that sends something unasked violates the protocol. Dropping it kills
                // it.
                if !worker.has_ended() && worker.channel.is_silent() {
                    worker.set_busy(true);
                    return worker;
                }
            }
            ready.await;
        }
    }

    /// Returns a process to the pool.
    pub(super) fn release(&self, worker: WorkerHandle) {
        worker.set_busy(false);
        // The lock is taken first, so that `close` cannot clear the queue between the check and the
        // push.
        let mut idle = self.idle();
        if !self.0.stop.is_cancelled() {
            // To the front: the memory of the last used process is most likely still in the CPU
            // caches.
            idle.push_front(worker);
            self.0.ready.notify_one();
        }
    }

    /// Ends all idle processes now, and each busy one when it is released.
    pub(super) fn close(&self) {
        self.0.stop.cancel();
        self.idle().clear();
    }

    /// Returns the number of processes.
    pub(super) fn alive(&self) -> usize {
        self.0.alive.load(Ordering::Relaxed)
    }

    /// Returns the process identifiers of the idle processes.
    pub(super) fn idle_ids(&self) -> Vec<u32> {
        let idle = self.idle();
        let ids = idle.iter().map(|worker| worker.id.as_raw_nonzero().get());
        ids.map(i32::cast_unsigned).collect()
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<WorkerHandle>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the number of processes at the target. It starts one at a time, so that a start does
    /// not disturb requests more than necessary.
    async fn refill(self) {
        loop {
            while self.alive() < self.0.target {
                let backoff = self.backoff();
                tokio::select! {
                    () = self.0.stop.cancelled() => return,
                    () = sleep(backoff) => {}
                }
                match self.launch().await {
                    Ok((worker, _)) => self.release(worker),
                    Err(error) => {
                        let failed = self.0.failed_starts.fetch_add(1, Ordering::Relaxed) + 1;
                        tracing::error!(%error, failed, "a worker process could not be started");
                    }
                }
            }
            tokio::select! {
                () = self.0.stop.cancelled() => return,
                () = self.0.ended.notified() => {}
            }
        }
    }

    fn backoff(&self) -> Duration {
        match self.0.failed_starts.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            failed => (MIN_BACKOFF * (1 << failed.min(MAX_DOUBLINGS))).min(MAX_BACKOFF),
        }
    }

    async fn launch(&self) -> io::Result<(WorkerHandle, Sandbox)> {
        let start = self.0.start.clone();
        let (worker, monitor, sandbox) = WorkerHandle::spawn(&self.0.program, start).await?;
        let first = self.0.sandbox.get_or_init(|| sandbox.clone());
        if *first != sandbox {
            return Err(io::Error::other(format!(
                "its sandbox differs from that of the first process: \
                 {sandbox:?} instead of {first:?}"
            )));
        }
        self.0.alive.fetch_add(1, Ordering::Relaxed);
        self.0.metrics.worker_starts.inc();
        self.0.metrics.workers.inc();
        tokio::spawn(self.clone().watch(monitor));
        Ok((worker, sandbox))
    }

    /// Waits until a process has ended, and has it replaced.
    async fn watch(self, monitor: Monitor) {
        let started = Instant::now();
        let exit = monitor.wait().await;
        if exit.is_unexpected && !self.0.stop.is_cancelled() {
            let (process_id, status) = (exit.id, exit.status);
            tracing::warn!(process_id, %status, "an idle worker process ended unexpectedly");
            self.0
                .metrics
                .worker_faults
                .get_or_create(&Kind { kind: "idle" })
                .inc();
            if started.elapsed() < STABLE_AFTER {
                self.0.failed_starts.fetch_add(1, Ordering::Relaxed);
            }
        } else {
            self.0.failed_starts.store(0, Ordering::Relaxed);
        }
        self.idle().retain(|worker| !worker.has_ended());
        self.0.alive.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.workers.dec();
        self.0.ended.notify_one();
    }
}

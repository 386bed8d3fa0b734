//! Worker processes: started, kept ready, replaced when they are lost.

use std::{
    collections::VecDeque,
    ffi::OsString,
    io,
    os::fd::OwnedFd,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustix::process::Pid;
use tokio::{
    net::UnixStream,
    process::{Child, Command},
    sync::{Notify, oneshot, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    channel::Channel,
    message::{self, Order, Ready, Start},
    process::ARGUMENT,
};
use crate::metrics::{Kind, Metrics};

/// The longest that a process may take to be ready.
const START_TIME: Duration = Duration::from_secs(20);
/// The pause before another process is started when the last ones died idle: doubled each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A process that lived this long is no sign that the next one will die too.
const LONG_LIFE: Duration = Duration::from_secs(10);

/// The program that worker processes run.
#[derive(Clone, Debug)]
pub struct Program {
    /// Where it lies.
    pub path: PathBuf,
    /// What it is told.
    pub arguments: Vec<OsString>,
}

impl Program {
    /// This very program, also when its file has been replaced by a newer one meanwhile.
    ///
    /// # Errors
    /// The system does not tell where it lies.
    pub fn this() -> io::Result<Self> {
        let path = if cfg!(target_os = "linux") {
            PathBuf::from("/proc/self/exe")
        } else {
            std::env::current_exe()?
        };
        Ok(Self::worker(path))
    }

    /// The program at `path`, as a worker.
    #[must_use]
    pub fn worker(path: PathBuf) -> Self {
        Self {
            path,
            arguments: vec![ARGUMENT.into()],
        }
    }
}

/// Processes that are ready, and how more come to be.
#[derive(Clone)]
pub(super) struct Pool(Arc<Parts>);

struct Parts {
    program: Program,
    start: Start,
    /// How many processes there are to be.
    target: usize,
    idle: Mutex<VecDeque<Process>>,
    /// How many there are.
    alive: AtomicUsize,
    /// How many in a row died idle and young.
    stillborn: AtomicU32,
    /// One more is ready.
    ready: Notify,
    /// One fewer is there.
    wanted: Notify,
    stop: CancellationToken,
    metrics: Metrics,
}

/// A worker process. Dropping it kills it.
pub(super) struct Process {
    pub(super) channel: Channel,
    pub(super) id: Pid,
    pub(super) jobs: u32,
    pub(super) ready: Ready,
    /// Set once it has ended.
    ended: watch::Receiver<Option<ExitStatus>>,
    /// At a picture; read when the process has ended.
    busy: Arc<AtomicBool>,
    kill: oneshot::Sender<()>,
}

impl Pool {
    pub(super) fn new(program: Program, start: Start, target: usize, metrics: Metrics) -> Self {
        Self(Arc::new(Parts {
            program,
            start,
            target,
            idle: Mutex::default(),
            alive: AtomicUsize::new(0),
            stillborn: AtomicU32::new(0),
            ready: Notify::new(),
            wanted: Notify::new(),
            stop: CancellationToken::new(),
            metrics,
        }))
    }

    /// Starts the first process, and has the others started beside.
    pub(super) async fn open(&self) -> io::Result<Ready> {
        let first = self.launch().await?;
        let ready = first.ready.clone();
        self.give_back(first);
        tokio::spawn(self.clone().refill());
        Ok(ready)
    }

    /// A process that is ready, as soon as there is one.
    pub(super) async fn take(&self) -> Process {
        loop {
            let ready = self.0.ready.notified();
            tokio::pin!(ready);
            // From here on no notice is missed.
            ready.as_mut().enable();
            while let Some(process) = { self.idle().pop_front() } {
                if !process.has_ended() {
                    process.set_busy(true);
                    return process;
                }
            }
            ready.await;
        }
    }

    /// Keeps a process for the next picture.
    pub(super) fn give_back(&self, process: Process) {
        process.set_busy(false);
        if !self.0.stop.is_cancelled() {
            // The one that worked last has its memory in the processor's caches.
            self.idle().push_front(process);
            self.0.ready.notify_one();
        }
    }

    /// Ends all processes that are idle, and those at work when they are given back.
    pub(super) fn close(&self) {
        self.0.stop.cancel();
        self.idle().clear();
    }

    /// How many processes there are.
    pub(super) fn alive(&self) -> usize {
        self.0.alive.load(Ordering::Relaxed)
    }

    /// The identifiers of the processes that are ready.
    pub(super) fn idle_ids(&self) -> Vec<u32> {
        let idle = self.idle();
        let ids = idle.iter().map(|process| process.id.as_raw_nonzero().get());
        ids.map(i32::cast_unsigned).collect()
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Process>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has as many processes as there are to be, one started after the other.
    async fn refill(self) {
        loop {
            while self.alive() < self.0.target {
                let pause = self.pause();
                tokio::select! {
                    () = self.0.stop.cancelled() => return,
                    () = sleep(pause) => {}
                }
                match self.launch().await {
                    Ok(process) => self.give_back(process),
                    Err(error) => {
                        self.0.stillborn.fetch_add(1, Ordering::Relaxed);
                        tracing::error!(%error, "a worker process could not be started");
                    }
                }
            }
            tokio::select! {
                () = self.0.stop.cancelled() => return,
                () = self.0.wanted.notified() => {}
            }
        }
    }

    fn pause(&self) -> Duration {
        match self.0.stillborn.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            many => (FIRST_PAUSE * (1 << many.min(16))).min(LONGEST_PAUSE),
        }
    }

    async fn launch(&self) -> io::Result<Process> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut child = Command::new(&self.0.program.path)
            .args(&self.0.program.arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let mut channel = Channel::new(UnixStream::from_std(ours)?);
        let ready = timeout(START_TIME, channel.start(&self.0.start)).await;
        let ready = match ready {
            Ok(Ok(ready)) => ready,
            Ok(Err(error)) => {
                let _ = child.start_kill();
                let status = child.wait().await?;
                return Err(io::Error::other(format!("{error}; {status}")));
            }
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        };
        let id = child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()))
            .ok_or_else(|| io::Error::other("it has ended"))?;
        let (kill, killed) = oneshot::channel();
        let (end, ended) = watch::channel(None);
        let busy = Arc::new(AtomicBool::new(false));
        self.0.alive.fetch_add(1, Ordering::Relaxed);
        self.0.metrics.worker_starts.inc();
        self.0.metrics.workers.inc();
        tokio::spawn(self.clone().watch(child, killed, end, Arc::clone(&busy)));
        Ok(Process {
            channel,
            id,
            jobs: 0,
            ready,
            ended,
            busy,
            kill,
        })
    }

    /// Stays with a process to its end, so that it leaves nothing behind, and has the next one started.
    async fn watch(
        self,
        mut child: Child,
        killed: oneshot::Receiver<()>,
        end: watch::Sender<Option<ExitStatus>>,
        busy: Arc<AtomicBool>,
    ) {
        let born = Instant::now();
        let (status, by_itself) = tokio::select! {
            status = child.wait() => (status, true),
            _ = killed => {
                let _ = child.start_kill();
                (child.wait().await, false)
            }
        };
        let status = status.unwrap_or_default();
        let was_idle = !busy.load(Ordering::Relaxed);
        if by_itself && was_idle && !self.0.stop.is_cancelled() {
            tracing::warn!(%status, "an idle worker process ended by itself");
            self.0
                .metrics
                .worker_faults
                .get_or_create(&Kind { kind: "idle" })
                .inc();
            if born.elapsed() < LONG_LIFE {
                self.0.stillborn.fetch_add(1, Ordering::Relaxed);
            }
        } else {
            self.0.stillborn.store(0, Ordering::Relaxed);
        }
        end.send_replace(Some(status));
        self.idle()
            .retain(|process| process.ended.borrow().is_none());
        self.0.alive.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.workers.dec();
        self.0.wanted.notify_one();
    }
}

impl Process {
    /// Kills the process where it still runs, and says how it ended.
    pub(super) async fn end(self) -> Option<ExitStatus> {
        let Self {
            mut ended, kill, ..
        } = self;
        // One that is about to end by itself shall say how.
        let _ = timeout(FIRST_PAUSE, ended.wait_for(Option::is_some)).await;
        drop(kill);
        let status = ended.wait_for(Option::is_some).await;
        status.map_or(None, |status| *status)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    /// Whether it holds no more memory of its own than an idle worker may (proc(5), `/proc/pid/statm`).
    pub(super) fn holds_little(&self) -> bool {
        let path = format!("/proc/{}/statm", self.id.as_raw_nonzero());
        let Ok(text) = std::fs::read_to_string(path) else {
            return !cfg!(target_os = "linux");
        };
        let mut pages = text.split(' ').skip(1).map(str::parse::<u64>);
        let (Some(Ok(resident)), Some(Ok(shared))) = (pages.next(), pages.next()) else {
            return false;
        };
        resident.saturating_sub(shared) * rustix::param::page_size() as u64 <= super::budget::IDLE
    }

    fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
    }
}

impl Channel {
    async fn start(&mut self, start: &Start) -> io::Result<Ready> {
        self.send(&Order::Start(start.clone()), None).await?;
        match self.receive().await? {
            message::Report::Ready(ready) => Ok(ready),
            _ => Err(io::Error::other("a report out of turn")),
        }
    }
}

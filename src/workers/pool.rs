//! Worker processes: started, kept ready, replaced when they are lost.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs::File,
    future::poll_fn,
    io,
    os::{fd::OwnedFd, unix::fs::FileExt},
    path::PathBuf,
    pin::pin,
    process::{ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    task::Poll,
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
    budget,
    channel::Channel,
    process::ARGUMENT,
    protocol::{self, Order, Ready, Sandbox, Start},
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
    /// What closes the first process in, and therefore every other.
    sandbox: OnceLock<Sandbox>,
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
    /// Set once it has ended; while this is borrowed and is not set, its number is nobody else's.
    ended: watch::Receiver<Option<ExitStatus>>,
    /// What it holds, `/proc/ID/statm`; read where the system has it.
    pages: Option<File>,
    /// At a picture; read when the process has ended.
    busy: Arc<AtomicBool>,
    kill: oneshot::Sender<()>,
}

impl Pool {
    pub(super) fn new(program: Program, start: Start, target: usize, metrics: Metrics) -> Self {
        Self(Arc::new(Parts {
            program,
            start,
            sandbox: OnceLock::new(),
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
    pub(super) async fn open(&self) -> io::Result<Sandbox> {
        let first = self.launch().await?;
        let sandbox = first.ready.sandbox.clone();
        self.give_back(first);
        tokio::spawn(self.clone().refill());
        Ok(sandbox)
    }

    /// A process that is ready, as soon as there is one.
    pub(super) async fn take(&self) -> Process {
        loop {
            let ready = self.0.ready.notified();
            tokio::pin!(ready);
            // From here on no notice is missed.
            ready.as_mut().enable();
            while let Some(process) = { self.idle().pop_front() } {
                // What has died meanwhile, or says what it was not asked for, is no use to anybody.
                if !process.has_ended() && process.channel.is_silent() {
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
        let mut idle = self.idle();
        if !self.0.stop.is_cancelled() {
            // The one that worked last has its memory in the processor's caches.
            idle.push_front(process);
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
        if *self.0.sandbox.get_or_init(|| ready.sandbox.clone()) != ready.sandbox {
            return Err(io::Error::other(
                "it is closed in otherwise than the first one",
            ));
        }
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
        let pages = File::open(format!("/proc/{}/statm", id.as_raw_nonzero())).ok();
        Ok(Process {
            channel,
            id,
            jobs: 0,
            ready,
            ended,
            pages,
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
        let id = child.id();
        let mut wait = pin!(child.wait());
        let ended = poll_fn(|context| {
            let mut poll = Poll::Pending;
            // Its number becomes free here, with the lock of `end` held; see `Process::set_address_space`.
            end.send_if_modified(|status| {
                poll = wait.as_mut().poll(context);
                if let Poll::Ready(now) = &poll {
                    *status = Some(now.as_ref().copied().unwrap_or_default());
                }
                poll.is_ready()
            });
            poll
        });
        let mut ended = pin!(ended);
        let (status, by_itself) = tokio::select! {
            biased;
            status = &mut ended => (status, true),
            _ = killed => {
                kill(id);
                (ended.await, false)
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
        self.idle()
            .retain(|process| process.ended.borrow().is_none());
        self.0.alive.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.workers.dec();
        self.0.wanted.notify_one();
    }
}

impl Process {
    /// Has the process end: lets it go, and kills it where it still runs after so long. Says how it ended.
    pub(super) async fn end(self, patience: Duration) -> Option<ExitStatus> {
        let Self {
            channel,
            mut ended,
            kill,
            ..
        } = self;
        // It ends by itself when its socket closes.
        drop(channel);
        let _ = timeout(patience, ended.wait_for(Option::is_some)).await;
        drop(kill);
        let status = ended.wait_for(Option::is_some).await;
        status.map_or(None, |status| *status)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    /// Lets it use as much address space as a picture takes, for which so much was granted, in a body of so many bytes.
    pub(super) fn lend(&self, body: u64, granted: u64) -> io::Result<()> {
        match self.ready.address_space {
            Some(space) => self.set_address_space(space.for_job(body, granted), space.most),
            None => Ok(()),
        }
    }

    /// Takes back what it was lent. Whether it can wait for the next picture: it has let go of all that it may not keep,
    /// in memory and in address space, which would become memory once nobody looks (proc(5), `/proc/pid/statm`).
    pub(super) fn let_go(&self) -> bool {
        let Some(space) = self.ready.address_space else {
            return true;
        };
        if self.lend(0, 0).is_err() {
            return false;
        }
        let mut text = [0; 128];
        let read = self.pages.as_ref().map(|pages| pages.read_at(&mut text, 0));
        let Some(Ok(text)) = read.map(|read| read.map(|length| &text[..length])) else {
            return false;
        };
        let mut pages = text.split(|byte| *byte == b' ').map(|number| {
            let pages = std::str::from_utf8(number).ok()?.parse::<u64>().ok()?;
            Some(pages * rustix::param::page_size() as u64)
        });
        let mut next = || pages.next().flatten();
        let (Some(size), Some(resident), Some(shared)) = (next(), next(), next()) else {
            return false;
        };
        size <= space.own && resident.saturating_sub(shared) <= budget::IDLE
    }

    /// Changes how much address space it may take.
    #[cfg(target_os = "linux")]
    fn set_address_space(&self, bytes: u64, most: u64) -> io::Result<()> {
        let limit = rustix::process::Rlimit {
            current: Some(bytes.min(most)),
            maximum: Some(most),
        };
        let ended = self.ended.borrow();
        if ended.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        rustix::process::prlimit(Some(self.id), rustix::process::Resource::As, limit)?;
        Ok(())
    }

    /// Here a worker's address space is not known, and has no bound.
    #[cfg(not(target_os = "linux"))]
    fn set_address_space(&self, _bytes: u64, _most: u64) -> io::Result<()> {
        Ok(())
    }

    fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
    }
}

/// Kills a process that has not been waited for.
fn kill(id: Option<u32>) {
    let id = id.and_then(|id| Pid::from_raw(id.cast_signed()));
    if let Some(id) = id {
        // It may have ended this moment.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
    }
}

impl Channel {
    async fn start(&mut self, start: &Start) -> io::Result<Ready> {
        self.send(&Order::Start(start.clone()), None).await?;
        match self.receive().await? {
            protocol::Report::Ready(ready) => Ok(ready),
            _ => Err(io::Error::other("a report out of turn")),
        }
    }
}

//! One worker process, as the service sees it: started, limited, ended.

use std::{
    ffi::OsString,
    fs::File,
    future::poll_fn,
    io,
    os::{
        fd::OwnedFd,
        unix::{self, fs::FileExt},
    },
    path::PathBuf,
    pin::pin,
    process::{ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tokio::{
    net::UnixStream,
    process::{Child, Command},
    sync::{oneshot, watch},
    time::timeout,
};

use super::{
    budget::IDLE_BYTES,
    process::ARGUMENT,
    protocol::{AddressSpace, Sandbox, ServiceChannel, Start},
};

/// Maximum time from the start of a process until it is ready. Long, because an overloaded system
/// must not fail to start.
const MAX_START_TIME: Duration = Duration::from_secs(20);

/// The program that worker processes run.
#[derive(Clone, Debug)]
pub struct Program {
    /// Path of the executable.
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// Returns this program, as a worker.
    ///
    /// The path leads to the running executable even after an upgrade has replaced the file.
    /// Service and workers must be of the same version, since they share a protocol.
    #[must_use]
    pub fn this() -> Self {
        Self::worker("/proc/self/exe".into())
    }

    /// Returns the program at `path`, as a worker.
    #[must_use]
    pub fn worker(path: PathBuf) -> Self {
        Self {
            path,
            arguments: vec![ARGUMENT.into()],
        }
    }

    /// Adds a command line argument.
    #[must_use]
    pub fn with_argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }
}

/// A worker process. Dropping it kills the process.
pub(super) struct WorkerHandle {
    pub(super) channel: ServiceChannel,
    pub(super) id: Pid,
    /// Number of jobs done.
    pub(super) jobs: u32,
    address_space: AddressSpace,
    /// Set when the process has ended. While it is borrowed and not set, no other process can get
    /// the same `id`.
    ended: watch::Receiver<Option<ExitStatus>>,
    /// `/proc/ID/statm`. Absent if it could not be opened.
    statm: Option<File>,
    /// Set during a job.
    busy: Arc<AtomicBool>,
    /// Dropping it kills the process.
    kill: oneshot::Sender<()>,
}

/// Waits for a worker process to end. Dropping it kills the process.
pub(super) struct Monitor {
    child: Child,
    killed: oneshot::Receiver<()>,
    ended: watch::Sender<Option<ExitStatus>>,
    busy: Arc<AtomicBool>,
}

/// The end of a worker process.
pub(super) struct Exit {
    pub(super) id: Option<u32>,
    pub(super) status: ExitStatus,
    /// The process was idle, and the service did not end it.
    pub(super) is_unexpected: bool,
}

impl WorkerHandle {
    /// Starts a process, and waits until it is sandboxed.
    pub(super) async fn spawn(
        program: &Program,
        start: Start,
    ) -> io::Result<(Self, Monitor, Sandbox)> {
        let (ours, theirs) = unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut child = Command::new(&program.path)
            .args(&program.arguments)
            // The environment can hold secrets.
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let mut channel = ServiceChannel::new(UnixStream::from_std(ours)?);
        let ready = match timeout(MAX_START_TIME, channel.start(start)).await {
            Ok(Ok(ready)) => ready,
            Ok(Err(error)) => {
                let _ = child.start_kill();
                let status = child.wait().await?;
                return Err(io::Error::other(format!("{error}; {status}")));
            }
            Err(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("it was not ready after {} s", MAX_START_TIME.as_secs()),
                ));
            }
        };
        let id = child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()))
            .ok_or_else(|| io::Error::other("it has exited"))?;
        let (kill, killed) = oneshot::channel();
        let (sender, ended) = watch::channel(None);
        let busy = Arc::new(AtomicBool::new(false));
        let handle = Self {
            channel,
            id,
            jobs: 0,
            address_space: ready.address_space,
            ended,
            statm: File::open(format!("/proc/{}/statm", id.as_raw_nonzero())).ok(),
            busy: Arc::clone(&busy),
            kill,
        };
        let monitor = Monitor {
            child,
            killed,
            ended: sender,
            busy,
        };
        Ok((handle, monitor, ready.sandbox))
    }

    /// Closes the channel, kills the process if it still runs after `grace`, and returns how it
    /// ended.
    pub(super) async fn end(self, grace: Duration) -> Option<ExitStatus> {
        let Self {
            channel,
            mut ended,
            kill,
            ..
        } = self;
        // A worker exits when its socket is closed.
        drop(channel);
        let _ = timeout(grace, ended.wait_for(Option::is_some)).await;
        drop(kill);
        let status = ended.wait_for(Option::is_some).await;
        status.map_or(None, |status| *status)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    pub(super) fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
    }

    /// Limits the address space of the process to what it needs for a body, and for the memory
    /// granted to the picture.
    ///
    /// The kernel cannot limit resident memory (getrlimit(2), `RLIMIT_RSS`), but address space,
    /// which is never smaller.
    pub(super) fn set_limit(&self, body_bytes: u64, granted: u64) -> io::Result<()> {
        let AddressSpace { max, .. } = self.address_space;
        let limit = Rlimit {
            current: Some(self.address_space.for_job(body_bytes, granted)),
            maximum: Some(max),
        };
        // The lock is held during the call. Without it the process could end, and its identifier
        // could pass to another process, which would then get the limit.
        let ended = self.ended.borrow();
        if ended.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        prlimit(Some(self.id), Resource::As, limit)?;
        Ok(())
    }

    /// Lowers the limit to that of an idle process. Returns true if the process uses no more than
    /// an idle one may.
    ///
    /// It checks memory and address space. Address space counts, because the process could turn it
    /// into memory at any time.
    pub(super) fn is_within_idle_limits(&self) -> bool {
        // Before the measurement: afterwards the process can no longer grow beyond the limit.
        if self.set_limit(0, 0).is_err() {
            return false;
        }
        let Some((size, resident, shared)) = self.statm.as_ref().and_then(read_statm) else {
            return false;
        };
        // Shared pages are those of the program's file, which all workers have in common.
        size <= self.address_space.idle && resident.saturating_sub(shared) <= IDLE_BYTES
    }
}

/// Reads the first three numbers of `/proc/ID/statm` (proc(5)): address space, resident and shared
/// memory, in bytes.
fn read_statm(file: &File) -> Option<(u64, u64, u64)> {
    // Seven numbers of up to 16 digits.
    let mut text = [0; 128];
    let length = file.read_at(&mut text, 0).ok()?;
    let mut pages = text[..length].split(|byte| *byte == b' ').map(|number| {
        let pages = std::str::from_utf8(number).ok()?.parse::<u64>().ok()?;
        Some(pages * rustix::param::page_size() as u64)
    });
    let mut next = || pages.next().flatten();
    Some((next()?, next()?, next()?))
}

impl Monitor {
    /// Waits until the process has ended, and kills it when its handle is dropped.
    pub(super) async fn wait(self) -> Exit {
        let Self {
            mut child,
            killed,
            ended,
            busy,
        } = self;
        let id = child.id();
        let mut wait = pin!(child.wait());
        let wait = poll_fn(|context| {
            let mut poll = Poll::Pending;
            // The kernel frees the identifier when `wait` reaps the process. This happens under the
            // lock of `ended`, so that `WorkerHandle::set_limit` cannot reach another process.
            ended.send_if_modified(|status| {
                poll = wait.as_mut().poll(context);
                if let Poll::Ready(now) = &poll {
                    *status = Some(now.as_ref().copied().unwrap_or_default());
                }
                poll.is_ready()
            });
            poll
        });
        let mut wait = pin!(wait);
        let (status, is_by_itself) = tokio::select! {
            // A process that has ended is not killed: its own status is the interesting one.
            biased;
            status = &mut wait => (status, true),
            _ = killed => {
                kill(id);
                (wait.await, false)
            }
        };
        Exit {
            id,
            status: status.unwrap_or_default(),
            is_unexpected: is_by_itself && !busy.load(Ordering::Relaxed),
        }
    }
}

/// Kills a process that has not been reaped, so that the identifier is still its own.
fn kill(id: Option<u32>) {
    let id = id.and_then(|id| Pid::from_raw(id.cast_signed()));
    if let Some(id) = id {
        // Fails if it has just ended.
        let _ = kill_process(id, Signal::KILL);
    }
}

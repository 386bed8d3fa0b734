//! A worker process: it closes itself in, then shapes one picture after the other until its socket closes.
//!
//! It is the same program as the service, entered before any thread exists. Standard input is the socket to the service.

use std::{
    fs::File,
    io::{self, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::net::UnixStream},
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::Mutex,
};

use rustix::{
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg},
    time::{ClockId, clock_gettime},
};
use veraicon_picture::{Pictures, open};

use super::{
    budget, memory,
    protocol::{self, Job, Order, Outcome, Report, Square, Start},
    sandbox,
};
use crate::heap::{self, Keep};

/// The first argument of a worker process.
pub(super) const ARGUMENT: &str = "worker";
/// Lets a worker of a debug build break on request; see [`super::fault`].
#[cfg(debug_assertions)]
pub const FAULTS: &str = "--faults";

/// The heap that an idle worker may keep, in bytes; the rest of [`budget::IDLE`] is for its other pages.
const MOST_HEAP: u64 = budget::IDLE - (4 << 20);

/// Some memory stays for the next picture, and no more than an idle worker may hold.
const KEEP: Keep = Keep {
    blocks: 4 << 20,
    freed: 6 << 20,
    ahead: 1 << 20,
};

/// Becomes a worker, where the command line says so.
pub fn enter(mut arguments: impl Iterator<Item = std::ffi::OsString>) -> Option<ExitCode> {
    if arguments.nth(1)? != ARGUMENT {
        return None;
    }
    #[cfg(debug_assertions)]
    super::fault::allow(arguments.any(|argument| argument == FAULTS));
    Some(match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error leads nowhere when the service started this; a person who did reads why nothing happens.
            let _ = writeln!(
                io::stderr(),
                "veraicon: a worker is for the service alone: {error}"
            );
            ExitCode::FAILURE
        }
    })
}

fn run() -> io::Result<()> {
    let mut channel = Channel {
        socket: standard_input().into(),
    };
    let Some((Order::Start(start), _)) = channel.receive()? else {
        return Err(io::Error::other("no orders"));
    };
    remember_panics();
    heap::keep(&KEEP);
    let ready = sandbox::close(&start)?;
    channel.send(&Report::Ready(ready))?;
    while let Some((order, descriptor)) = channel.receive()? {
        let (Order::Job(job), Some(descriptor)) = (order, descriptor) else {
            return Err(io::Error::other("an order out of turn"));
        };
        let Some((outcome, pictures)) = channel.work(&start, &job, descriptor.into())? else {
            channel.send(&Report::Left)?;
            continue;
        };
        // All in one, since each piece would wake the service up.
        let mut answer = protocol::encode(&Report::Done {
            outcome,
            processor_milliseconds: processor_milliseconds(),
        })?;
        for picture in pictures.iter().flat_map(|pictures| &pictures.outputs) {
            answer.extend_from_slice(&picture.bytes);
        }
        drop(pictures);
        // Before the answer: what this process holds is looked at as soon as that has come.
        heap::trim_above(MOST_HEAP);
        channel.socket.write_all(&answer)?;
    }
    Ok(())
}

/// Taken for good: nothing else here reads it.
#[expect(unsafe_code, reason = "the standard library only lends it")]
fn standard_input() -> OwnedFd {
    // SAFETY: it is open in every process that the service or a shell starts, and nobody else closes it.
    unsafe { std::os::fd::FromRawFd::from_raw_fd(sandbox::SOCKET) }
}

/// The worker's end of the socket.
struct Channel {
    socket: UnixStream,
}

impl Channel {
    /// The next order, and the descriptor that came with it; nothing, where the service has gone.
    fn receive(&mut self) -> io::Result<Option<(Order, Option<OwnedFd>)>> {
        let mut head = [0; 4];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let pieces = &mut [IoSliceMut::new(&mut head)];
        let received = recvmsg(&self.socket, pieces, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        if received.bytes == 0 {
            return Ok(None);
        }
        let descriptor = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        self.socket.read_exact(&mut head[received.bytes..])?;
        let mut json = vec![0; protocol::length(head)?];
        self.socket.read_exact(&mut json)?;
        Ok(Some((protocol::decode(&json)?, descriptor)))
    }

    fn send(&mut self, report: &Report) -> io::Result<()> {
        self.socket.write_all(&protocol::encode(report)?)
    }

    /// Asks for the memory that a picture takes; whether it was given.
    fn ask(&mut self, bytes: u64) -> io::Result<bool> {
        self.send(&Report::NeedsMemory(bytes))?;
        match self.receive()? {
            Some((Order::GoOn, _)) => Ok(true),
            Some((Order::Leave, _)) => Ok(false),
            _ => Err(io::Error::other("an order out of turn")),
        }
    }

    /// Does one job; nothing, where the service has called it off.
    fn work(
        &mut self,
        start: &Start,
        job: &Job,
        body: File,
    ) -> io::Result<Option<(Outcome, Option<Pictures>)>> {
        let body = memory::map(&body, job.length)?;
        let bytes = body
            .get(job.start..job.end)
            .ok_or_else(|| io::Error::other("a picture outside its body"))?;
        let opened = guarded(|| {
            let opened = open(bytes, &start.policy)?;
            let needed = opened.peak_memory(job.crop);
            Ok((opened, needed))
        });
        if let Ok(Ok((_, needed))) = opened
            && needed > start.grant
            && !self.ask(needed)?
        {
            return Ok(None);
        }
        let shaped = opened.and_then(|opened| {
            guarded(|| {
                #[cfg(debug_assertions)]
                super::fault::obey(bytes);
                let (opened, _) = opened?;
                opened.shape(job.crop)
            })
        });
        Ok(Some(match shaped {
            Ok(Ok(pictures)) => (Outcome::Shaped(heads(&pictures)), Some(pictures)),
            Ok(Err(error)) => (error.into(), None),
            Err(panic) => (Outcome::Fault(panic), None),
        }))
    }
}

fn heads(pictures: &Pictures) -> Vec<Square> {
    let outputs = pictures.outputs.iter();
    outputs
        .map(|picture| Square {
            size: picture.size,
            side: picture.side,
            length: picture.bytes.len(),
        })
        .collect()
}

/// Since the process began.
fn processor_milliseconds() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    u64::try_from(time.tv_sec * 1000 + time.tv_nsec / 1_000_000).unwrap_or(0)
}

/// What the last panic said, and where.
static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

/// Nobody reads a worker's standard error; what a panic says goes to the service instead.
fn remember_panics() {
    std::panic::set_hook(Box::new(|panic| {
        if let Ok(mut last) = LAST_PANIC.lock() {
            *last = panic.to_string();
        }
    }));
}

/// What a panic says comes back as an error.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
        LAST_PANIC
            .lock()
            .map(|last| last.clone())
            .unwrap_or_default()
    })
}

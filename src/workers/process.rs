//! The program of a worker process: it enters the sandbox, then decodes one picture after the other
//! until the service closes the socket.
//!
//! It is the same executable as the service, and branches off before any thread exists: the sandbox
//! would not apply to threads that are already running.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::Mutex,
};

use rustix::time::{ClockId, clock_gettime};
use veraicon_picture::{Pictures, open};

use super::{
    budget::{MAX_IDLE_HEAP, WORKER_MALLOC},
    memfd,
    protocol::{Job, JobOutcome, Request, Response, Start, WorkerChannel},
    sandbox,
};
use crate::heap;

/// First argument of a worker process.
pub(super) const ARGUMENT: &str = "worker";
/// Argument that enables [`fault_injection`](super::fault_injection) in a worker. Debug builds
/// only.
#[cfg(debug_assertions)]
pub const FAULTS: &str = "--faults";

/// Runs a worker if the command line asks for one. Returns `None` otherwise.
pub fn enter(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    if arguments.nth(1)? != ARGUMENT {
        return None;
    }
    #[cfg(debug_assertions)]
    super::fault_injection::allow(arguments.any(|argument| argument == FAULTS));
    Some(match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The service connects standard error to nothing. This is for a person who starts a
            // worker by hand.
            let _ = writeln!(
                io::stderr(),
                "veraicon: the worker failed: {error}; only the service can start workers"
            );
            ExitCode::FAILURE
        }
    })
}

fn run() -> io::Result<()> {
    let mut channel = WorkerChannel::from_standard_input();
    let Some((Request::Start(start), _)) = channel.receive()? else {
        return Err(io::Error::other("the first message is not Start"));
    };
    record_panics();
    WORKER_MALLOC.apply();
    let ready = sandbox::enter(&start)?;
    channel.send(&Response::Ready(ready))?;
    while let Some((request, descriptor)) = channel.receive()? {
        let (Request::Job(job), Some(descriptor)) = (request, descriptor) else {
            return Err(io::Error::other("expected Job with a descriptor"));
        };
        let Some((outcome, pictures)) = work(&mut channel, &start, &job, descriptor.into())? else {
            channel.send(&Response::Cancelled)?;
            continue;
        };
        let bytes = WorkerChannel::encode_done(outcome, cpu_milliseconds(), pictures.as_ref())?;
        // Before the response: the service measures the memory of this process as soon as it
        // receives it.
        drop(pictures);
        heap::trim_above(MAX_IDLE_HEAP);
        channel.send_encoded(&bytes)?;
    }
    Ok(())
}

/// Runs one job. Returns `None` if the service cancelled it.
fn work(
    channel: &mut WorkerChannel,
    start: &Start,
    job: &Job,
    body: File,
) -> io::Result<Option<(JobOutcome, Option<Pictures>)>> {
    // The descriptor is closed at the end of this function, and with it the mapping. Until then the
    // service cannot reuse the memory.
    let body = memfd::map(&body, job.body_bytes)?;
    let bytes = body
        .get(job.picture.clone())
        .ok_or_else(|| io::Error::other("the picture is not inside its body"))?;
    let opened = catch(|| {
        let opened = open(bytes, &start.policy)?;
        let required = opened.peak_memory(job.crop);
        Ok((opened, required))
    });
    if let Ok(Ok((_, required))) = opened
        && required > start.initial_grant
        && !channel.request_memory(required)?
    {
        return Ok(None);
    }
    let shaped = opened.and_then(|opened| {
        catch(|| {
            #[cfg(debug_assertions)]
            super::fault_injection::inject(bytes);
            let (opened, _) = opened?;
            opened.shape(job.crop)
        })
    });
    Ok(Some(match shaped {
        Ok(Ok(pictures)) => (JobOutcome::from(&pictures), Some(pictures)),
        Ok(Err(error)) => (error.into(), None),
        Err(panic) => (JobOutcome::InternalError(panic), None),
    }))
}

/// Returns the CPU time of this process since it started.
fn cpu_milliseconds() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    u64::try_from(time.tv_sec * 1000 + time.tv_nsec / 1_000_000).unwrap_or(0)
}

/// Message and place of the last panic.
static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

/// Records the message of each panic for [`catch`]. Without this hook it would go to standard
/// error, which nobody reads.
fn record_panics() {
    std::panic::set_hook(Box::new(|panic| {
        if let Ok(mut last) = LAST_PANIC.lock() {
            *last = panic.to_string();
        }
    }));
}

/// Runs `work`, and returns the message of a panic as an error.
///
/// Unwinding past `work` is safe here: after a panic the service replaces this process, so nothing
/// uses its state again.
fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
        LAST_PANIC
            .lock()
            .map(|last| last.clone())
            .unwrap_or_default()
    })
}

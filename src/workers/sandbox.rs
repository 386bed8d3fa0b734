//! The sandbox of a worker process.
//!
//! It denies files, the network, other processes and threads, other programs, executable memory and
//! capabilities. It limits address space, CPU time and file descriptors. A denied system call fails
//! with an error and does not kill the process.

mod filter;
mod self_test;

use std::{fs, io};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{
    budget::{HEAP_GAPS, IDLE_BYTES},
    protocol::{AddressSpace, Ready, SOCKET, Start},
};

/// Maximum number of descriptors: the socket, and one upload.
const MAX_DESCRIPTORS: u64 = 2;
/// Number of descriptors to close if the limit on open files is higher or absent.
const MAX_INHERITED: u64 = 1 << 20;

/// Puts this process into the sandbox, from which there is no return, and tests it.
pub(super) fn enter(start: &Start) -> io::Result<Ready> {
    // First, because it reads a file.
    let address_space = address_space(start)?;
    let default_limit = address_space.for_job(start.max_body_bytes, start.initial_grant);
    close_inherited();
    for (resource, max) in [
        (Resource::Core, 0),
        // No file can grow.
        (Resource::Fsize, 0),
        (Resource::Nofile, MAX_DESCRIPTORS),
        (Resource::Nproc, 0),
    ] {
        limit(resource, max, max)?;
    }
    // The soft limit sends SIGXCPU, whose exit status names the cause. The hard limit kills a
    // second later.
    let seconds = start.cpu_seconds;
    limit(Resource::Cpu, seconds, seconds.saturating_add(1))?;
    // The service sets the soft limit anew for each job (prlimit(2)). This process cannot: the
    // filter denies the call.
    limit(Resource::As, default_limit, address_space.max)?;
    ignore_signals();
    set_batch_scheduling();
    // Last: the steps above need system calls that the filter denies.
    let landlock_allows_files = filter::enter()?;
    Ok(Ready {
        sandbox: self_test::run(landlock_allows_files, default_limit, address_space.max),
        address_space,
    })
}

/// Closes all descriptors but the socket. The service may have been started with open descriptors.
#[expect(
    unsafe_code,
    reason = "the standard library cannot close descriptors that it did not open"
)]
fn close_inherited() {
    const FIRST: libc::c_uint = SOCKET as libc::c_uint + 1;
    // SAFETY: no object in this process owns one of these descriptors.
    if unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, 0) } == 0 {
        return;
    }
    // Kernels before 5.9 do not have the call.
    let max = getrlimit(Resource::Nofile).maximum.unwrap_or(MAX_INHERITED);
    for descriptor in FIRST..max.min(MAX_INHERITED) as libc::c_uint {
        // SAFETY: as above. A descriptor that is not open causes an error only.
        unsafe { libc::close(descriptor.cast_signed()) };
    }
}

/// Lowers a limit. Keeps an inherited limit that is lower, since only root could raise it.
fn limit(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let inherited = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    Ok(setrlimit(
        resource,
        Rlimit {
            current: Some(soft.min(inherited)),
            maximum: Some(hard.min(inherited)),
        },
    )?)
}

/// Measures the address space of this process, and computes its limits.
fn address_space(start: &Start) -> io::Result<AddressSpace> {
    // The first number is the size in pages (proc(5)).
    let text = fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = text
        .split(' ')
        .next()
        .and_then(|pages| pages.parse().ok())
        .ok_or_else(|| io::Error::other(format!("/proc/self/statm is malformed: {text:?}")))?;
    let idle = pages * rustix::param::page_size() as u64 + IDLE_BYTES + HEAP_GAPS;
    let inherited = getrlimit(Resource::As).maximum.unwrap_or(u64::MAX);
    Ok(AddressSpace {
        idle,
        max: inherited.min(idle + start.max_body_bytes + start.max_picture_bytes),
    })
}

/// Ignores the signals that a terminal and a service manager send to all processes of the service.
///
/// The service decides when a worker ends. Uploads in progress must not fail during a graceful
/// shutdown.
#[expect(unsafe_code, reason = "the standard library does not wrap signal(2)")]
fn ignore_signals() {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        // SAFETY: no signal handler is installed.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Lets the threads that serve requests run first when they wake up (sched(7), `SCHED_BATCH`).
///
/// A batch process gets the same share of CPU time as others. It only does not preempt them when it
/// wakes up. If the call fails, nothing but latency is lost.
#[expect(
    unsafe_code,
    reason = "the standard library does not wrap sched_setscheduler(2)"
)]
fn set_batch_scheduling() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the pointer is valid during the call, which only reads from it.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameters) };
}

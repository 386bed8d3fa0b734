//! How a worker closes itself in, and how it finds out whether that holds.
//!
//! What is closed off: files, the network, other processes and threads, programs, executable memory, capabilities. What
//! is bounded: address space, processor time, descriptors. Denied calls fail; nothing is killed for trying.

#[cfg(target_os = "linux")]
mod filter;
#[cfg(target_os = "linux")]
mod self_test;

use std::{io, os::fd::RawFd};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{
    budget,
    protocol::{AddressSpace, Ready, Sandbox, Start},
};

/// The descriptor of a worker's socket: standard input.
pub(super) const SOCKET: RawFd = 0;
/// Descriptors of a worker: its socket, and one upload.
const MOST_DESCRIPTORS: u64 = 2;

/// Closes this process in, for good, and tries to get out.
pub(super) fn close(start: &Start) -> io::Result<Ready> {
    let address_space = address_space(start);
    close_others();
    for (resource, most) in [
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, MOST_DESCRIPTORS),
    ] {
        limit(resource, most, most)?;
    }
    // At the first a signal says why, a second later the kernel kills.
    let seconds = start.processor_seconds;
    limit(Resource::Cpu, seconds, seconds.saturating_add(1))?;
    if let Some(space) = address_space {
        limit(Resource::As, usual(space, start), space.most)?;
    }
    #[cfg(target_os = "linux")]
    {
        limit(Resource::Nproc, 0, 0)?;
        ignore_signals();
        yield_to_others();
    }
    let sandbox = close_in(start, address_space)?;
    Ok(Ready {
        sandbox,
        address_space,
    })
}

/// Closes all descriptors but the socket, whatever the service was started with.
#[expect(unsafe_code, reason = "the standard library has no call for it")]
fn close_others() {
    const FIRST: libc::c_uint = SOCKET as libc::c_uint + 1;
    #[cfg(target_os = "linux")]
    // SAFETY: nothing here holds any of them.
    if unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, 0) } == 0 {
        return;
    }
    // For systems without the call (Linux before 5.9): as many as can be open.
    let most = getrlimit(Resource::Nofile).maximum.unwrap_or(1 << 20);
    for descriptor in FIRST..most.min(1 << 20) as libc::c_uint {
        // SAFETY: as above; where it is not open nothing happens.
        unsafe { libc::close(descriptor.cast_signed()) };
    }
}

/// The address space at a picture that takes no more than is granted to all, in bytes.
fn usual(space: AddressSpace, start: &Start) -> u64 {
    space.for_job(start.body, start.grant)
}

/// Lowers a limit; one that is lower already stays.
fn limit(resource: Resource, current: u64, maximum: u64) -> io::Result<()> {
    let inherited = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    Ok(setrlimit(
        resource,
        Rlimit {
            current: Some(current.min(inherited)),
            maximum: Some(maximum.min(inherited)),
        },
    )?)
}

/// Of this process (proc(5), `/proc/self/statm`).
#[cfg(target_os = "linux")]
fn address_space(start: &Start) -> Option<AddressSpace> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').next()?.parse().ok()?;
    let own = pages * rustix::param::page_size() as u64 + budget::IDLE + budget::GAPS;
    let most = getrlimit(Resource::As).maximum.unwrap_or(u64::MAX);
    Some(AddressSpace {
        own,
        most: most.min(own + start.body + start.memory),
    })
}

#[cfg(not(target_os = "linux"))]
fn address_space(_start: &Start) -> Option<AddressSpace> {
    None
}

/// A service manager and a terminal send these to all processes of the service; it alone decides when a worker ends.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the standard library has no call for it")]
fn ignore_signals() {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        // SAFETY: no handler of ours is involved.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Has the threads that serve requests run as soon as they can, without giving up any time (sched(7), `SCHED_BATCH`).
/// Where it fails, all is as fair as before.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the standard library has no call for it")]
fn yield_to_others() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the call reads the structure that it is given.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameters) };
}

/// Closes off what can be, and tries to get out.
#[cfg(target_os = "linux")]
fn close_in(start: &Start, space: Option<AddressSpace>) -> io::Result<Sandbox> {
    let opens_file = filter::close()?;
    let share = space.map(|space| (usual(space, start), space.most));
    Ok(self_test::run(opens_file, share))
}

#[cfg(not(target_os = "linux"))]
fn close_in(_start: &Start, _space: Option<AddressSpace>) -> io::Result<Sandbox> {
    let anything = "anything: this system has no sandbox";
    Ok(Sandbox {
        denied: Vec::new(),
        possible: vec![anything.into()],
    })
}

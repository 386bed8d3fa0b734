//! Self-test of the sandbox: it tries what an attacker would try first in a compromised worker.

use std::{fs::File, io, net::UdpSocket, os::unix::net::UnixDatagram, process, ptr, thread};

use memmap2::MmapMut;
use rustix::{
    process::{Resource, Rlimit, getpid, setrlimit, test_kill_process},
    thread::{CapabilitySets, capabilities},
};

use crate::workers::protocol::{SOCKET, Sandbox};

/// Tries everything, and reports what was denied and what was possible.
///
/// `landlock_allows_files` is the result of an attempt that was made earlier. `soft` and `hard` are
/// the limits on the address space, in bytes.
pub(super) fn run(landlock_allows_files: bool, soft: u64, hard: u64) -> Sandbox {
    let attempts = [
        ("opening a file", File::open("/").is_ok()),
        ("opening a file, with Landlock alone", landlock_allows_files),
        ("an inherited descriptor", finds_descriptor()),
        ("a network socket", UdpSocket::bind("127.0.0.1:0").is_ok()),
        ("a local socket", UnixDatagram::unbound().is_ok()),
        ("a new process", starts_process()),
        ("a new thread", thread::Builder::new().spawn(|| ()).is_ok()),
        ("running a program", runs_program()),
        ("sending a signal", test_kill_process(getpid()).is_ok()),
        ("executable memory", makes_code().is_ok()),
        ("capabilities", has_capabilities()),
        ("memory beyond the limit", exceeds_limit(soft)),
        ("raising a limit", raises_limit(hard)),
    ];
    let (possible, denied): (Vec<_>, Vec<_>) =
        attempts.into_iter().partition(|(_, succeeded)| *succeeded);
    let names = |attempts: Vec<(&str, bool)>| {
        let names = attempts.into_iter().map(|(name, _)| name.to_owned());
        names.collect()
    };
    Sandbox {
        denied: names(denied),
        possible: names(possible),
    }
}

/// Returns true if a descriptor other than the socket is open, for reading or for writing.
#[expect(unsafe_code, reason = "it uses descriptors that may not be open")]
fn finds_descriptor() -> bool {
    let mut nothing: [libc::c_void; 0] = [];
    // SAFETY: no bytes are read or written.
    (SOCKET + 1..1024).any(|descriptor| unsafe {
        libc::read(descriptor, nothing.as_mut_ptr(), 0) == 0
            || libc::write(descriptor, nothing.as_ptr(), 0) == 0
    })
}

#[expect(
    unsafe_code,
    reason = "the standard library makes other denied calls before it forks"
)]
fn starts_process() -> bool {
    // SAFETY: this process has one thread, so the child may make any call.
    match unsafe { libc::fork() } {
        0 => process::exit(0),
        child => child > 0,
    }
}

#[expect(
    unsafe_code,
    reason = "the standard library runs programs only in new processes"
)]
fn runs_program() -> bool {
    let arguments = [ptr::null()];
    // SAFETY: the path is a C string, and both lists end with a null pointer.
    unsafe { libc::execve(c"/nowhere".as_ptr(), arguments.as_ptr(), arguments.as_ptr()) };
    // Another error means that the kernel looked for the program, so the call is not denied.
    io::Error::last_os_error().raw_os_error() != Some(libc::EPERM)
}

fn makes_code() -> io::Result<()> {
    MmapMut::map_anon(1)?.make_exec().map(|_| ())
}

fn has_capabilities() -> bool {
    let none = |sets: CapabilitySets| {
        sets.effective.is_empty() && sets.permitted.is_empty() && sets.inheritable.is_empty()
    };
    capabilities(None).is_ok_and(|sets| !none(sets))
}

/// Tries to map as much as the whole limit, part of which is already in use.
fn exceeds_limit(soft: u64) -> bool {
    usize::try_from(soft).is_ok_and(|bytes| MmapMut::map_anon(bytes).is_ok())
}

/// Tries to raise the soft limit to the hard limit, which any process may do if the call is allowed
/// at all.
fn raises_limit(hard: u64) -> bool {
    setrlimit(
        Resource::As,
        Rlimit {
            current: Some(hard),
            maximum: Some(hard),
        },
    )
    .is_ok()
}

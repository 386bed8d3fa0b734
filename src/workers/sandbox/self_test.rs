//! What somebody who has taken a worker over would try first.

use std::{fs::File, io, net::UdpSocket, os::unix::net::UnixDatagram, process, ptr, thread};

use memmap2::MmapMut;
use rustix::{
    process::{Resource, Rlimit, getpid, setrlimit, test_kill_process},
    thread::{CapabilitySets, capabilities},
};

use super::{SOCKET, Sandbox};

/// Tries everything: what was denied, and what was possible. `opens_file` says what came of the one try that was made
/// earlier, `share` is the address space that this process may take, and
/// the most that it can be given, in bytes.
pub(super) fn run(opens_file: bool, share: Option<(u64, u64)>) -> Sandbox {
    let attempts = [
        ("opening a file", File::open("/").is_ok()),
        ("opening a file, with Landlock alone", opens_file),
        ("another's descriptor", finds_descriptor()),
        ("a network socket", UdpSocket::bind("127.0.0.1:0").is_ok()),
        ("a local socket", UnixDatagram::unbound().is_ok()),
        ("a new process", starts_process()),
        ("a new thread", thread::Builder::new().spawn(|| ()).is_ok()),
        ("running a program", runs_program()),
        ("sending a signal", test_kill_process(getpid()).is_ok()),
        ("executable memory", makes_code().is_ok()),
        ("capabilities", has_capabilities()),
        ("memory beyond its share", takes_beyond(share)),
        ("raising a limit", raises_limit(share)),
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

/// One that is open, be it for reading or for writing, and is not the socket.
#[expect(unsafe_code, reason = "whether they are open is the question")]
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
    reason = "the standard library's way takes other calls that are denied too"
)]
fn starts_process() -> bool {
    // SAFETY: this process has one thread, so that the child may do what it likes.
    match unsafe { libc::fork() } {
        0 => process::exit(0),
        child => child > 0,
    }
}

#[expect(
    unsafe_code,
    reason = "the standard library starts programs in new processes only"
)]
fn runs_program() -> bool {
    let arguments = [ptr::null()];
    // SAFETY: the path is a C string, and both lists end at once.
    unsafe { libc::execve(c"/nowhere".as_ptr(), arguments.as_ptr(), arguments.as_ptr()) };
    // Where it is denied, nobody has looked whether there is such a program.
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

fn takes_beyond(share: Option<(u64, u64)>) -> bool {
    let bytes = share.and_then(|(usual, _)| usize::try_from(usual).ok());
    bytes.is_none_or(|bytes| MmapMut::map_anon(bytes).is_ok())
}

/// To what it may be raised to, which takes no right where the call is allowed at all.
fn raises_limit(share: Option<(u64, u64)>) -> bool {
    let most = share.map(|(_, most)| most);
    setrlimit(
        Resource::As,
        Rlimit {
            current: most,
            maximum: most,
        },
    )
    .is_ok()
}

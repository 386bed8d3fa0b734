//! Fault injection for tests, in debug builds only: a worker does what a broken or compromised
//! decoder could do.
//!
//! An upload that begins with [`MARK`], followed by one of the words below, triggers the fault in
//! the worker that reads it.

use std::{
    fs, hint, io,
    mem::ManuallyDrop,
    net::UdpSocket,
    process, ptr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::protocol::{JobOutcome, OutputHeader, Response, WorkerChannel};

/// First bytes of an upload that triggers a fault.
pub const MARK: &str = "veraicon, break: ";

static ALLOWED: AtomicBool = AtomicBool::new(false);

/// Sets whether this process injects faults.
pub(super) fn allow(allowed: bool) {
    ALLOWED.store(allowed, Ordering::Relaxed);
}

/// Injects the fault that the upload names.
pub(super) fn inject(bytes: &[u8]) {
    let Some(fault) = bytes
        .strip_prefix(MARK.as_bytes())
        .filter(|_| ALLOWED.load(Ordering::Relaxed))
    else {
        return;
    };
    match fault {
        b"segfault" => segfault(),
        b"abort" => process::abort(),
        b"exit" => process::exit(0),
        b"panic" => panic_with_two_lines(),
        b"loop" => loop {
            hint::spin_loop();
        },
        b"memory" => {
            let mut blocks = Vec::new();
            loop {
                // Not zeros: the kernel provides pages only when they are written.
                blocks.push(vec![1_u8; 1 << 20]);
                hint::black_box(&blocks);
            }
        }
        b"hoard" => std::mem::forget(memmap2::MmapMut::map_anon(32 << 20)),
        b"stack" => {
            hint::black_box(recurse(0));
        }
        b"forge" => forge(),
        b"open" => expect_denied(fs::File::open("/etc/passwd").map(|_| ())),
        b"write" => expect_denied(fs::File::create("/tmp/veraicon-escaped").map(|_| ())),
        b"connect" => expect_denied(UdpSocket::bind("127.0.0.1:0").map(|_| ())),
        b"program" => expect_denied(process::Command::new("/bin/true").spawn().map(|_| ())),
        b"thread" => expect_denied(thread::Builder::new().spawn(|| ()).map(|_| ())),
        _ => {}
    }
}

/// Panics if the sandbox allowed an attempt.
#[expect(clippy::panic, reason = "the service reports a panic as a fault")]
fn expect_denied(outcome: io::Result<()>) {
    if outcome.is_ok() {
        panic!("the sandbox allowed it");
    }
}

/// Sends a result with an output that was not requested.
fn forge() {
    // This second owner of the socket must not close it.
    let mut channel = ManuallyDrop::new(WorkerChannel::from_standard_input());
    let _ = channel.send(&Response::Done {
        outcome: JobOutcome::Shaped(vec![OutputHeader {
            size: 1 << 20,
            side: 1 << 20,
            length: 1 << 30,
        }]),
        cpu_milliseconds: 0,
    });
}

#[expect(clippy::panic, reason = "a decoder could panic")]
fn panic_with_two_lines() {
    panic!("a decoder's panic\nwith a second line");
}

#[expect(unsafe_code, reason = "a decoder could write to a null pointer")]
fn segfault() {
    // SAFETY: none. The write is meant to crash.
    unsafe { ptr::null_mut::<u8>().write_volatile(1) };
}

#[expect(unconditional_recursion, reason = "a decoder could overflow its stack")]
fn recurse(depth: usize) -> usize {
    // Large frames reach the end of the stack soon.
    let frame = hint::black_box([depth; 4096]);
    recurse(depth + 1) + frame[0]
}

//! Faults on request, in debug builds alone: what a decoder that is broken or taken over could do.
//!
//! A picture that begins with [`MARK`] and one of the words below does that to the worker that looks at it.

use std::{
    fs, hint, io,
    net::UdpSocket,
    process, ptr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::protocol::{self, Outcome, Report, Square};

/// How the bytes of such an upload begin.
pub const MARK: &str = "veraicon, break: ";

static ALLOWED: AtomicBool = AtomicBool::new(false);

/// Whether this worker obeys.
pub(super) fn allow(allowed: bool) {
    ALLOWED.store(allowed, Ordering::Relaxed);
}

/// Does what an upload asks for.
pub(super) fn obey(bytes: &[u8]) {
    let Some(order) = bytes
        .strip_prefix(MARK.as_bytes())
        .filter(|_| ALLOWED.load(Ordering::Relaxed))
    else {
        return;
    };
    match order {
        b"segfault" => segfault(),
        b"abort" => process::abort(),
        b"exit" => process::exit(0),
        b"panic" => panic_aloud(),
        b"loop" => loop {
            hint::spin_loop();
        },
        b"memory" => {
            // Touched page by page, as a decoder would.
            let mut hoard = Vec::new();
            loop {
                hoard.push(vec![1_u8; 1 << 20]);
                hint::black_box(&hoard);
            }
        }
        b"hoard" => std::mem::forget(memmap2::MmapMut::map_anon(32 << 20)),
        b"stack" => {
            hint::black_box(deeper(0));
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

/// Goes on where the system said no.
#[expect(clippy::panic, reason = "what a decoder could do")]
fn expect_denied(outcome: io::Result<()>) {
    if outcome.is_ok() {
        panic!("it was possible");
    }
}

/// Tells the service that the job is done, with squares that nobody asked for.
fn forge() {
    let report = Report::Done {
        outcome: Outcome::Shaped(vec![Square {
            size: 1 << 20,
            side: 1 << 20,
            length: 1 << 30,
        }]),
        processor_milliseconds: 0,
    };
    let bytes = protocol::encode(&report).unwrap_or_default();
    let _ = rustix::io::write(io::stdin(), &bytes);
}

#[expect(clippy::panic, reason = "what a decoder could do")]
fn panic_aloud() {
    panic!("a decoder's panic\nwith a second line");
}

#[expect(unsafe_code, reason = "what a decoder could do")]
fn segfault() {
    // SAFETY: none; that is the point.
    unsafe { ptr::null_mut::<u8>().write_volatile(1) };
}

#[expect(unconditional_recursion, reason = "what a decoder could do")]
fn deeper(depth: usize) -> usize {
    let room = hint::black_box([depth; 4096]);
    deeper(depth + 1) + room[0]
}

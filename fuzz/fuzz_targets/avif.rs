//! AVIF: the container is ours, the AV1 is rav1d's.
#![no_main]

#[path = "../src/shape.rs"]
mod shape;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    shape::check_as(b"\0\0\0\x18ftypavif\0\0\0\0avifmif1", bytes);
});

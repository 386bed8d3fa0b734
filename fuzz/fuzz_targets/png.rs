//! PNG and APNG.
#![no_main]

#[path = "../src/shape.rs"]
mod shape;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    shape::check_as(b"\x89PNG\r\n\x1A\n", bytes);
});

//! BMP and TIFF.
#![no_main]

#[path = "../src/shape.rs"]
mod shape;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    shape::check(bytes, None);
    shape::check_as(b"II*\0", bytes);
});

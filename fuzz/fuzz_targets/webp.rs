//! WebP: the container is ours, the bitstreams are libwebp's.
#![no_main]

#[path = "../src/shape.rs"]
mod shape;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    shape::check(bytes, None);
});

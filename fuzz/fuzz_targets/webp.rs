//! WebP: the container is ours, the bitstreams are libwebp's.
#![no_main]

use libfuzzer_sys::fuzz_target;
use veraicon_fuzz::check;

fuzz_target!(|bytes: &[u8]| {
    check(bytes, None);
});

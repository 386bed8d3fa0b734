//! Fuzz target for GIF.
#![no_main]

use libfuzzer_sys::fuzz_target;
use veraicon_fuzz::check_as;

fuzz_target!(|bytes: &[u8]| {
    check_as(b"GIF89a", bytes);
});

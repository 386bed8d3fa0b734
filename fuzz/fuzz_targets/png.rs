//! Fuzz target for PNG and APNG.
#![no_main]

use libfuzzer_sys::fuzz_target;
use veraicon_fuzz::check_as;

fuzz_target!(|bytes: &[u8]| {
    check_as(b"\x89PNG\r\n\x1A\n", bytes);
});

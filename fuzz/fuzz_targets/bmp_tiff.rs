//! BMP and TIFF.
#![no_main]

use libfuzzer_sys::fuzz_target;
use veraicon_fuzz::{check, check_as};

fuzz_target!(|bytes: &[u8]| {
    check(bytes, None);
    check_as(b"II*\0", bytes);
});

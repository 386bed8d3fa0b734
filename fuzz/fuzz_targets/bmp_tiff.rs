//! Fuzz target for BMP and TIFF.
#![no_main]

use libfuzzer_sys::fuzz_target;
use veraicon_fuzz::{check, check_as};

fuzz_target!(|bytes: &[u8]| {
    // A BMP is also identified by the size of its second header, so `check_as` cannot add a
    // signature. The seeds are valid.
    check(bytes, None);
    check_as(b"II*\0", bytes);
});

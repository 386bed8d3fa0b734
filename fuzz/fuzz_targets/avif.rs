//! Fuzz target for AVIF: the HEIF parser of this project, and the AV1 decoder rav1d.
#![no_main]

use libfuzzer_sys::fuzz_target;
use veraicon_fuzz::check_as;

fuzz_target!(|bytes: &[u8]| {
    // A box `ftyp` of 24 bytes: major brand `avif`, minor version 0, compatible brands.
    check_as(b"\0\0\0\x18ftypavif\0\0\0\0avifmif1", bytes);
});

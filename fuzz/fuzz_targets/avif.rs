//! AVIF: the container is ours, the AV1 is rav1d's.
#![no_main]

use libfuzzer_sys::fuzz_target;
use veraicon_fuzz::check_as;

fuzz_target!(|bytes: &[u8]| {
    check_as(b"\0\0\0\x18ftypavif\0\0\0\0avifmif1", bytes);
});

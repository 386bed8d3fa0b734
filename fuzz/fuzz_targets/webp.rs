//! Fuzz target for WebP: the RIFF parser of this project, and the bitstream decoders of libwebp.
#![no_main]

use libfuzzer_sys::fuzz_target;
use veraicon_fuzz::check;

fuzz_target!(|bytes: &[u8]| {
    // The signature of a WebP has the file size in the middle, so `check_as` cannot add it.
    check(bytes, None);
});

//! Fuzz target for `probe`: every input gets a header or an error, without decoding.
#![no_main]

use libfuzzer_sys::fuzz_target;
use veraicon_picture::{Policy, probe};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(header) = probe(bytes) {
        assert!(header.width > 0 && header.height > 0);
        assert!(header.peak_memory(&Policy::default(), None) > 0);
    }
});

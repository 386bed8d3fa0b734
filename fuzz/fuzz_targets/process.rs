//! Any bytes become pictures of the promised sizes, or an error; with any crop.
#![no_main]

use libfuzzer_sys::fuzz_target;
use veraicon_fuzz::check;
use veraicon_picture::Crop;

fuzz_target!(|bytes: &[u8]| {
    check(bytes, crop(bytes));
});

/// From the last bytes, so that a seed is a whole file: bytes after a picture do no harm.
fn crop(bytes: &[u8]) -> Option<Crop> {
    let &[.., a, b, c, d, e, f, b'+'] = bytes else {
        return None;
    };
    let number = |low, high| u16::from_le_bytes([low, high]).into();
    Some(Crop {
        x: number(a, b),
        y: number(c, d),
        size: number(e, f),
    })
}

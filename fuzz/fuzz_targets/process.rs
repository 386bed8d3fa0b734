//! Fuzz target for `process` with all formats and any crop: every input gives outputs of the
//! documented sizes, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use veraicon_fuzz::check;
use veraicon_picture::Crop;

fuzz_target!(|bytes: &[u8]| {
    check(bytes, crop(bytes));
});

/// Reads a crop from the last seven bytes: x, y and size of two bytes each, then `+`.
///
/// Decoders ignore bytes after the end of a picture. So a seed is a complete file, with or without
/// a crop.
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

//! Any bytes become pictures of the promised sizes, or an error; with any crop.
#![no_main]

#[path = "../src/shape.rs"]
mod shape;

use libfuzzer_sys::fuzz_target;
use veraicon_picture::Crop;

fuzz_target!(|input: (Option<[u16; 3]>, &[u8])| {
    let (crop, bytes) = input;
    let crop = crop.map(|[x, y, size]| Crop { x: x.into(), y: y.into(), size: size.into() });
    shape::check(bytes, crop);
});

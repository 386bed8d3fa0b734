//! Checks that hold for any input, shared by the fuzz targets.

use veraicon_picture::{Crop, Error, Policy, probe, process};

/// A policy so strict that no input takes long.
fn policy() -> Policy {
    Policy {
        max_bytes: 1 << 20,
        max_pixels: 1 << 20,
        max_frames: 64,
        max_profile_bytes: 1 << 18,
        max_work: 1 << 22,
        sizes: vec![40, 16],
        ..Policy::default()
    }
}

/// Processes the input, and checks the promises of the crate.
///
/// # Panics
/// Panics if a promise is broken: the fuzzer reports the input.
pub fn check(bytes: &[u8], crop: Option<Crop>) {
    let policy = policy();
    match process(bytes, &policy, crop) {
        Ok(pictures) => {
            assert_eq!(pictures.outputs.len(), 2);
            let square = crop.map_or(pictures.source.width.min(pictures.source.height), |crop| {
                crop.size
            });
            for output in &pictures.outputs {
                assert_eq!(output.side, output.size.min(square));
                let header = probe(&output.bytes).expect("outputs are pictures");
                assert_eq!((header.width, header.height), (output.side, output.side));
            }
        }
        Err(Error::Encoder { what }) => panic!("a fault of ours: {what}"),
        Err(_) => {}
    }
}

/// As [`check`], with the signature of a format in front of inputs that lack it. The fuzzer need not
/// find it.
pub fn check_as(magic: &[u8], bytes: &[u8]) {
    if bytes.starts_with(magic) {
        check(bytes, None);
    } else {
        check(&[magic, bytes].concat(), None);
    }
}

//! Checks for the fuzz targets of the picture decoders. They hold for every input.

use veraicon_picture::{Crop, Error, Policy, probe, process};

/// Returns a policy with low limits, so that no input takes long.
fn policy() -> Policy {
    Policy {
        max_bytes: 1 << 20,
        max_pixels: 1 << 20,
        max_frames: 64,
        max_profile_bytes: 1 << 18,
        max_work: 1 << 22,
        // Two small sizes cover the resize from one output to the next.
        sizes: vec![40, 16],
        ..Policy::default()
    }
}

/// Processes an input, and checks the number, the sides and the headers of the outputs.
///
/// # Panics
/// Panics if an output is wrong or the encoder fails. The fuzzer then reports the input.
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
                let header = probe(&output.bytes).expect("an output has a valid header");
                assert_eq!((header.width, header.height), (output.side, output.side));
            }
        }
        // No input may cause this error: see `Error::Encoder`.
        Err(Error::Encoder { what }) => panic!("encoding failed: {what}"),
        Err(_) => {}
    }
}

/// Calls [`check`] without a crop, after it adds the signature of a format to an input that lacks
/// it. The fuzzer then reaches the decoder of this format with every input.
///
/// # Panics
/// See [`check`].
pub fn check_as(magic: &[u8], bytes: &[u8]) {
    if bytes.starts_with(magic) {
        check(bytes, None);
    } else {
        check(&[magic, bytes].concat(), None);
    }
}

//! What holds for any bytes.

use crate::pictures::{Output, Pixels, exif};
use proptest::prelude::*;
use veraicon_picture::{Crop, Error, Policy, process};

/// Text that stands for what outputs must not carry.
const SECRET: &str = "SECRET-51.4769N";

fn policy() -> Policy {
    Policy {
        sizes: vec![24, 9],
        max_pixels: 1 << 20,
        max_work: 1 << 22,
        max_frames: 16,
        ..Policy::default()
    }
}

/// Pictures with metadata.
fn pictures() -> Vec<Vec<u8>> {
    let pixels = Pixels::new(41, 29);
    let block = exif(6, SECRET);
    let prefixed = [b"Exif\0\0".as_slice(), &block].concat();
    let mut pictures: Vec<Vec<u8>> = pixels.all().into_iter().map(|(_, bytes)| bytes).collect();
    pictures.push(pixels.jpeg_with(|encoder| encoder.add_app_segment(1, prefixed).unwrap()));
    pictures.push(pixels.png_with(|info| info.exif_metadata = Some(block.clone().into())));
    pictures.push(pixels.webp_with(|encoder| encoder.set_exif_metadata(block)));
    pictures.push(include_bytes!("avif/alpha.avif").to_vec());
    pictures.push(include_bytes!("avif/sequence.avif").to_vec());
    pictures
}

fn check(bytes: &[u8], crop: Option<Crop>) {
    match process(bytes, &policy(), crop) {
        Ok(pictures) => {
            let square = crop.map_or(pictures.source.width.min(pictures.source.height), |crop| {
                crop.size
            });
            assert_eq!(pictures.outputs.len(), 2);
            for output in pictures.outputs {
                assert_eq!(output.side, output.size.min(square));
                assert_eq!(Output::decode(&output.bytes).side, output.side);
                assert!(
                    !output
                        .bytes
                        .windows(6)
                        .any(|window| window == &SECRET.as_bytes()[..6])
                );
            }
        }
        Err(error) => assert!(
            !matches!(error, Error::Encoder { .. } | Error::Policy { .. }),
            "{error}"
        ),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn changed_pictures_have_a_verdict(
        which in 0..13_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
        crop in prop::option::of((0..50_u32, 0..50_u32, 0..50_u32)),
    ) {
        let mut bytes = pictures().swap_remove(which);
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        check(&bytes, crop.map(|(x, y, size)| Crop { x, y, size }));
    }

    #[test]
    fn any_bytes_have_a_verdict(bytes in prop::collection::vec(any::<u8>(), 0..300), which in 0..13_usize, keep in 0..40_usize) {
        let start = pictures().swap_remove(which);
        check(&[&start[..keep], &bytes].concat(), None);
    }
}

#[test]
fn metadata_never_comes_out() {
    for bytes in pictures() {
        check(&bytes, None);
    }
}

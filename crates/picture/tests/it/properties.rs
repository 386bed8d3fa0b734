//! Property tests with changed, random and spliced files.

use crate::pictures::{Output, Pixels, exif};
use proptest::prelude::*;
use veraicon_picture::{Crop, Error, Policy, process};

/// Private text in the metadata, which must not appear in any output.
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

/// Returns pictures of every format, many of them with metadata.
fn pictures() -> Vec<Vec<u8>> {
    let pixels = Pixels::new(41, 29);
    let block = exif(6, SECRET);
    let prefixed = [b"Exif\0\0".as_slice(), &block].concat();
    let mut pictures: Vec<Vec<u8>> = pixels.all().into_iter().map(|(_, bytes)| bytes).collect();
    pictures.push(pixels.jpeg_with(|encoder| encoder.add_app_segment(1, prefixed).unwrap()));
    pictures.push(pixels.png_with(|info| info.exif_metadata = Some(block.clone().into())));
    pictures.push(pixels.webp_with(|encoder| encoder.set_exif_metadata(block)));
    // A comment after SOI, and an invalid profile.
    let comment = [&[0xFF, 0xFE, 0, 17], SECRET.as_bytes()].concat();
    let profile = SECRET.repeat(20).into_bytes();
    let jpeg = pixels.jpeg_with(|encoder| encoder.add_icc_profile(&profile).unwrap());
    pictures.push([&jpeg[..2], &comment, &jpeg[2..]].concat());
    pictures.push(pixels.png_with(|info| {
        let text = (String::from("Comment"), String::from(SECRET));
        info.uncompressed_latin1_text = vec![png::text_metadata::TEXtChunk::new(text.0, text.1)];
        info.utf8_text = vec![png::text_metadata::ITXtChunk::new(
            "XML:com.adobe.xmp",
            SECRET,
        )];
        info.icc_profile = Some(profile.clone().into());
    }));
    // A comment extension before the trailer.
    let gif = pixels.gif(2);
    let comment = [&[0x21, 0xFE, 15], SECRET.as_bytes(), &[0]].concat();
    pictures.push([&gif[..gif.len() - 1], &comment, b";"].concat());
    pictures.push(pixels.webp_with(|encoder| {
        encoder.set_xmp_metadata(SECRET.into());
        encoder.set_icc_profile(profile);
    }));
    pictures.push(include_bytes!("avif/metadata.avif").to_vec());
    pictures.push(include_bytes!("avif/grid.avif").to_vec());
    pictures.push(include_bytes!("avif/alpha.avif").to_vec());
    pictures.push(include_bytes!("avif/sequence.avif").to_vec());
    pictures
}

fn assert_valid_result(bytes: &[u8], crop: Option<Crop>) {
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
    fn changed_pictures_never_panic(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
        crop in prop::option::of((0..50_u32, 0..50_u32, 0..50_u32)),
    ) {
        let mut pictures = pictures();
        let mut bytes = pictures.swap_remove(which.index(pictures.len()));
        for (index, value) in changes {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        assert_valid_result(&bytes, crop.map(|(x, y, size)| Crop { x, y, size }));
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), which in any::<prop::sample::Index>(), keep in 0..40_usize) {
        let mut pictures = pictures();
        let start = pictures.swap_remove(which.index(pictures.len()));
        assert_valid_result(&[&start[..keep], &bytes].concat(), None);
    }
}

#[test]
fn metadata_never_appears_in_the_output() {
    for bytes in pictures() {
        assert!(process(&bytes, &policy(), None).is_ok());
        assert_valid_result(&bytes, None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn spliced_pictures_never_panic(
        first in any::<prop::sample::Index>(),
        second in any::<prop::sample::Index>(),
        end in any::<prop::sample::Index>(),
        start in any::<prop::sample::Index>(),
    ) {
        let pictures = pictures();
        let (first, second) = (first.get(&pictures), second.get(&pictures));
        let (end, start) = (end.index(first.len()), start.index(second.len()));
        assert_valid_result(&[&first[..end], &second[start..]].concat(), None);
    }
}

//! Conversion of every format: sizes, crops, colours and alpha.

use crate::pictures::{CORNERS, Output, Pixels, close};
use veraicon_picture::{Crop, Policy, probe, process};

#[test]
fn every_format_is_converted_to_every_size() {
    for (name, bytes) in Pixels::new(700, 600).all() {
        let header = probe(&bytes).unwrap();
        assert_eq!(
            (header.format.name(), header.width, header.height),
            (name, 700, 600)
        );
        let pictures = process(&bytes, &Policy::default(), None).unwrap();
        let sizes: Vec<_> = pictures
            .outputs
            .iter()
            .map(|output| (output.size, output.side))
            .collect();
        assert_eq!(sizes, [(512, 512), (256, 256), (128, 128), (64, 64)]);
        for output in &pictures.outputs {
            let decoded = Output::decode(&output.bytes);
            assert_eq!((decoded.side, decoded.channels), (output.side, 3), "{name}");
            for (found, expected) in decoded.corners().iter().zip(&CORNERS) {
                assert!(
                    close(found, expected),
                    "{name} at {}: {found:?}, expected {expected:?}",
                    output.side
                );
            }
        }
    }
}

#[test]
fn small_pictures_are_not_enlarged() {
    for (name, bytes) in Pixels::new(90, 70).all() {
        let pictures = process(&bytes, &Policy::default(), None).unwrap();
        let sides: Vec<_> = pictures.outputs.iter().map(|output| output.side).collect();
        assert_eq!(sides, [70, 70, 70, 64], "{name}");
        assert_eq!(pictures.outputs[0].bytes, pictures.outputs[1].bytes);
    }
}

#[test]
fn a_picture_of_one_pixel_is_accepted() {
    for (name, bytes) in Pixels::new(1, 1).all() {
        let pictures = process(&bytes, &Policy::default(), None).unwrap();
        assert!(
            pictures.outputs.iter().all(|output| output.side == 1),
            "{name}"
        );
    }
}

#[test]
fn a_crop_is_exact_to_the_pixel() {
    // The crop contains only the bottom right field.
    let crop = Crop {
        x: 350,
        y: 300,
        size: 300,
    };
    for (name, bytes) in Pixels::new(700, 600).all() {
        let pictures = process(&bytes, &Policy::default(), Some(crop)).unwrap();
        let output = Output::decode(&pictures.outputs[0].bytes);
        assert_eq!(output.side, 300);
        for (x, y) in [(0.02, 0.02), (0.98, 0.02), (0.5, 0.5), (0.98, 0.98)] {
            let found = output.at(x, y);
            assert!(close(found, &CORNERS[3]), "{name} at {x}, {y}: {found:?}");
        }
    }
}

#[test]
fn reduced_pictures_are_not_shifted() {
    for (name, bytes) in Pixels::new(2500, 1700).all() {
        let policy = Policy {
            sizes: vec![64],
            ..Policy::default()
        };
        let pictures = process(&bytes, &policy, None).unwrap();
        let output = Output::decode(&pictures.outputs[0].bytes);
        for (found, expected) in output.corners().iter().zip(&CORNERS) {
            assert!(
                close(found, expected),
                "{name}: {found:?}, expected {expected:?}"
            );
        }
        // Both points are close to the border between two fields. There the chroma subsampling of
        // JPEG changes the colours.
        let left = output.at(0.45, 0.25);
        let right = output.at(0.55, 0.25);
        assert!(
            close(left, &CORNERS[0]) || name == "JPEG",
            "{name}: {left:?}"
        );
        assert!(
            close(right, &CORNERS[1]) || name == "JPEG",
            "{name}: {right:?}"
        );
    }
}

#[test]
fn alpha_is_kept_and_weights_the_colours() {
    // The left half is opaque red, the right half transparent green. No green may appear at the
    // border.
    let side = 1000;
    let rgba: Vec<u8> = (0..side * side)
        .flat_map(|pixel| {
            if pixel % side < side / 2 {
                [255, 0, 0, 255]
            } else {
                [0, 255, 0, 0]
            }
        })
        .collect();
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, side, side);
    encoder.set_color(png::ColorType::Rgba);
    encoder
        .write_header()
        .unwrap()
        .write_image_data(&rgba)
        .unwrap();
    let mut lossless = Vec::new();
    image_webp::WebPEncoder::new(&mut lossless)
        .encode(&rgba, side, side, image_webp::ColorType::Rgba8)
        .unwrap();
    let lossy =
        veraicon_picture::encode(&rgba, side, veraicon_picture::OutputFormat::WebP, 90).unwrap();
    for bytes in [png, lossless, lossy] {
        let pictures = process(&bytes, &Policy::default(), None).unwrap();
        for output in &pictures.outputs {
            let decoded = Output::decode(&output.bytes);
            assert_eq!(decoded.channels, 4);
            for pixel in decoded.pixels.as_chunks::<4>().0 {
                assert!(
                    pixel[3] < 16 || pixel[1] < 90,
                    "green pixel {pixel:?} at size {}",
                    output.side
                );
            }
            assert!(decoded.at(0.2, 0.5)[3] > 250);
            assert!(decoded.at(0.8, 0.5)[3] < 5);
        }
    }
}

//! AVIF files of a few hundred bytes, made with libavif. They show the four fields of `pictures` in
//! 96 × 64.

use crate::pictures::{CORNERS, Output, close};
use veraicon_picture::{Error, Format, Policy, probe, process};

const HALVED: &[u8] = include_bytes!("avif/halved-chroma.avif");
const ROTATED: &[u8] = include_bytes!("avif/turned.avif");

fn shape(bytes: &[u8]) -> Output {
    let pictures = process(bytes, &Policy::default(), None).unwrap();
    Output::decode(&pictures.outputs[0].bytes)
}

/// Returns the colours of the fields in the centre square, which has a side of 64.
fn corners(output: &Output) -> [[u8; 3]; 4] {
    assert_eq!(output.side, 64);
    output.corners()
}

/// Returns true if two colours are close. AV1 changes colours more than the other formats do.
fn is_close(found: [u8; 3], expected: [u8; 3]) -> bool {
    found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 16)
}

#[test]
fn every_subsampling_depth_and_range_gives_the_same_colours() {
    for bytes in [
        HALVED,
        include_bytes!("avif/full-chroma.avif"),
        include_bytes!("avif/limited-range.avif"),
        include_bytes!("avif/rows-of-chroma.avif"),
        include_bytes!("avif/ten-bits.avif"),
        include_bytes!("avif/twelve-bits.avif"),
        include_bytes!("avif/metadata.avif"),
        include_bytes!("avif/sequence.avif"),
    ] {
        let header = probe(bytes).unwrap();
        assert_eq!(
            (header.format, header.width, header.height),
            (Format::Avif, 96, 64)
        );
        for (found, expected) in corners(&shape(bytes)).into_iter().zip(CORNERS) {
            assert!(
                is_close(found, expected),
                "{found:?}, expected {expected:?}"
            );
        }
    }
}

#[test]
fn a_grey_picture_has_no_colour() {
    let output = shape(include_bytes!("avif/grey.avif"));
    for ([red, green, blue], [r, g, b]) in corners(&output).into_iter().zip(CORNERS) {
        let luminance = 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b);
        assert!(red.abs_diff(green) <= 3 && green.abs_diff(blue) <= 3);
        assert!(
            (f64::from(green) - luminance).abs() < 10.0,
            "{green}, expected {luminance}"
        );
    }
}

#[test]
fn alpha_is_kept() {
    let output = shape(include_bytes!("avif/alpha.avif"));
    assert_eq!(output.channels, 4);
    assert!(output.at(0.25, 0.25)[3] > 250);
    assert!(output.at(0.75, 0.25)[3] < 5);
    assert!(close(&output.at(0.25, 0.75)[..3], &CORNERS[2]));
}

#[test]
fn premultiplied_and_straight_alpha_give_the_same_colours() {
    // The lower half is half transparent. The colours of the first file are premultiplied with
    // alpha.
    for bytes in [
        include_bytes!("avif/premultiplied.avif").as_slice(),
        include_bytes!("avif/half-alpha-10.avif"),
    ] {
        let output = shape(bytes);
        assert_eq!(output.channels, 4);
        assert!(output.at(0.25, 0.25)[3] > 250);
        assert!(output.at(0.25, 0.75)[3].abs_diff(128) < 6);
        for (found, expected) in corners(&output).into_iter().zip(CORNERS) {
            assert!(
                is_close(found, expected),
                "{found:?}, expected {expected:?}"
            );
        }
    }
}

#[test]
fn tiles_of_a_grid_are_joined() {
    for bytes in [
        include_bytes!("avif/grid.avif").as_slice(),
        include_bytes!("avif/large-grid.avif"),
    ] {
        for (found, expected) in shape(bytes).corners().into_iter().zip(CORNERS) {
            assert!(
                is_close(found, expected),
                "{found:?}, expected {expected:?}"
            );
        }
    }
}

#[test]
fn film_grain_keeps_the_colours() {
    let output = shape(include_bytes!("avif/large-grain.avif"));
    for (found, expected) in output.corners().into_iter().zip(CORNERS) {
        assert!(
            is_close(found, expected),
            "{found:?}, expected {expected:?}"
        );
    }
}

#[test]
fn only_the_clean_aperture_is_used() {
    // The aperture contains only the upper right field.
    let bytes = include_bytes!("avif/cropped.avif");
    let header = probe(bytes).unwrap();
    assert_eq!((header.width, header.height), (48, 32));
    for found in shape(bytes).corners() {
        assert!(is_close(found, CORNERS[1]), "{found:?}");
    }
}

#[test]
fn a_tile_larger_than_its_grid_is_refused() {
    let mut bytes = include_bytes!("avif/grid.avif").to_vec();
    let sizes: Vec<usize> = bytes
        .windows(4)
        .enumerate()
        .filter(|(_, window)| window == b"ispe")
        .map(|(at, _)| at + 8)
        .collect();
    for at in sizes {
        if bytes[at..at + 8] == [0, 0, 0, 64, 0, 0, 0, 64] {
            bytes[at..at + 8].copy_from_slice(&[0xFF; 8]);
        }
    }
    assert!(probe(&bytes).unwrap().peak_memory(&Policy::default(), None) > 1 << 40);
    assert!(process(&bytes, &Policy::default(), None).is_err());
}

#[test]
fn rotations_and_mirrors_are_applied() {
    // `irot` and `imir` boxes have the same layout, so the test changes one into the other.
    let at = find_box(ROTATED, b"irot");
    // Order of the corners after 0 to 3 rotations of 90° anticlockwise.
    let rotations = [[0, 1, 2, 3], [1, 3, 0, 2], [3, 2, 1, 0], [2, 0, 3, 1]];
    for (rotation, expected) in (0_u8..).zip(rotations) {
        let mut bytes = ROTATED.to_vec();
        bytes[at + 4] = rotation;
        let found = corners(&shape(&bytes));
        for (found, corner) in found.into_iter().zip(expected) {
            assert!(
                is_close(found, CORNERS[corner]),
                "rotation {rotation}: {found:?}"
            );
        }
    }
    for (axis, expected) in [(0, [2, 3, 0, 1]), (1, [1, 0, 3, 2])] {
        let mut bytes = ROTATED.to_vec();
        bytes[at..at + 4].copy_from_slice(b"imir");
        bytes[at + 4] = axis;
        let found = corners(&shape(&bytes));
        for (found, corner) in found.into_iter().zip(expected) {
            assert!(is_close(found, CORNERS[corner]), "axis {axis}: {found:?}");
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    for length in 0..HALVED.len() {
        assert!(
            process(&HALVED[..length], &Policy::default(), None).is_err(),
            "truncated to {length} bytes and accepted"
        );
    }
    let result = process(&HALVED[..HALVED.len() - 1], &Policy::default(), None);
    assert!(matches!(result, Err(Error::Truncated { .. })), "{result:?}");
}

#[test]
fn a_huge_stated_size_is_refused_from_the_header() {
    let mut bytes = HALVED.to_vec();
    let at = find_box(&bytes, b"ispe") + 8;
    bytes[at..at + 8].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    let expected = Error::TooManyPixels {
        width: 65_536,
        height: 65_536,
        limit: 100_000_000,
    };
    assert_eq!(process(&bytes, &Policy::default(), None), Err(expected));
    bytes[at..at + 8].copy_from_slice(&[0xFF; 8]);
    assert!(matches!(
        process(&bytes, &Policy::default(), None),
        Err(Error::TooManyPixels { .. })
    ));
}

#[test]
fn a_sequence_without_a_primary_item_shows_its_first_item() {
    let bytes = include_bytes!("avif/sequence.avif");
    let mut unnamed = bytes.to_vec();
    let at = find_box(bytes, b"pitm");
    unnamed[at..at + 4].copy_from_slice(b"free");
    assert_eq!(shape(&unnamed).pixels, shape(bytes).pixels);
    // A file that is no sequence needs a primary item.
    let at = find_box(HALVED, b"pitm");
    let mut still = HALVED.to_vec();
    still[at..at + 4].copy_from_slice(b"free");
    let result = process(&still, &Policy::default(), None);
    assert!(matches!(result, Err(Error::Damaged { .. })), "{result:?}");
    // Without a `meta` box there are only the frames of a track.
    let at = find_box(bytes, b"meta");
    unnamed[at..at + 4].copy_from_slice(b"free");
    let result = process(&unnamed, &Policy::default(), None);
    assert!(
        matches!(result, Err(Error::UnsupportedFormat { .. })),
        "{result:?}"
    );
}

/// Returns the position of the type field of the first box of this type.
fn find_box(bytes: &[u8], kind: &[u8; 4]) -> usize {
    let mut windows = bytes.windows(4);
    windows.position(|window| window == kind).unwrap()
}

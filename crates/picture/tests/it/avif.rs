//! Files of a few hundred bytes, made by libavif: the four fields of `pictures`, 96 × 64.

use crate::pictures::{CORNERS, Output, close};
use veraicon_picture::{Error, Format, Policy, probe, process};

const HALVED: &[u8] = include_bytes!("avif/halved-chroma.avif");
const TURNED: &[u8] = include_bytes!("avif/turned.avif");

fn shape(bytes: &[u8]) -> Output {
    let pictures = process(bytes, &Policy::default(), None).unwrap();
    Output::decode(&pictures.outputs[0].bytes)
}

/// The picture is 96 wide, its centre square begins at 16.
fn corners(output: &Output) -> [[u8; 3]; 4] {
    assert_eq!(output.side, 64);
    output.corners()
}

/// Coding moves these colours further than those of other formats.
fn alike(found: [u8; 3], expected: [u8; 3]) -> bool {
    found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 16)
}

#[test]
fn every_chroma_and_range_gives_the_same_colours() {
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
            assert!(alike(found, expected), "{found:?}, not {expected:?}");
        }
    }
}

#[test]
fn grey_has_no_colour() {
    let output = shape(include_bytes!("avif/grey.avif"));
    for ([red, green, blue], [r, g, b]) in corners(&output).into_iter().zip(CORNERS) {
        let luminance = 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b);
        assert!(red.abs_diff(green) <= 3 && green.abs_diff(blue) <= 3);
        assert!(
            (f64::from(green) - luminance).abs() < 10.0,
            "{green}, not {luminance}"
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
fn alpha_weighs_no_colour_twice() {
    // The lower half is half clear; the first has its colours multiplied by alpha.
    for bytes in [
        include_bytes!("avif/premultiplied.avif").as_slice(),
        include_bytes!("avif/half-alpha-10.avif"),
    ] {
        let output = shape(bytes);
        assert_eq!(output.channels, 4);
        assert!(output.at(0.25, 0.25)[3] > 250);
        assert!(output.at(0.25, 0.75)[3].abs_diff(128) < 6);
        for (found, expected) in corners(&output).into_iter().zip(CORNERS) {
            assert!(alike(found, expected), "{found:?}, not {expected:?}");
        }
    }
}

#[test]
fn tiles_of_a_grid_meet() {
    for bytes in [
        include_bytes!("avif/grid.avif").as_slice(),
        include_bytes!("avif/large-grid.avif"),
    ] {
        for (found, expected) in shape(bytes).corners().into_iter().zip(CORNERS) {
            assert!(alike(found, expected), "{found:?}, not {expected:?}");
        }
    }
}

#[test]
fn grain_is_no_other_picture() {
    let output = shape(include_bytes!("avif/large-grain.avif"));
    for (found, expected) in output.corners().into_iter().zip(CORNERS) {
        assert!(alike(found, expected), "{found:?}, not {expected:?}");
    }
}

#[test]
fn a_clean_aperture_is_all_there_is() {
    // The upper right field alone.
    let bytes = include_bytes!("avif/cropped.avif");
    let header = probe(bytes).unwrap();
    assert_eq!((header.width, header.height), (48, 32));
    for found in shape(bytes).corners() {
        assert!(alike(found, CORNERS[1]), "{found:?}");
    }
}

#[test]
fn a_tile_beyond_its_grid_costs_nothing() {
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
fn rotations_and_mirrors_stand_upright() {
    // `irot` is the last property of the item; the same place holds `imir`.
    let at = place_of(TURNED, b"irot");
    // Quarter turns anticlockwise of the four corners.
    let turns = [[0, 1, 2, 3], [1, 3, 0, 2], [3, 2, 1, 0], [2, 0, 3, 1]];
    for (turn, expected) in (0_u8..).zip(turns) {
        let mut bytes = TURNED.to_vec();
        bytes[at + 4] = turn;
        let found = corners(&shape(&bytes));
        for (found, corner) in found.into_iter().zip(expected) {
            assert!(alike(found, CORNERS[corner]), "turn {turn}: {found:?}");
        }
    }
    for (axis, expected) in [(0, [2, 3, 0, 1]), (1, [1, 0, 3, 2])] {
        let mut bytes = TURNED.to_vec();
        bytes[at..at + 4].copy_from_slice(b"imir");
        bytes[at + 4] = axis;
        let found = corners(&shape(&bytes));
        for (found, corner) in found.into_iter().zip(expected) {
            assert!(alike(found, CORNERS[corner]), "axis {axis}: {found:?}");
        }
    }
}

#[test]
fn every_cut_is_refused() {
    for length in 0..HALVED.len() {
        assert!(
            process(&HALVED[..length], &Policy::default(), None).is_err(),
            "cut at {length} passed"
        );
    }
    let cut = process(&HALVED[..HALVED.len() - 1], &Policy::default(), None);
    assert!(matches!(cut, Err(Error::Truncated { .. })), "{cut:?}");
}

#[test]
fn a_claim_of_many_pixels_costs_nothing() {
    let mut bytes = HALVED.to_vec();
    let at = place_of(&bytes, b"ispe") + 8;
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
fn a_sequence_that_names_no_still_shows_its_first() {
    let bytes = include_bytes!("avif/sequence.avif");
    let mut unnamed = bytes.to_vec();
    let at = place_of(bytes, b"pitm");
    unnamed[at..at + 4].copy_from_slice(b"free");
    assert_eq!(shape(&unnamed).pixels, shape(bytes).pixels);
    // A still has to name itself.
    let at = place_of(HALVED, b"pitm");
    let mut still = HALVED.to_vec();
    still[at..at + 4].copy_from_slice(b"free");
    let result = process(&still, &Policy::default(), None);
    assert!(matches!(result, Err(Error::Damaged { .. })), "{result:?}");
    // Without any still there are only the frames of its track.
    let at = place_of(bytes, b"meta");
    unnamed[at..at + 4].copy_from_slice(b"free");
    let result = process(&unnamed, &Policy::default(), None);
    assert!(
        matches!(result, Err(Error::UnsupportedFormat { .. })),
        "{result:?}"
    );
}

/// Where the kind of the first box stands that is of this kind.
fn place_of(bytes: &[u8], kind: &[u8; 4]) -> usize {
    let mut places = bytes.windows(4);
    places.position(|window| window == kind).unwrap()
}

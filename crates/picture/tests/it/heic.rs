//! Files of a few hundred bytes, made by libheif and x265: the four fields of `pictures`, 96 × 64; as
//! a grid of four tiles, its container written by hand, 128 × 128.

use crate::pictures::{CORNERS, Output};
use veraicon_picture::{Error, Format, Policy, probe, process};

const PLAIN: &[u8] = include_bytes!("heic/plain.heic");
const GRID: &[u8] = include_bytes!("heic/grid.heic");
/// A quarter turn anticlockwise, as phones have it.
const TURNED: &[u8] = include_bytes!("heic/turned.heic");

fn shape(bytes: &[u8]) -> Output {
    let pictures = process(bytes, &Policy::default(), None).unwrap();
    Output::decode(&pictures.outputs[0].bytes)
}

fn assert_fields(output: &Output, expected: [usize; 4]) {
    for (found, corner) in output.corners().into_iter().zip(expected) {
        let alike = found
            .iter()
            .zip(CORNERS[corner])
            .all(|(a, b)| a.abs_diff(b) <= 20);
        assert!(alike, "{found:?}, not {:?}", CORNERS[corner]);
    }
}

#[test]
fn stills_of_eight_and_ten_bits_are_shaped() {
    for bytes in [PLAIN, include_bytes!("heic/ten-bits.heic")] {
        let header = probe(bytes).unwrap();
        assert_eq!(
            (header.format, header.width, header.height),
            (Format::Heic, 96, 64)
        );
        assert_fields(&shape(bytes), [0, 1, 2, 3]);
    }
}

#[test]
fn grids_are_laid_together_and_turned_once() {
    assert_fields(&shape(GRID), [0, 1, 2, 3]);
    assert_fields(&shape(TURNED), [1, 3, 0, 2]);
}

#[test]
fn alpha_is_kept() {
    let output = shape(include_bytes!("heic/alpha.heic"));
    assert_eq!(output.channels, 4);
    assert!(output.at(0.25, 0.25)[3] > 250);
    assert!(output.at(0.75, 0.25)[3] < 5);
}

#[test]
fn every_cut_is_refused() {
    for whole in [PLAIN, GRID] {
        for length in 0..whole.len() {
            let cut = process(&whole[..length], &Policy::default(), None);
            assert!(cut.is_err(), "cut at {length} passed");
        }
    }
}

#[test]
fn damage_is_an_error_or_a_picture() {
    let policy = Policy {
        sizes: vec![16],
        ..Policy::default()
    };
    for place in 0..PLAIN.len() {
        let mut bytes = PLAIN.to_vec();
        bytes[place] ^= 0x55;
        if let Err(error) = process(&bytes, &policy, None) {
            assert!(
                !matches!(error, Error::Encoder { .. } | Error::Policy { .. }),
                "{error}"
            );
        }
    }
}

#[test]
fn limits_hold_before_the_codec_sees_a_byte() {
    let mut bytes = GRID.to_vec();
    let places: Vec<usize> = bytes
        .windows(4)
        .enumerate()
        .filter(|(_, window)| window == b"ispe")
        .map(|(at, _)| at + 8)
        .collect();
    for at in places {
        bytes[at..at + 8].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    }
    assert!(matches!(
        process(&bytes, &Policy::default(), None),
        Err(Error::TooManyPixels { .. })
    ));
}

/// Their sequence parameter sets were written anew: with 8192 × 8192 pixels where the container says 96 × 64; and with
/// eight columns and rows cut off at the left and at the top.
#[test]
fn a_stream_that_differs_from_its_container_is_refused_before_it_is_decoded() {
    let larger = process(
        include_bytes!("heic/claims-more.heic"),
        &Policy::default(),
        None,
    );
    let what = "a stream larger than the file says";
    let expected = Error::Damaged { offset: None, what };
    assert_eq!(larger, Err(expected));
    let inside = process(
        include_bytes!("heic/begins-inside.heic"),
        &Policy::default(),
        None,
    );
    assert!(
        matches!(inside, Err(Error::UnsupportedFormat { .. })),
        "{inside:?}"
    );
}

#[test]
fn a_policy_without_it_refuses_it() {
    let mut policy = Policy::default();
    policy.formats.retain(|format| *format != Format::Heic);
    let expected = Error::UnsupportedFormat { what: "HEIC" };
    assert_eq!(process(PLAIN, &policy, None), Err(expected));
}

//! HEIC files of a few hundred bytes, made with libheif and x265. They show the four fields of
//! `pictures` in 96 × 64. The grid has four tiles, 128 × 128, and a handwritten container.

use crate::pictures::{CORNERS, Output};
use veraicon_picture::{Error, Format, Policy, probe, process};

const PLAIN: &[u8] = include_bytes!("heic/plain.heic");
const GRID: &[u8] = include_bytes!("heic/grid.heic");
/// Rotated by 90° anticlockwise, as phones do.
const ROTATED: &[u8] = include_bytes!("heic/turned.heic");

fn shape(bytes: &[u8]) -> Output {
    let pictures = process(bytes, &Policy::default(), None).unwrap();
    Output::decode(&pictures.outputs[0].bytes)
}

fn assert_fields(output: &Output, expected: [usize; 4]) {
    for (found, corner) in output.corners().into_iter().zip(expected) {
        let close = found
            .iter()
            .zip(CORNERS[corner])
            .all(|(a, b)| a.abs_diff(b) <= 20);
        assert!(close, "{found:?}, expected {:?}", CORNERS[corner]);
    }
}

#[test]
fn pictures_of_eight_and_ten_bits_are_decoded() {
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
fn tiles_of_a_grid_are_joined_and_rotated_once() {
    assert_fields(&shape(GRID), [0, 1, 2, 3]);
    assert_fields(&shape(ROTATED), [1, 3, 0, 2]);
}

#[test]
fn alpha_is_kept() {
    let output = shape(include_bytes!("heic/alpha.heic"));
    assert_eq!(output.channels, 4);
    assert!(output.at(0.25, 0.25)[3] > 250);
    assert!(output.at(0.75, 0.25)[3] < 5);
}

#[test]
fn every_truncation_is_refused() {
    for complete in [PLAIN, GRID] {
        for length in 0..complete.len() {
            let result = process(&complete[..length], &Policy::default(), None);
            assert!(result.is_err(), "truncated to {length} bytes and accepted");
        }
    }
}

#[test]
fn a_damaged_file_is_decoded_or_refused_without_an_internal_error() {
    let policy = Policy {
        sizes: vec![16],
        ..Policy::default()
    };
    for position in 0..PLAIN.len() {
        let mut bytes = PLAIN.to_vec();
        bytes[position] ^= 0x55;
        if let Err(error) = process(&bytes, &policy, None) {
            assert!(
                !matches!(error, Error::Encoder { .. } | Error::Policy { .. }),
                "{error}"
            );
        }
    }
}

#[test]
fn limits_are_checked_before_the_codec_runs() {
    let mut bytes = GRID.to_vec();
    let positions: Vec<usize> = bytes
        .windows(4)
        .enumerate()
        .filter(|(_, window)| window == b"ispe")
        .map(|(at, _)| at + 8)
        .collect();
    for at in positions {
        bytes[at..at + 8].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    }
    assert!(matches!(
        process(&bytes, &Policy::default(), None),
        Err(Error::TooManyPixels { .. })
    ));
}

/// The sequence parameter sets of both files were changed. One states 8192 × 8192 pixels instead of
/// 96 × 64. The other crops eight columns on the left and eight rows at the top.
#[test]
fn a_stream_that_differs_from_its_container_is_refused_before_it_is_decoded() {
    let larger = process(
        include_bytes!("heic/claims-more.heic"),
        &Policy::default(),
        None,
    );
    let what = "the coded picture is larger than its ispe property states";
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
fn a_policy_without_heic_refuses_it() {
    let mut policy = Policy::default();
    policy.formats.retain(|format| *format != Format::Heic);
    let expected = Error::UnsupportedFormat { what: "HEIC" };
    assert_eq!(process(PLAIN, &policy, None), Err(expected));
}

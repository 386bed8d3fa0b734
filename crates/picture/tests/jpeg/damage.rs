//! Truncated and damaged files, and files that are expensive to decode.

use proptest::prelude::*;
use veraicon_picture::jpeg::{Decoder, Limits, Planes, Scale};
use veraicon_picture::{Complexity, Error};

use crate::libjpeg;
use crate::recipes;

fn decode(file: &[u8], scale: Scale) -> Result<Planes, Error> {
    Decoder::default().decode(file, scale, None, &Limits::default())
}

fn samples(planes: &Planes) -> Vec<&[u8]> {
    planes
        .planes
        .iter()
        .map(|plane| plane.samples.as_slice())
        .collect()
}

#[test]
fn a_truncated_file_is_refused_unless_only_the_end_marker_is_missing() {
    for recipe in recipes::small() {
        let file = libjpeg::encode(&recipe);
        for scale in Scale::ALL {
            let complete = decode(&file, scale).expect("a valid file");
            for length in 0..file.len() {
                let result = decode(&file[..length], scale);
                match result {
                    // The last byte of data may consist of padding bits only.
                    Ok(planes) if length + 3 >= file.len() => {
                        assert_eq!(samples(&planes), samples(&complete), "{recipe:?}");
                    }
                    Ok(_) => panic!("{length} of {} bytes accepted of {recipe:?}", file.len()),
                    Err(Error::Truncated { .. }) => assert!(length < file.len() - 2),
                    Err(Error::Empty) => assert_eq!(length, 0),
                    Err(Error::NotAnImage { .. }) => assert_eq!(length, 1),
                    Err(error) => panic!("{error} for {length} bytes of {recipe:?}"),
                }
            }
        }
    }
}

#[test]
fn a_truncated_file_with_an_end_marker_is_refused() {
    for recipe in recipes::small() {
        let file = libjpeg::encode(&recipe);
        let data = file
            .windows(2)
            .rposition(|pair| pair == [0xFF, 0xDA])
            .expect("a scan");
        for length in data + 14..file.len() - 4 {
            let closed = [&file[..length], &[0xFF, 0xD9]].concat();
            let result = decode(&closed, Scale::Quarter);
            assert!(
                matches!(result, Err(Error::Truncated { .. })),
                "{length} of {recipe:?}"
            );
        }
    }
}

#[test]
fn a_truncation_error_states_the_received_share() {
    let recipe = recipes::recipe((640, 640), &[(1, 1)], mozjpeg_sys::JCS_GRAYSCALE, 0, &[]);
    let file = libjpeg::encode(&recipe);
    let result = decode(&file[..file.len() / 2], Scale::Eighth);
    let Err(Error::Truncated {
        received: Some(percent),
    }) = result
    else {
        panic!("{result:?}");
    };
    assert!((45..=55).contains(&percent), "{percent} %");
}

#[test]
fn bytes_after_the_picture_are_ignored() {
    for recipe in recipes::small() {
        let file = libjpeg::encode(&recipe);
        let complete = decode(&file, Scale::Half).expect("a valid file");
        for tail in [&b"ftypmp42"[..], &[0xFF, 0xD8, 0xFF], &[0xFF; 9], &file] {
            let longer = [&file, tail].concat();
            let result = decode(&longer, Scale::Half).expect("a valid file with appended bytes");
            assert_eq!(samples(&result), samples(&complete));
            let without_end = [&file[..file.len() - 2], tail].concat();
            assert!(decode(&without_end, Scale::Half).is_ok(), "{recipe:?}");
        }
    }
}

#[test]
fn restart_markers_out_of_order_are_refused_as_damage() {
    let recipe = recipes::recipe((70, 41), &[(1, 1)], mozjpeg_sys::JCS_GRAYSCALE, 3, &[]);
    let file = libjpeg::encode(&recipe);
    let markers: Vec<_> = (0..file.len() - 1)
        .filter(|&at| file[at] == 0xFF && (0xD0..=0xD7).contains(&file[at + 1]))
        .collect();
    assert!(markers.len() > 3);
    for marker in markers {
        let mut damaged = file.clone();
        damaged[marker + 1] ^= 1;
        match decode(&damaged, Scale::Full) {
            Err(Error::Damaged {
                offset: Some(offset),
                ..
            }) => {
                assert!(offset.abs_diff(marker as u64) <= 2, "{offset} for {marker}");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Decodes a file at all scales and checks that the results agree, since all scales parse the same
/// bits.
fn decode_at_all_scales(file: &[u8]) -> Result<bool, TestCaseError> {
    let results = Scale::ALL.map(|scale| decode(file, scale).map(|_| ()));
    let portable = Decoder::portable().decode(file, Scale::Half, None, &Limits::default());
    prop_assert_eq!(&portable.map(|_| ()), &results[0]);
    for result in &results {
        prop_assert_eq!(result, &results[0]);
    }
    Ok(results[0].is_ok())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn changed_bytes_never_panic_and_all_scales_agree(
        choice in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let recipes = recipes::small();
        let mut file = libjpeg::encode(choice.get(&recipes));
        for (at, value) in flips {
            *at.get_mut(&mut file) = value;
        }
        let accepted = decode_at_all_scales(&file)?;
        // A file that libjpeg decodes without a warning must be accepted, except for the known
        // differences below.
        if !accepted && libjpeg::decode(&file).is_some() {
            let error = decode(&file, Scale::Full).err();
            prop_assert!(is_intentionally_stricter(&file), "refused, but accepted by libjpeg: {:?}", error);
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let file = [&[0xFF, 0xD8, 0xFF], bytes.as_slice()].concat();
        decode_at_all_scales(&file)?;
    }
}

/// Returns true for errors that libjpeg ignores: runs beyond the block or the scan, undefined
/// symbols, and scans that restart complete coefficients.
fn is_intentionally_stricter(file: &[u8]) -> bool {
    match decode(file, Scale::Full) {
        Err(Error::Damaged { what, .. }) => [
            "more than 64 coefficients in a block",
            "coefficient outside the spectral band of the scan",
            "end-of-band run beyond the scan or its restart interval",
            "invalid Huffman symbol",
            "progressive scan that repeats or skips bits",
        ]
        .contains(&what),
        _ => false,
    }
}

/// Builds a progressive file whose scans refine every coefficient of every block repeatedly. Each
/// scan needs only a few bytes.
#[test]
#[expect(clippy::cast_possible_truncation, reason = "the segments are short")]
fn a_file_with_too_many_scans_is_refused() {
    let mut file = vec![0xFF, 0xD8];
    let segment = |file: &mut Vec<u8>, marker: u8, payload: &[u8]| {
        file.extend([0xFF, marker]);
        file.extend([0, payload.len() as u8 + 2]);
        file.extend(payload);
    };
    segment(&mut file, 0xDB, &[&[0][..], &[1; 64]].concat());
    segment(&mut file, 0xC2, &[8, 0x40, 0, 0x40, 0, 1, 1, 0x11, 0]);
    let table = |class: u8, symbol: u8| {
        let mut payload = [0; 18];
        (payload[0], payload[1], payload[17]) = (class, 1, symbol);
        payload
    };
    // A DC scan in which every difference is 0. Each block takes one bit.
    segment(&mut file, 0xC4, &table(0, 0));
    segment(&mut file, 0xDA, &[1, 1, 0, 0, 0, 0]);
    file.extend([0; 2048 * 2048 / 8]);
    // AC scans of one coefficient each. Each end-of-band run covers 16384 blocks.
    segment(&mut file, 0xC4, &table(0x10, 0xE0));
    for coefficient in 1..64 {
        for high in [0, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1] {
            let low = if high == 0 { 13 } else { high - 1 };
            segment(
                &mut file,
                0xDA,
                &[1, 1, 0, coefficient, coefficient, high << 4 | low],
            );
            // A code of one bit and a run length of 14 bits end the band of 16384 blocks.
            file.extend([0; 2048 * 2048 / 16384 * 15 / 8]);
        }
    }
    file.extend([0xFF, 0xD9]);

    let result = decode(&file, Scale::Eighth);
    assert!(
        matches!(result, Err(Error::TooComplex { .. })),
        "{result:?}"
    );
    let unlimited = Limits {
        max_scans: u32::MAX,
        max_blocks: u64::MAX,
    };
    let few_scans = Limits {
        max_scans: 5,
        ..unlimited
    };
    let result = Decoder::default().decode(&file, Scale::Eighth, None, &few_scans);
    assert_eq!(
        result.err(),
        Some(Error::TooComplex {
            what: Complexity::Scans,
            value: 6,
            limit: 5
        })
    );
}

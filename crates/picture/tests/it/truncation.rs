//! Truncated files, and bytes after the end of a picture.

use crate::pictures::Pixels;
use veraicon_picture::{Error, Policy, process};

#[test]
fn every_truncation_is_refused() {
    let policy = Policy {
        sizes: vec![16],
        ..Policy::default()
    };
    for (name, bytes) in Pixels::new(67, 45).all() {
        assert!(process(&bytes, &policy, None).is_ok(), "{name}");
        // A JPEG without its end marker (two bytes) is still complete.
        let end_marker = if name == "JPEG" { 2 } else { 0 };
        for length in 0..bytes.len() - end_marker {
            let result = process(&bytes[..length], &policy, None);
            assert!(
                result.is_err(),
                "{name} of {} bytes was accepted when truncated to {length}",
                bytes.len()
            );
        }
    }
}

#[test]
fn bytes_after_the_end_are_ignored() {
    for (name, mut bytes) in Pixels::new(67, 45).all() {
        let clean = process(&bytes, &Policy::default(), None).unwrap();
        bytes.extend(b"\0\0\0\x18ftypmp42SECRET");
        let padded = process(&bytes, &Policy::default(), None).unwrap();
        assert_eq!(clean, padded, "{name}");
    }
}

#[test]
fn a_truncation_error_states_the_received_share() {
    let pixels = Pixels::new(300, 300);
    let noisy = Pixels {
        rgb: (0..300 * 300 * 3_u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect(),
        ..pixels
    };
    let png = noisy.png();
    let result = process(&png[..png.len() / 2], &Policy::default(), None);
    let Err(Error::Truncated {
        received: Some(percent),
    }) = result
    else {
        panic!("{result:?}")
    };
    assert!((40..=60).contains(&percent), "{percent} %");
}

#[test]
fn a_truncated_progressive_jpeg_states_no_share() {
    let jpeg = Pixels::new(300, 300).jpeg_with(|encoder| encoder.set_progressive(true));
    for tenths in 4..10 {
        let result = process(&jpeg[..jpeg.len() * tenths / 10], &Policy::default(), None);
        assert_eq!(
            result,
            Err(Error::Truncated { received: None }),
            "{tenths}0 %"
        );
    }
}

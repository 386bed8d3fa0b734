//! Limits of the policy, crops outside the picture, and invalid policies.

use crate::pictures::Pixels;
use veraicon_picture::{Complexity, Crop, Error, Policy, probe, process};

#[test]
fn bytes_and_pixels_are_limited() {
    for (_, bytes) in Pixels::new(30, 20).all() {
        let length = bytes.len() as u64;
        let policy = Policy {
            max_bytes: length - 1,
            ..Policy::default()
        };
        let expected = Error::TooManyBytes {
            bytes: length,
            limit: length - 1,
        };
        assert_eq!(process(&bytes, &policy, None), Err(expected));

        let policy = Policy {
            max_bytes: length,
            max_pixels: 599,
            ..Policy::default()
        };
        let expected = Error::TooManyPixels {
            width: 30,
            height: 20,
            limit: 599,
        };
        assert_eq!(process(&bytes, &policy, None), Err(expected));
        let policy = Policy {
            max_bytes: length,
            max_pixels: 600,
            ..Policy::default()
        };
        assert!(process(&bytes, &policy, None).is_ok());
    }
}

#[test]
fn a_small_file_with_a_huge_stated_size_is_refused_from_its_header() {
    let gif = b"GIF89a\xFF\xFF\xFF\xFF\x80\0\0\0\0\0\xFF\xFF\xFF,\0\0\0\0\xFF\xFF\xFF\xFF\0\x02\x02L\x01\0;";
    let expected = Error::TooManyPixels {
        width: 65_535,
        height: 65_535,
        limit: 100_000_000,
    };
    assert_eq!(process(gif, &Policy::default(), None), Err(expected));
}

#[test]
fn a_crop_larger_than_the_picture_is_refused_and_needs_the_memory_of_the_whole() {
    let policy = Policy::default();
    let crop = Crop {
        x: 0,
        y: 0,
        size: 200_000,
    };
    for (name, bytes) in Pixels::new(300, 200).all() {
        let header = probe(&bytes).unwrap();
        let whole = header.peak_memory(&policy, None);
        assert_eq!(header.peak_memory(&policy, Some(crop)), whole, "{name}");
        let expected = Error::CropOutside {
            crop,
            width: 300,
            height: 200,
        };
        assert_eq!(
            process(&bytes, &policy, Some(crop)),
            Err(expected),
            "{name}"
        );
    }
}

#[test]
fn frames_are_limited() {
    let gif = Pixels::new(30, 20).gif(5);
    let policy = Policy {
        max_frames: 4,
        ..Policy::default()
    };
    let expected = Error::TooComplex {
        what: Complexity::Frames,
        value: 5,
        limit: 4,
    };
    assert_eq!(process(&gif, &policy, None), Err(expected));
    assert!(
        process(
            &gif,
            &Policy {
                max_frames: 5,
                ..policy
            },
            None
        )
        .is_ok()
    );
}

#[test]
fn crops_outside_the_picture_are_refused() {
    let png = Pixels::new(30, 20).png();
    for (x, y, size) in [
        (0, 0, 21),
        (11, 0, 20),
        (0, 0, 0),
        (u32::MAX, u32::MAX, u32::MAX),
    ] {
        let crop = Crop { x, y, size };
        let expected = Error::CropOutside {
            crop,
            width: 30,
            height: 20,
        };
        assert_eq!(process(&png, &Policy::default(), Some(crop)), Err(expected));
    }
}

#[test]
fn invalid_policies_are_refused() {
    let png = Pixels::new(30, 20).png();
    for policy in [
        Policy {
            sizes: vec![],
            ..Policy::default()
        },
        Policy {
            sizes: vec![0],
            ..Policy::default()
        },
        Policy {
            sizes: vec![16_384],
            ..Policy::default()
        },
        Policy {
            quality: 0,
            ..Policy::default()
        },
        Policy {
            quality: 101,
            ..Policy::default()
        },
    ] {
        assert!(matches!(
            process(&png, &policy, None),
            Err(Error::Policy { .. })
        ));
    }
}

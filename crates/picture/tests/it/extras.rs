//! Additional data that phones store in and after pictures. It is accepted and never appears in the
//! output.

use crate::pictures::Pixels;
use veraicon_picture::{Policy, process};

/// Returns a JPEG segment with a marker and its content (ITU-T T.81, B.1.1.4).
fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len() + 2).unwrap();
    let mut segment = vec![0xFF, marker];
    segment.extend(length.to_be_bytes());
    segment.extend(content);
    segment
}

/// Returns the index of a file with two pictures: their lengths and offsets (CIPA DC-007, 5.2).
fn multi_picture_index(first: u32, second: u32, at: u32) -> Vec<u8> {
    let mut index = b"MPF\0MM\0*\0\0\0\x08\0\x03".to_vec();
    // Version, number of pictures, and the offset of the entries, which follow this directory.
    index.extend(b"\xB0\0\0\x07\0\0\0\x040100");
    index.extend(b"\xB0\x01\0\x04\0\0\0\x01\0\0\0\x02");
    index.extend(b"\xB0\x02\0\x07\0\0\0\x20\0\0\0\x32\0\0\0\0");
    for (attributes, length, offset) in [(0x2003_0000_u32, first, 0), (0, second, at)] {
        for number in [attributes, length, offset, 0] {
            index.extend(number.to_be_bytes());
        }
    }
    segment(0xE2, &index)
}

/// Inserts segments after a JPEG's start marker and appends bytes after its end.
fn with(jpeg: &[u8], front: &[u8], after: &[u8]) -> Vec<u8> {
    [&jpeg[..2], front, &jpeg[2..], after].concat()
}

#[test]
fn additional_data_of_phones_does_not_change_the_output() {
    let jpeg = Pixels::new(640, 480).jpeg();
    let other = Pixels::new(160, 120).jpeg();
    let expected = process(&jpeg, &Policy::default(), None).unwrap();
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap();
    let index = multi_picture_index(length(&jpeg), length(&other), length(&jpeg));
    let map = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta hdrgm:Version=\"1.0\" Item:Semantic=\"GainMap\"/>";
    let video = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom\0\0\0\x10mdatSECRET!!".repeat(100);
    let samsung = b"SEFH\x6A\0\0\0\x01\0\0\0\0\0\x01\x0A\x10\0\0\0\x10\0\0\0\x14\0\0\0SEFT";
    let thumbnail = [b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0".as_slice(), &other].concat();
    let cases: [(&str, Vec<u8>, Vec<u8>); 9] = [
        ("a video after the end", vec![], video.clone()),
        ("a second picture", index.clone(), other.clone()),
        (
            "a gain map",
            [
                segment(0xE1, map),
                segment(0xE2, b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0"),
                index.clone(),
            ]
            .concat(),
            other.clone(),
        ),
        (
            "a gain map and a video",
            [segment(0xE1, map), index].concat(),
            [other, video].concat(),
        ),
        ("Samsung's trailer", vec![], samsung.to_vec()),
        ("a thumbnail", segment(0xE1, &thumbnail), vec![]),
        ("zeros to the end of a block", vec![], vec![0; 70_000]),
        ("ones to the end of a block", vec![], vec![0xFF; 4097]),
        // Fill bytes may precede any marker (ITU-T T.81, B.1.1.2).
        (
            "fill bytes",
            [vec![0xFF; 9], segment(0xFE, b"comment")].concat(),
            vec![],
        ),
    ];
    for (name, front, after) in cases {
        let found = process(&with(&jpeg, &front, &after), &Policy::default(), None);
        assert_eq!(found.as_ref(), Ok(&expected), "{name}");
    }
}

#[test]
fn appended_data_does_not_complete_a_truncated_picture() {
    // The appended data starts in the middle of the picture.
    let jpeg = Pixels::new(640, 480).jpeg();
    let half = &jpeg[..jpeg.len() / 2];
    let other = Pixels::new(160, 120).jpeg();
    for after in [b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom".repeat(500), other] {
        let joined = [half, &after].concat();
        assert!(process(&joined, &Policy::default(), None).is_err());
    }
}

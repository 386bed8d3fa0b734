//! Data outside the scans: headers, metadata, colour models, and unusual but valid files.

use mozjpeg_sys::J_COLOR_SPACE::{JCS_CMYK, JCS_GRAYSCALE, JCS_RGB, JCS_YCCK, JCS_YCbCr};
use veraicon_picture::jpeg::{
    ColourModel, Decoder, Limits, Planes, Scale, cmyk_to_rgb, read_header,
};
use veraicon_picture::{Complexity, Error};

use crate::libjpeg;
use crate::recipes::recipe;

const FULL: [(i32, i32); 3] = [(1, 1); 3];

/// Returns a baseline file with three components.
fn file() -> Vec<u8> {
    libjpeg::encode(&recipe((40, 30), &FULL, JCS_YCbCr, 0, &[]))
}

fn decode(file: &[u8]) -> Result<Planes, Error> {
    Decoder::default().decode(file, Scale::Full, None, &Limits::default())
}

fn samples(file: &[u8]) -> Option<Vec<Vec<u8>>> {
    decode(file).ok().map(|planes| {
        planes
            .planes
            .into_iter()
            .map(|plane| plane.samples)
            .collect()
    })
}

fn segment(marker: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 2)
        .unwrap_or(u16::MAX)
        .to_be_bytes();
    [&[0xFF, marker], &length[..], payload].concat()
}

/// Inserts bytes after the start marker.
fn insert(file: &[u8], bytes: &[u8]) -> Vec<u8> {
    [&file[..2], bytes, &file[2..]].concat()
}

/// Returns start and end of each segment before the data of the first scan.
fn segments(file: &[u8]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 2;
    loop {
        let end = at + 2 + usize::from(u16::from_be_bytes([file[at + 2], file[at + 3]]));
        found.push((at, end));
        if file[at + 1] == 0xDA {
            return found;
        }
        at = end;
    }
}

/// Removes the segments with these markers.
fn without(file: &[u8], markers: &[u8]) -> Vec<u8> {
    let mut stripped = file[..2].to_vec();
    let segments = segments(file);
    for &(start, end) in &segments {
        if !markers.contains(&file[start + 1]) {
            stripped.extend(&file[start..end]);
        }
    }
    stripped.extend(&file[segments[segments.len() - 1].1..]);
    stripped
}

/// Replaces the byte at `offset` in the first segment with this marker.
fn patch(file: &[u8], marker: u8, offset: usize, value: u8) -> Vec<u8> {
    let mut patched = file.to_vec();
    for (start, _) in segments(file) {
        if file[start + 1] == marker {
            patched[start + offset] = value;
            return patched;
        }
    }
    patched
}

#[test]
fn the_header_contains_size_and_sampling() {
    let sampling = [(2, 2), (1, 2), (1, 1)];
    let file = libjpeg::encode(&recipe((300, 77), &sampling, JCS_YCbCr, 0, &[]));
    let header = read_header(&file).expect("a valid file");
    assert_eq!((header.width, header.height), (300, 77));
    assert_eq!(header.sampling, [(2, 2), (1, 2), (1, 1)]);
    assert_eq!(header.colour, ColourModel::YCbCr);
    assert!(!header.progressive);
    assert!(header.exif.is_none());
}

#[test]
fn the_colour_model_follows_markers_and_component_identifiers() {
    let colour = |file: &[u8]| read_header(file).map(|header| header.colour);
    let adobe = |transform| segment(0xEE, &[b"Adobe\0\x64\0\0\0\0", &[transform][..]].concat());
    let jfif = segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");

    let plain = without(&file(), &[0xE0, 0xEE]);
    assert_eq!(colour(&plain), Ok(ColourModel::YCbCr));
    assert_eq!(colour(&insert(&plain, &adobe(0))), Ok(ColourModel::Rgb));
    assert_eq!(colour(&insert(&plain, &adobe(1))), Ok(ColourModel::YCbCr));
    assert_eq!(
        colour(&insert(&insert(&plain, &adobe(0)), &jfif)),
        Ok(ColourModel::YCbCr)
    );

    let rgb = libjpeg::encode(&recipe((9, 9), &FULL, JCS_RGB, 0, &[]));
    assert_eq!(colour(&rgb), Ok(ColourModel::Rgb));
    assert_eq!(colour(&without(&rgb, &[0xEE])), Ok(ColourModel::Rgb));
    assert_eq!(colour(&insert(&rgb, &jfif)), Ok(ColourModel::YCbCr));

    let four = [(1, 1); 4];
    let cmyk = libjpeg::encode(&recipe((9, 9), &four, JCS_CMYK, 0, &[]));
    assert_eq!(colour(&cmyk), Ok(ColourModel::Cmyk));
    assert_eq!(colour(&without(&cmyk, &[0xEE])), Ok(ColourModel::Cmyk));
    let ycck = libjpeg::encode(&recipe((9, 9), &four, JCS_YCCK, 0, &[]));
    assert_eq!(colour(&ycck), Ok(ColourModel::Ycck));

    let grey = libjpeg::encode(&recipe((9, 9), &[(1, 1)], JCS_GRAYSCALE, 0, &[]));
    assert_eq!(colour(&grey), Ok(ColourModel::Grey));
}

#[test]
fn combined_planes_equal_libjpegs_pixels() {
    let kinds = [
        (1, JCS_GRAYSCALE),
        (3, JCS_RGB),
        (3, JCS_YCbCr),
        (4, JCS_CMYK),
        (4, JCS_YCCK),
    ];
    for (components, colours) in kinds {
        let file = libjpeg::encode(&recipe(
            (64, 48),
            &vec![(1, 1); components],
            colours,
            0,
            &[],
        ));
        let planes = decode(&file).expect("a valid file");
        let slices: Vec<_> = planes
            .planes
            .iter()
            .map(|plane| plane.samples.as_slice())
            .collect();
        let mut pixels = vec![7; 3];
        planes.colour.combine(&slices, &mut pixels);
        let expected = libjpeg::decode_pixels(&file, 8)
            .expect("a valid file")
            .samples;
        if components == 4 {
            let inks: Vec<u8> = expected.iter().map(|&stored| 255 - stored).collect();
            assert_eq!(pixels, inks, "{colours:?}");
        } else {
            assert_eq!(pixels, expected, "{colours:?}");
        }
    }
}

#[test]
fn cmyk_inks_reduce_light() {
    let mut rgb = Vec::new();
    cmyk_to_rgb(
        &[0, 0, 0, 0, 255, 0, 0, 0, 0, 255, 0, 128, 9, 9, 9, 255],
        &mut rgb,
    );
    assert_eq!(rgb, [255, 255, 255, 0, 255, 255, 127, 0, 127, 0, 0, 0]);
}

#[test]
fn the_first_exif_segment_is_used() {
    let first = insert(&file(), &segment(0xE1, b"Exif\0\0second"));
    let both = insert(&first, &segment(0xE1, b"Exif\0\0first"));
    let with_xmp = insert(&both, &segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0"));
    assert_eq!(
        read_header(&with_xmp).expect("a valid file").exif,
        Some(&b"first"[..])
    );
}

#[test]
fn a_profile_is_joined_in_order_or_ignored_if_incomplete() {
    let chunk = |number: u8, count: u8, bytes: &[u8]| {
        segment(
            0xE2,
            &[b"ICC_PROFILE\0", &[number, count][..], bytes].concat(),
        )
    };
    let profile = |chunks: &[Vec<u8>], limit| {
        let file = insert(&file(), &chunks.concat());
        read_header(&file).expect("a valid file").icc_profile(limit)
    };
    let [one, two, three] = [chunk(1, 3, b"ab"), chunk(2, 3, b"cd"), chunk(3, 3, b"e")];
    let of = |chunks: &[&Vec<u8>]| {
        chunks
            .iter()
            .map(|&chunk| chunk.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(profile(&[], 9), Ok(None));
    assert_eq!(
        profile(&of(&[&one, &two, &three]), 9),
        Ok(Some(b"abcde".to_vec()))
    );
    assert_eq!(
        profile(&of(&[&three, &one, &two]), 9),
        Ok(Some(b"abcde".to_vec()))
    );
    assert_eq!(profile(&of(&[&one, &two]), 9), Ok(None));
    assert_eq!(profile(&of(&[&one, &two, &two]), 9), Ok(None));
    assert_eq!(profile(&of(&[&one, &two, &three, &three]), 9), Ok(None));
    assert_eq!(profile(&[chunk(0, 1, b"a")], 9), Ok(None));
    assert_eq!(profile(&vec![chunk(1, 255, b"a"); 600], 9), Ok(None));
    assert_eq!(
        profile(&of(&[&one, &two, &three]), 4),
        Err(Error::TooComplex {
            what: Complexity::ProfileBytes,
            value: 5,
            limit: 4
        })
    );
}

#[test]
fn unsupported_variants_are_named() {
    let file = file();
    for (marker, what) in [
        (0xC3, "lossless JPEG"),
        (0xC5, "hierarchical JPEG"),
        (0xC9, "arithmetic-coded JPEG"),
        (0xCA, "arithmetic-coded JPEG"),
    ] {
        let other = patch(&file, 0xC0, 1, marker);
        assert_eq!(
            read_header(&other).err(),
            Some(Error::UnsupportedFormat { what })
        );
        assert_eq!(
            decode(&other).err(),
            Some(Error::UnsupportedFormat { what })
        );
    }
    let twelve_bits = patch(&file, 0xC0, 4, 12);
    assert!(matches!(
        decode(&twelve_bits),
        Err(Error::UnsupportedFormat { .. })
    ));
    let no_height = patch(&patch(&file, 0xC0, 5, 0), 0xC0, 6, 0);
    assert!(matches!(
        decode(&no_height),
        Err(Error::Damaged {
            offset: Some(_),
            ..
        })
    ));
    assert_eq!(decode(b"").err(), Some(Error::Empty));
    assert_eq!(
        decode(b"GIF89a").err(),
        Some(Error::NotAnImage { kind: None })
    );
}

#[test]
fn missing_huffman_tables_default_to_the_standard_ones() {
    let file = file();
    let bare = without(&file, &[0xC4]);
    assert!(bare.len() < file.len());
    assert_eq!(samples(&bare), samples(&file));
}

#[test]
fn bytes_between_segments_are_ignored() {
    let file = file();
    let expected = samples(&file);
    assert!(expected.is_some());
    for (start, _) in segments(&file) {
        for filling in [&[0xFF, 0xFF][..], &[0, 1, 2], &[0xFF, 0xD0], &[0xFF, 0x01]] {
            let padded = [&file[..start], filling, &file[start..]].concat();
            assert_eq!(samples(&padded), expected, "{filling:?} at {start}");
        }
    }
    let end = file.len() - 2;
    for filling in [
        &[0xFF, 0xFF][..],
        &[0, 1, 2],
        &[0xFF, 0, 9],
        &[0xFF, 0xD0],
        &[0; 50_000],
    ] {
        let padded = [&file[..end], filling, &file[end..]].concat();
        assert_eq!(
            samples(&padded),
            expected,
            "{} bytes before the end marker",
            filling.len()
        );
    }
    assert_eq!(
        samples(&insert(&file, &[0xFF, 0xFE, 0, 0])),
        expected,
        "a comment of length 0"
    );
}

#[test]
fn a_missing_component_is_reported_as_truncation() {
    const SEPARATE: [libjpeg::ScanScript; 3] = [
        (&[0], 0, 63, 0, 0),
        (&[1], 0, 63, 0, 0),
        (&[2], 0, 63, 0, 0),
    ];
    let file = libjpeg::encode(&recipe((40, 30), &FULL, JCS_YCbCr, 0, &SEPARATE));
    let last = file
        .windows(2)
        .rposition(|pair| pair == [0xFF, 0xDA])
        .expect("a scan");
    let closed = [&file[..last], &[0xFF, 0xD9]].concat();
    assert_eq!(
        decode(&closed).err(),
        Some(Error::Truncated { received: Some(66) })
    );
    assert_eq!(
        decode(&file[..last]).err(),
        Some(Error::Truncated { received: Some(66) })
    );
}

#[test]
fn a_progressive_picture_without_its_last_refinements_is_accepted() {
    const COARSE: [libjpeg::ScanScript; 3] = [
        (&[0, 1, 2], 0, 0, 0, 1),
        (&[0], 1, 5, 0, 2),
        (&[0], 6, 63, 0, 2),
    ];
    let file = libjpeg::encode(&recipe((40, 30), &FULL, JCS_YCbCr, 0, &COARSE));
    assert!(decode(&file).is_ok());
    let truncated = &file[..file.len() - 2];
    let error = decode(truncated).err();
    assert_eq!(error, Some(Error::Truncated { received: None }));
}

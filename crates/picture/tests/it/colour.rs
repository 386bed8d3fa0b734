//! Colour profiles, and the colour models of PNG and JPEG.

use crate::pictures::{Output, Pixels};
use moxcms::ColorProfile;
use veraicon_picture::{Complexity, Error, Policy, process};

/// Returns a picture of one colour.
fn plain(rgb: [u8; 3]) -> Pixels {
    Pixels {
        width: 32,
        height: 32,
        rgb: rgb.repeat(32 * 32),
    }
}

fn shape(bytes: &[u8]) -> [u8; 3] {
    let pictures = process(bytes, &Policy::default(), None).unwrap();
    let output = Output::decode(&pictures.outputs[0].bytes);
    output.at(0.5, 0.5)[..3].try_into().unwrap()
}

fn assert_close(found: [u8; 3], expected: [u8; 3]) {
    let close = found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 6);
    assert!(close, "{found:?}, expected {expected:?}");
}

/// A Display P3 colour, and the same colour in sRGB, computed through XYZ with the published
/// matrices.
const P3: [u8; 3] = [100, 180, 90];
const P3_IN_SRGB: [u8; 3] = [65, 182, 77];

#[test]
fn profiles_are_applied_in_every_format_that_supports_them() {
    let profile = ColorProfile::new_display_p3().encode().unwrap();
    let pixels = plain(P3);
    assert_close(
        shape(&pixels.png_with(|info| info.icc_profile = Some(profile.clone().into()))),
        P3_IN_SRGB,
    );
    let jpeg = pixels.jpeg_with(|encoder| encoder.add_icc_profile(&profile).unwrap());
    assert_close(shape(&jpeg), P3_IN_SRGB);
    assert_close(
        shape(&pixels.webp_with(|encoder| encoder.set_icc_profile(profile))),
        P3_IN_SRGB,
    );
}

#[test]
fn an_invalid_profile_is_ignored() {
    for profile in [vec![0; 200], b"not a profile".to_vec(), vec![]] {
        assert_close(
            shape(&plain(P3).png_with(|info| info.icc_profile = Some(profile.into()))),
            P3,
        );
    }
    // A grey profile in a colour picture.
    let grey = ColorProfile::new_gray_with_gamma(1.8).encode().unwrap();
    assert_close(
        shape(&plain(P3).png_with(|info| info.icc_profile = Some(grey.into()))),
        P3,
    );
}

#[test]
fn a_profile_that_decompresses_beyond_the_limit_is_refused() {
    let profile = vec![0; 8 << 20];
    let bytes = plain(P3).png_with(|info| info.icc_profile = Some(profile.into()));
    assert!(bytes.len() < 100_000);
    let result = process(&bytes, &Policy::default(), None);
    assert!(
        matches!(
            result,
            Err(Error::TooComplex {
                what: Complexity::ProfileBytes,
                ..
            })
        ),
        "{result:?}"
    );
}

#[test]
fn colour_chunks_of_a_png_have_the_right_precedence() {
    // A cICP chunk (Display P3) takes precedence over a gAMA chunk, which would darken the picture.
    let chunk = |kind: &[u8; 4], content: &[u8]| {
        let mut crc = crc32fast::Hasher::new();
        crc.update(kind);
        crc.update(content);
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [
            &length,
            kind.as_slice(),
            content,
            &crc.finalize().to_be_bytes(),
        ]
        .concat()
    };
    let with = |chunks: &[Vec<u8>]| {
        let png = plain(P3).png();
        // The signature (8 bytes) and the IHDR chunk (25 bytes).
        let header_end = 8 + 25;
        [&png[..header_end], &chunks.concat(), &png[header_end..]].concat()
    };
    let dark = chunk(b"gAMA", &100_000_u32.to_be_bytes());
    let p3 = chunk(b"cICP", &[12, 13, 0, 1]);
    let srgb = chunk(b"sRGB", &[0]);
    let srgb_gamma = chunk(b"gAMA", &45_455_u32.to_be_bytes());
    assert_close(shape(&with(&[dark.clone(), p3])), P3_IN_SRGB);
    assert_close(shape(&with(&[dark.clone(), srgb])), P3);
    assert_close(shape(&with(&[srgb_gamma])), P3);
    // A linear value of 100 of 255 is 168 in sRGB.
    assert_close(shape(&with(&[dark])), [168, 218, 160]);
}

#[test]
fn sixteen_bits_and_grey_are_read() {
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, 32, 32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Sixteen);
    let samples = 40_000_u16.to_be_bytes().repeat(32 * 32);
    encoder
        .write_header()
        .unwrap()
        .write_image_data(&samples)
        .unwrap();
    assert_close(shape(&png), [156; 3]);
}

#[test]
fn palettes_with_transparency_are_read() {
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, 32, 32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Two);
    encoder.set_palette(vec![10, 20, 30, 200, 100, 50]);
    encoder.set_trns(vec![0]);
    // Columns of index 0 on the left, of index 1 on the right.
    let row = [0, 0, 0, 0, 0x55, 0x55, 0x55, 0x55];
    encoder
        .write_header()
        .unwrap()
        .write_image_data(&row.repeat(32))
        .unwrap();
    let pictures = process(&png, &Policy::default(), None).unwrap();
    let output = Output::decode(&pictures.outputs[0].bytes);
    assert_eq!(output.channels, 4);
    assert_eq!(output.at(0.2, 0.5)[3], 0);
    assert_close(output.at(0.8, 0.5)[..3].try_into().unwrap(), [200, 100, 50]);
}

#[test]
fn cmyk_and_ycck_jpegs_give_the_same_colours() {
    let inks = [30, 200, 60, 20_u8];
    let light = |ink: u8| u16::from(255 - ink) * u16::from(255 - inks[3]) / 255;
    let expected = [inks[0], inks[1], inks[2]].map(|ink| u8::try_from(light(ink)).unwrap());
    for coded in [
        jpeg_encoder::ColorType::Cmyk,
        jpeg_encoder::ColorType::CmykAsYcck,
    ] {
        let mut bytes = Vec::new();
        jpeg_encoder::Encoder::new(&mut bytes, 95)
            .encode(&inks.repeat(32 * 32), 32, 32, coded)
            .unwrap();
        assert_close(shape(&bytes), expected);
    }
}

/// Returns a CMYK profile whose lookup table has two points per ink: full or absent. `lab` returns
/// the CIELAB colour of each combination (ICC.1:2010, 10.8, lut8Type).
fn ink_profile(lab: impl Fn([bool; 4]) -> [u8; 3]) -> Vec<u8> {
    let identity: Vec<u8> = (0..=u8::MAX).collect();
    let mut table = b"mft1\0\0\0\0\x04\x03\x02\0".to_vec();
    for value in [1_u32, 0, 0, 0, 1, 0, 0, 0, 1] {
        table.extend((value << 16).to_be_bytes());
    }
    table.extend(identity.repeat(4));
    // The first ink varies slowest.
    for point in 0..16_u8 {
        table.extend(lab([8, 4, 2, 1].map(|bit| point & bit != 0)));
    }
    table.extend(identity.repeat(3));
    let white: Vec<u8> = [*b"XYZ ", [0; 4]]
        .into_iter()
        .chain([0xF6D6_u32, 0x1_0000, 0xD32D].map(u32::to_be_bytes))
        .flatten()
        .collect();
    let start = 128 + 4 + 2 * 12;
    let mut tags = 2_u32.to_be_bytes().to_vec();
    let mut content = Vec::new();
    for (name, data) in [(b"A2B0", table), (b"wtpt", white)] {
        tags.extend(name);
        for number in [start + content.len(), data.len()] {
            tags.extend(u32::try_from(number).unwrap().to_be_bytes());
        }
        content.extend(data);
        content.resize(content.len().next_multiple_of(4), 0);
    }
    let mut profile = vec![0; 128];
    let length = u32::try_from(start + content.len()).unwrap();
    for (at, bytes) in [
        (0, length.to_be_bytes()),
        (8, [2, 0x40, 0, 0]),
        (12, *b"prtr"),
        (16, *b"CMYK"),
        (20, *b"Lab "),
        (36, *b"acsp"),
        (68, 0xF6D6_u32.to_be_bytes()),
        (72, 0x1_0000_u32.to_be_bytes()),
        (76, 0xD32D_u32.to_be_bytes()),
    ] {
        profile[at..at + 4].copy_from_slice(&bytes);
    }
    profile.extend(tags);
    profile.extend(content);
    profile
}

#[test]
fn cmyk_colours_follow_the_profile() {
    // In this profile no ink is black, and full cyan is the red of sRGB. In CIELAB sRGB red is
    // (53.2, 80.1, 67.2) for D65 and (54.3, 80.8, 69.9) for D50, the illuminant of ICC profiles.
    let red = [(54.3 * 2.55) as u8, 128 + 81, 128 + 70];
    let profile = ink_profile(|[cyan, ..]| if cyan { red } else { [0, 128, 128] });
    for (inks, expected) in [([255, 0, 0, 0], [255, 0, 0]), ([0, 0, 0, 0], [0, 0, 0])] {
        for coded in [
            jpeg_encoder::ColorType::Cmyk,
            jpeg_encoder::ColorType::CmykAsYcck,
        ] {
            let mut bytes = Vec::new();
            let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 95);
            encoder.add_icc_profile(&profile).unwrap();
            encoder
                .encode(&inks.repeat(32 * 32), 32, 32, coded)
                .unwrap();
            assert_close(shape(&bytes), expected);
        }
    }
}

use crate::pictures::{Output, Pixels};
use moxcms::ColorProfile;
use veraicon_picture::{Error, Policy, process};

/// A picture of one colour.
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

fn near(found: [u8; 3], expected: [u8; 3]) {
    let near = found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 6);
    assert!(near, "{found:?}, not {expected:?}");
}

/// Display-P3 (100, 180, 90) is this in sRGB: through XYZ by the published matrices.
const P3: [u8; 3] = [100, 180, 90];
const P3_IN_SRGB: [u8; 3] = [65, 182, 77];

#[test]
fn profiles_are_applied_in_every_format_that_has_them() {
    let profile = ColorProfile::new_display_p3().encode().unwrap();
    let pixels = plain(P3);
    near(
        shape(&pixels.png_with(|info| info.icc_profile = Some(profile.clone().into()))),
        P3_IN_SRGB,
    );
    let jpeg = pixels.jpeg_with(|encoder| encoder.add_icc_profile(&profile).unwrap());
    near(shape(&jpeg), P3_IN_SRGB);
    near(
        shape(&pixels.webp_with(|encoder| encoder.set_icc_profile(profile))),
        P3_IN_SRGB,
    );
}

#[test]
fn a_broken_profile_counts_for_nothing() {
    for profile in [vec![0; 200], b"not a profile".to_vec(), vec![]] {
        near(
            shape(&plain(P3).png_with(|info| info.icc_profile = Some(profile.into()))),
            P3,
        );
    }
    // One for grey on a picture of colours.
    let grey = ColorProfile::new_gray_with_gamma(1.8).encode().unwrap();
    near(
        shape(&plain(P3).png_with(|info| info.icc_profile = Some(grey.into()))),
        P3,
    );
}

#[test]
fn a_profile_that_unpacks_to_too_much_is_refused() {
    let profile = vec![0; 8 << 20];
    let bytes = plain(P3).png_with(|info| info.icc_profile = Some(profile.into()));
    assert!(bytes.len() < 100_000);
    let result = process(&bytes, &Policy::default(), None);
    assert!(
        matches!(
            result,
            Err(Error::TooComplex {
                what: "bytes of profile",
                ..
            })
        ),
        "{result:?}"
    );
}

#[test]
fn png_follows_the_precedence_of_its_chunks() {
    // cICP of Display-P3 wins over a gAMA that would darken.
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
        let header_end = 8 + 25;
        [&png[..header_end], &chunks.concat(), &png[header_end..]].concat()
    };
    let dark = chunk(b"gAMA", &100_000_u32.to_be_bytes());
    let p3 = chunk(b"cICP", &[12, 13, 0, 1]);
    let srgb = chunk(b"sRGB", &[0]);
    let usual = chunk(b"gAMA", &45_455_u32.to_be_bytes());
    near(shape(&with(&[dark.clone(), p3])), P3_IN_SRGB);
    near(shape(&with(&[dark.clone(), srgb])), P3);
    near(shape(&with(&[usual])), P3);
    // Linear light: 100 of 255 is 168 in sRGB.
    near(shape(&with(&[dark])), [168, 218, 160]);
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
    near(shape(&png), [156; 3]);
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
    near(output.at(0.8, 0.5)[..3].try_into().unwrap(), [200, 100, 50]);
}

#[test]
fn inks_of_a_jpeg_are_read_however_they_are_coded() {
    let inks = [30, 200, 60, 20_u8];
    let left = |ink: u8| u16::from(255 - ink) * u16::from(255 - inks[3]) / 255;
    let expected = [inks[0], inks[1], inks[2]].map(|ink| u8::try_from(left(ink)).unwrap());
    for coded in [
        jpeg_encoder::ColorType::Cmyk,
        jpeg_encoder::ColorType::CmykAsYcck,
    ] {
        let mut bytes = Vec::new();
        jpeg_encoder::Encoder::new(&mut bytes, 95)
            .encode(&inks.repeat(32 * 32), 32, 32, coded)
            .unwrap();
        near(shape(&bytes), expected);
    }
}

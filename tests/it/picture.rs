//! Generated test pictures.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};

pub(crate) const RED: Rgb<u8> = Rgb([220, 30, 30]);
pub(crate) const GREEN: Rgb<u8> = Rgb([30, 200, 40]);
pub(crate) const BLUE: Rgb<u8> = Rgb([30, 40, 220]);
pub(crate) const WHITE: Rgb<u8> = Rgb([250, 250, 250]);

/// Returns a picture with one colour in each quarter: red and green above blue and white.
pub(crate) fn quarters(width: u32, height: u32) -> DynamicImage {
    let colour = |x, y| match (x < width / 2, y < height / 2) {
        (true, true) => RED,
        (false, true) => GREEN,
        (true, false) => BLUE,
        (false, false) => WHITE,
    };
    RgbImage::from_fn(width, height, colour).into()
}

/// Returns a square of noise, which compresses badly.
pub(crate) fn noise(side: u32) -> DynamicImage {
    let mut state = 1_u32;
    let image = RgbImage::from_fn(side, side, |_, _| {
        Rgb([0; 3].map(|_: u8| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        }))
    });
    DynamicImage::ImageRgb8(image)
}

/// Returns a PNG whose pixels depend on the seed everywhere.
pub(crate) fn numbered(seed: u8) -> Vec<u8> {
    let colour = |x: u32, y: u32| {
        let [x, y] = [x, y].map(|value| u8::try_from(value).unwrap());
        Rgb([x.wrapping_mul(seed), y.wrapping_add(seed), seed])
    };
    encode(&RgbImage::from_fn(96, 96, colour).into(), ImageFormat::Png)
}

/// Returns a red disc on a transparent background.
pub(crate) fn with_alpha(side: u32) -> DynamicImage {
    let centre = i64::from(side / 2);
    let inside = |x: u32, y: u32| {
        (i64::from(x) - centre).pow(2) + (i64::from(y) - centre).pow(2) < (centre - 8).pow(2)
    };
    RgbaImage::from_fn(side, side, |x, y| {
        Rgba(if inside(x, y) {
            [220, 30, 30, 255]
        } else {
            [0; 4]
        })
    })
    .into()
}

pub(crate) fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// Returns a JPEG with EXIF orientation 6 (rotated), and with a position in the description.
pub(crate) fn sideways_jpeg(image: &DynamicImage) -> Vec<u8> {
    let jpeg = encode(image, ImageFormat::Jpeg);
    let mut tiff = b"MM\0*\0\0\0\x08".to_vec();
    tiff.extend([0, 2]);
    tiff.extend([1, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0]);
    // An ASCII tag with private data, which must not appear in any output.
    let position = b"48.8584 N 2.2945 E\0";
    tiff.extend([
        1,
        0x0E,
        0,
        2,
        0,
        0,
        0,
        u8::try_from(position.len()).unwrap(),
        0,
        0,
        0,
        38,
    ]);
    tiff.extend([0; 4]);
    tiff.extend(position);
    let length = u16::try_from(tiff.len() + 8).unwrap();
    let mut bytes = jpeg[..2].to_vec();
    bytes.extend([0xFF, 0xE1]);
    bytes.extend(length.to_be_bytes());
    bytes.extend(b"Exif\0\0");
    bytes.extend(tiff);
    bytes.extend(&jpeg[2..]);
    bytes
}

pub(crate) fn decode(bytes: &[u8]) -> DynamicImage {
    image::load_from_memory_with_format(bytes, ImageFormat::WebP).unwrap()
}

/// Checks that a pixel has this colour, with a tolerance for lossy compression.
#[track_caller]
pub(crate) fn assert_colour(image: &DynamicImage, x: u32, y: u32, expected: Rgb<u8>) {
    let found = image.to_rgb8()[(x, y)];
    let near = found
        .0
        .iter()
        .zip(expected.0)
        .all(|(found, expected)| found.abs_diff(expected) < 24);
    assert!(near, "pixel {x}, {y} is {found:?}, expected {expected:?}");
}

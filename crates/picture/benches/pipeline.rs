//! Benchmarks of the whole pipeline, and of decoding, probing and encoding alone.
//!
//! `PICTURE_BENCH=FOLDER cargo bench -p veraicon-picture --bench pipeline` uses the pictures of a
//! folder. Without a folder it uses one generated picture of 3 megapixels per format.

use std::fmt;
use std::path::Path;
use std::sync::LazyLock;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use veraicon_picture::{OutputFormat, Policy, encode, probe, process};

const WIDTH: u32 = 2048;
const HEIGHT: u32 = 1536;

fn main() {
    divan::main();
}

/// Measures the whole pipeline: four WebPs of the default sizes.
#[divan::bench(args = names())]
fn pipeline(bencher: Bencher<'_, '_>, name: &Name) {
    shape(bencher, name, &Policy::default());
}

/// Measures decoding: the time to encode the single WebP of 16 pixels is negligible.
#[divan::bench(args = names())]
fn decode(bencher: Bencher<'_, '_>, name: &Name) {
    let policy = Policy {
        sizes: vec![16],
        ..Policy::default()
    };
    shape(bencher, name, &policy);
}

#[divan::bench(args = names())]
fn header(bencher: Bencher<'_, '_>, name: &Name) {
    let bytes = name.bytes();
    bencher.bench(|| probe(black_box(bytes)));
}

/// Measures encoding of a generated square as WebP at quality 80.
#[divan::bench(args = [512, 256, 128, 64])]
fn encoder(bencher: Bencher<'_, '_>, side: u32) {
    let rgba: Vec<u8> = generate_pixels(side, side)
        .as_chunks::<3>()
        .0
        .iter()
        .flat_map(|&[red, green, blue]| [red, green, blue, 255])
        .collect();
    bencher.bench(|| encode(black_box(&rgba), side, OutputFormat::WebP, 80));
}

fn shape(bencher: Bencher<'_, '_>, name: &Name, policy: &Policy) {
    let bytes = name.bytes();
    let policy = Policy {
        max_bytes: u64::MAX,
        ..policy.clone()
    };
    bencher
        .counter(BytesCount::new(bytes.len()))
        .bench(|| process(black_box(bytes), &policy, None));
}

/// An index into `PICTURES` that is displayed as the picture's name.
struct Name(usize);

static PICTURES: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let pictures = match std::env::var_os("PICTURE_BENCH") {
        Some(folder) => read(Path::new(&folder)).unwrap_or_default(),
        None => generated(),
    };
    let supported = |bytes: &[u8]| probe(bytes).is_ok();
    pictures
        .into_iter()
        .filter(|(_, bytes)| supported(bytes))
        .collect()
});

fn names() -> impl Iterator<Item = Name> {
    (0..PICTURES.len()).map(Name)
}

impl Name {
    fn bytes(&self) -> &'static [u8] {
        PICTURES.get(self.0).map_or(&[], |(_, bytes)| bytes)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(PICTURES.get(self.0).map_or("", |(name, _)| name))
    }
}

fn read(folder: &Path) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut pictures = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            pictures.push((name.into_owned(), std::fs::read(&path)?));
        }
    }
    pictures.sort();
    Ok(pictures)
}

/// Returns the same picture in each format that a development dependency can write.
fn generated() -> Vec<(String, Vec<u8>)> {
    let rgb = generate_pixels(WIDTH, HEIGHT);
    [
        ("jpeg", jpeg(&rgb, false)),
        ("progressive jpeg", jpeg(&rgb, true)),
        ("png", png(&rgb)),
        ("gif", gif(&rgb)),
        ("bmp", with_image_crate(&rgb, image::ImageFormat::Bmp)),
        ("tiff", with_image_crate(&rgb, image::ImageFormat::Tiff)),
        ("webp", webp()),
    ]
    .into_iter()
    .filter_map(|(name, bytes)| Some((name.to_owned(), bytes?)))
    .collect()
}

/// Generates pixels with gradients, edges and some noise.
fn generate_pixels(width: u32, height: u32) -> Vec<u8> {
    let mut noise = 1_u32;
    (0..height)
        .flat_map(|y| (0..width).map(move |x| (x, y)))
        .flat_map(|(x, y)| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let edge = if (x / 96 + y / 64) % 2 == 0 { 40 } else { 0 };
            [x * 160 / width, y * 160 / height, (x + y) * 80 / width]
                .map(|slope| u8::try_from(slope + edge + (noise >> 28)).unwrap_or(u8::MAX))
        })
        .collect()
}

fn jpeg(rgb: &[u8], progressive: bool) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 90);
    encoder.set_progressive(progressive);
    let (width, height) = (WIDTH.try_into().ok()?, HEIGHT.try_into().ok()?);
    encoder
        .encode(rgb, width, height, jpeg_encoder::ColorType::Rgb)
        .ok()?;
    Some(bytes)
}

fn png(rgb: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, WIDTH, HEIGHT);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header().ok()?.write_image_data(rgb).ok()?;
    Some(bytes)
}

fn gif(rgb: &[u8]) -> Option<Vec<u8>> {
    let (width, height) = (WIDTH.try_into().ok()?, HEIGHT.try_into().ok()?);
    let palette: Vec<u8> = (0..=255).flat_map(|grey| [grey; 3]).collect();
    let greens: Vec<u8> = rgb
        .as_chunks::<3>()
        .0
        .iter()
        .map(|pixel| pixel[1])
        .collect();
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, width, height, &palette).ok()?;
    encoder
        .write_frame(&gif::Frame::from_indexed_pixels(
            width, height, greens, None,
        ))
        .ok()?;
    drop(encoder);
    Some(bytes)
}

fn with_image_crate(rgb: &[u8], format: image::ImageFormat) -> Option<Vec<u8>> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::write_buffer_with_format(
        &mut bytes,
        rgb,
        WIDTH,
        HEIGHT,
        image::ExtendedColorType::Rgb8,
        format,
    )
    .ok()?;
    Some(bytes.into_inner())
}

/// Returns a square with about the same number of pixels, since this crate only writes squares.
fn webp() -> Option<Vec<u8>> {
    let side = 1774;
    let rgba: Vec<u8> = generate_pixels(side, side)
        .as_chunks::<3>()
        .0
        .iter()
        .flat_map(|&[red, green, blue]| [red, green, blue, 255])
        .collect();
    encode(&rgba, side, OutputFormat::WebP, 90).ok()
}

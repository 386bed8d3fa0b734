//! Writes small pictures of every format and kind as fuzzer seeds, one folder per target:
//! `cargo run -p veraicon-picture --example seeds -- fuzz/seeds`
#![expect(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "the pictures are generated and small"
)]

#[path = "../tests/jpeg/libjpeg.rs"]
#[expect(dead_code, reason = "shared with the tests")]
mod libjpeg;
#[path = "../tests/it/pictures.rs"]
#[expect(dead_code, reason = "shared with the tests")]
mod pictures;
#[path = "../tests/jpeg/recipes.rs"]
#[expect(dead_code, reason = "shared with the tests")]
mod recipes;

use std::path::Path;
use std::{env, fs};

use image::codecs::bmp::BmpEncoder;
use image::{ExtendedColorType, ImageEncoder};
use pictures::{Pixels, exif};
use tiff::encoder::colortype::RGB8;
use tiff::encoder::compression::DeflateLevel;
use tiff::encoder::{Compression, Predictor, TiffEncoder};
use veraicon_picture::{OutputFormat, encode};

/// Sides that are not multiples of any codec's block size.
const WIDTH: u32 = 21;
const HEIGHT: u32 = 18;

fn main() {
    let folder = env::args().nth(1).unwrap_or_else(|| "fuzz/seeds".into());
    for (format, seeds) in [
        ("jpeg", jpegs()),
        ("png", pngs()),
        ("gif", gifs()),
        ("webp", webps()),
        ("bmp_tiff", bmps_and_tiffs()),
        ("avif", avifs()),
    ] {
        let folder = Path::new(&folder).join(format);
        fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in seeds {
            fs::write(folder.join(name), bytes).unwrap();
        }
    }
}

type Seeds = Vec<(String, Vec<u8>)>;

fn seed(name: &str, bytes: Vec<u8>) -> (String, Vec<u8>) {
    (name.to_owned(), bytes)
}

fn jpegs() -> Seeds {
    let pixels = Pixels::new(WIDTH, HEIGHT);
    let block = [b"Exif\0\0".as_slice(), &exif(6, "")].concat();
    let profile = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    let files = recipes::small().into_iter().enumerate();
    let mut seeds: Seeds = files
        .map(|(number, recipe)| (format!("kind-{number}"), libjpeg::encode(&recipe)))
        .collect();
    seeds.extend([
        seed(
            "turned",
            pixels.jpeg_with(|encoder| encoder.add_app_segment(1, block).unwrap()),
        ),
        seed(
            "profile",
            pixels.jpeg_with(|encoder| encoder.add_icc_profile(&profile).unwrap()),
        ),
    ]);
    seeds
}

fn png(colour: png::ColorType, depth: png::BitDepth, frames: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, WIDTH, HEIGHT);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    if colour == png::ColorType::Indexed {
        encoder.set_palette(pictures::CORNERS.concat());
        encoder.set_trns(vec![0, 128]);
    }
    if frames > 0 {
        encoder.set_animated(frames, 0).unwrap();
    }
    let row = (WIDTH as usize * colour.samples() * depth as usize).div_ceil(8);
    let data: Vec<u8> = (0..row * HEIGHT as usize)
        .map(|index| {
            if colour == png::ColorType::Indexed {
                0x1B
            } else {
                (index * 7) as u8
            }
        })
        .collect();
    let mut writer = encoder.write_header().unwrap();
    for _ in 0..frames.max(1) {
        writer.write_image_data(&data).unwrap();
    }
    writer.finish().unwrap();
    bytes
}

fn pngs() -> Seeds {
    use png::{BitDepth, ColorType};
    let pixels = Pixels::new(WIDTH, HEIGHT);
    let profile = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    vec![
        seed("grey-1", png(ColorType::Grayscale, BitDepth::One, 0)),
        seed("grey-16", png(ColorType::Grayscale, BitDepth::Sixteen, 0)),
        seed("palette", png(ColorType::Indexed, BitDepth::Two, 0)),
        seed("colours", png(ColorType::Rgb, BitDepth::Eight, 0)),
        seed("alpha-16", png(ColorType::Rgba, BitDepth::Sixteen, 0)),
        seed(
            "animated",
            png(ColorType::GrayscaleAlpha, BitDepth::Eight, 3),
        ),
        seed("interlaced", pictures::interlaced(Pixels::new(1, 1).png())),
        seed(
            "extras",
            pixels.png_with(|info| {
                info.exif_metadata = Some(exif(5, "").into());
                info.icc_profile = Some(profile.into());
                info.source_gamma = Some(png::ScaledFloat::new(0.5));
            }),
        ),
    ]
}

fn gifs() -> Seeds {
    let pixels = Pixels::new(WIDTH, HEIGHT);
    vec![
        seed("still", pixels.gif(1)),
        seed("animated", pixels.gif(3)),
        seed("placed", pictures::placed_gif()),
    ]
}

fn webps() -> Seeds {
    let pixels = Pixels::new(WIDTH, HEIGHT);
    let rgba: Vec<u8> = (0..WIDTH * WIDTH)
        .flat_map(|at| [9, at as u8, 99, (at * 9) as u8])
        .collect();
    let rgb: Vec<u8> = rgba
        .as_chunks::<4>()
        .0
        .iter()
        .flat_map(|&[r, g, b, _]| [r, g, b, 255])
        .collect();
    let lossy = |pixels: &[u8]| encode(pixels, WIDTH, OutputFormat::WebP, 60).unwrap();
    vec![
        seed("lossless", pixels.webp()),
        seed("lossy", lossy(&rgb)),
        seed("lossy-alpha", lossy(&rgba)),
        seed("animated", pictures::animated_webp(3)),
        seed(
            "turned",
            pixels.webp_with(|encoder| encoder.set_exif_metadata(exif(7, ""))),
        ),
    ]
}

fn bmps_and_tiffs() -> Seeds {
    let pixels = Pixels::new(WIDTH, HEIGHT);
    let mut palette = std::io::Cursor::new(Vec::new());
    BmpEncoder::new(&mut palette)
        .write_image(
            &pixels.rgb[..(WIDTH * HEIGHT) as usize],
            WIDTH,
            HEIGHT,
            ExtendedColorType::L8,
        )
        .unwrap();
    let mut seeds = vec![
        seed("colours.bmp", pixels.bmp()),
        seed("palette.bmp", palette.into_inner()),
        seed("colours.tiff", pixels.tiff()),
    ];
    for (name, compression) in [
        ("lzw.tiff", Compression::Lzw),
        ("deflate.tiff", Compression::Deflate(DeflateLevel::Best)),
        ("packed.tiff", Compression::Packbits),
    ] {
        let mut bytes = std::io::Cursor::new(Vec::new());
        TiffEncoder::new(&mut bytes)
            .unwrap()
            .with_compression(compression)
            .with_predictor(Predictor::Horizontal)
            .write_image::<RGB8>(WIDTH, HEIGHT, &pixels.rgb)
            .unwrap();
        seeds.push(seed(name, bytes.into_inner()));
    }
    seeds
}

/// Returns the AVIF files of the tests, since no development dependency encodes AV1.
fn avifs() -> Seeds {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/avif");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    files
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "avif")
        })
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read(path).unwrap())
        })
        .collect()
}

//! Comparison of libwebp's encoder settings at equal quality, over all sizes of an avatar. Prints
//! the bytes relative to method 4 at equal SSIMULACRA2 scores, and the time.
//!
//! `cargo run --release -p veraicon-picture --example effort -- SQUARE.png... [-- SETTING...]`
//!
//! Each picture is an opaque square without lossy compression, such as the references of
//! `benches/quality.py --keep`. An example of a setting is
//! `method=2,segments=1,filter=60/method=4`. The part after a slash applies to the next smaller
//! size and all below.
#![expect(unsafe_code, reason = "libwebp is a C library")]

use std::env;
use std::io::Cursor;
use std::time::Instant;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{PixelType, ResizeOptions, Resizer};
use libwebp_sys as ffi;
use ssimulacra2::{ColorPrimaries, Rgb, TransferCharacteristic, compute_frame_ssimulacra2};

/// Sides of an avatar in pixels.
const SIDES: [u32; 4] = [512, 256, 128, 64];
/// Number of timed rounds. The fastest one counts.
const ROUNDS: u32 = 7;
/// Qualities at which method 4 is the baseline.
const BASE_QUALITIES: [f32; 3] = [75.0, 80.0, 85.0];
/// Quality for the timing, and start of the search for a score.
const QUALITY: f32 = 80.0;
/// Distance of the two qualities between which bytes are interpolated.
const STEP: f32 = 2.0;

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let mut parts = arguments.splitn(2, |argument| argument == "--");
    let paths = parts.next().unwrap_or_default();
    let mut settings: Vec<&str> = parts
        .next()
        .unwrap_or_default()
        .iter()
        .map(String::as_str)
        .collect();
    if settings.is_empty() {
        settings = vec![
            "method=0",
            "method=2",
            "method=3",
            "method=4",
            "method=2,filter=80/method=5",
        ];
    }
    let squares = paths
        .iter()
        .map(|path| sizes(read(path)?))
        .collect::<Result<Vec<_>, Error>>()?;
    println!("{:40} {:>9} {:>9}   {:>8}", "", "bytes", "ms", "each");
    let base = Setting::parse("method=4")?;
    for name in settings {
        let by_side = name
            .split('/')
            .map(Setting::parse)
            .collect::<Result<Vec<_>, _>>()?;
        let mut ratios = Vec::new();
        let mut total = 0.0;
        for sizes in &squares {
            let (mut bytes, mut base_bytes) = (0.0, 0.0);
            let settings = by_side.iter().chain(by_side.last().into_iter().cycle());
            for (square, &setting) in sizes.iter().zip(settings) {
                for quality in BASE_QUALITIES {
                    let target = square.coded(base, quality)?;
                    base_bytes += target.bytes;
                    bytes += square.bytes_at(setting, target.score)?;
                }
                total += square.milliseconds(setting)?;
            }
            ratios.push(bytes / base_bytes);
        }
        let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
        let each: Vec<_> = ratios
            .iter()
            .map(|ratio| format!("{:+.1}", (ratio - 1.0) * 100.0))
            .collect();
        println!(
            "{name:40} {:+8.1}% {:9.2}   {}",
            (mean - 1.0) * 100.0,
            total / squares.len() as f64,
            each.join(" ")
        );
    }
    Ok(())
}

/// A configuration of libwebp's encoder. Options that are not given have libwebp's defaults.
#[derive(Clone, Copy)]
struct Setting(ffi::WebPConfig);

impl Setting {
    fn parse(text: &str) -> Result<Self, Error> {
        let mut config = ffi::WebPConfig::new().map_err(|()| "libwebp version mismatch")?;
        for part in text.split(',') {
            let (name, value) = part.split_once('=').ok_or("expected NAME=NUMBER")?;
            let value = value.parse()?;
            match name {
                "method" => config.method = value,
                "segments" => config.segments = value,
                "sns" => config.sns_strength = value,
                "filter" => config.filter_strength = value,
                "sharpness" => config.filter_sharpness = value,
                "type" => config.filter_type = value,
                "autofilter" => config.autofilter = value,
                "pass" => config.pass = value,
                "preprocessing" => config.preprocessing = value,
                "sharp" => config.use_sharp_yuv = value,
                "partition_limit" => config.partition_limit = value,
                _ => return Err(format!("unknown setting {name}").into()),
            }
        }
        Ok(Self(config))
    }
}

/// A square picture in RGB.
struct Square {
    side: u32,
    pixels: Vec<u8>,
}

/// Score and size of an encoded square.
struct Coded {
    score: f64,
    bytes: f64,
}

impl Square {
    /// Interpolates the bytes at a score between the two nearest qualities.
    fn bytes_at(&self, setting: Setting, score: f64) -> Result<f64, Error> {
        let mut quality = QUALITY;
        let mut below = self.coded(setting, quality)?;
        while below.score > score && quality > STEP {
            quality -= STEP;
            below = self.coded(setting, quality)?;
        }
        loop {
            quality += STEP;
            let above = self.coded(setting, quality)?;
            if above.score > score || quality + STEP > 100.0 {
                let share = (score - below.score) / (above.score - below.score);
                return Ok(below.bytes + share * (above.bytes - below.bytes));
            }
            below = above;
        }
    }

    fn coded(&self, setting: Setting, quality: f32) -> Result<Coded, Error> {
        let bytes = encode(self, setting, quality)?;
        let mut decoder = image_webp::WebPDecoder::new(Cursor::new(&bytes))?;
        let mut pixels = vec![0; self.pixels.len()];
        decoder.read_image(&mut pixels)?;
        Ok(Coded {
            score: compute_frame_ssimulacra2(
                linear(&self.pixels, self.side)?,
                linear(&pixels, self.side)?,
            )?,
            bytes: bytes.len() as f64,
        })
    }

    fn milliseconds(&self, setting: Setting) -> Result<f64, Error> {
        let mut fastest = f64::MAX;
        for _ in 0..ROUNDS {
            let start = Instant::now();
            encode(self, setting, QUALITY)?;
            fastest = fastest.min(start.elapsed().as_secs_f64() * 1000.0);
        }
        Ok(fastest)
    }
}

fn read(path: &str) -> Result<Square, Error> {
    let mut reader =
        png::Decoder::new(std::io::BufReader::new(std::fs::File::open(path)?)).read_info()?;
    let mut pixels = vec![0; reader.output_buffer_size().ok_or("too large")?];
    let info = reader.next_frame(&mut pixels)?;
    if info.color_type != png::ColorType::Rgb || info.width != info.height {
        return Err(format!("{path} is not an opaque square").into());
    }
    Ok(Square {
        side: info.width,
        pixels,
    })
}

/// Resizes a square to each of `SIDES` with the Lanczos filter.
fn sizes(square: Square) -> Result<Vec<Square>, Error> {
    let source = ImageRef::new(square.side, square.side, &square.pixels, PixelType::U8x3)?;
    let sizes = SIDES.map(|side| {
        let mut target = Image::new(side, side, PixelType::U8x3);
        Resizer::new().resize(&source, &mut target, &ResizeOptions::new())?;
        Ok(Square {
            side,
            pixels: target.into_vec(),
        })
    });
    sizes.into_iter().collect()
}

fn linear(pixels: &[u8], side: u32) -> Result<Rgb, Error> {
    let samples = pixels
        .as_chunks::<3>()
        .0
        .iter()
        .map(|rgb| rgb.map(|sample| f32::from(sample) / 255.0));
    let side = side as usize;
    Ok(Rgb::new(
        samples.collect(),
        side,
        side,
        TransferCharacteristic::SRGB,
        ColorPrimaries::BT709,
    )?)
}

fn encode(square: &Square, setting: Setting, quality: f32) -> Result<Vec<u8>, Error> {
    let side = square.side.cast_signed();
    let mut config = setting.0;
    config.quality = quality;
    let mut picture = ffi::WebPPicture::new().map_err(|()| "libwebp version mismatch")?;
    (picture.width, picture.height) = (side, side);
    picture.use_argb = config.use_sharp_yuv;
    let mut writer = std::mem::MaybeUninit::uninit();
    // SAFETY: the configuration and the picture are initialised, and `pixels` holds `side` rows.
    // The writer is initialised before use and cleared after its bytes are copied.
    unsafe {
        ffi::WebPPictureImportRGB(&raw mut picture, square.pixels.as_ptr(), side * 3);
        ffi::WebPMemoryWriterInit(writer.as_mut_ptr());
        picture.writer = Some(ffi::WebPMemoryWrite);
        picture.custom_ptr = writer.as_mut_ptr().cast();
        let done = ffi::WebPEncode(&raw const config, &raw mut picture);
        let mut writer = writer.assume_init();
        let bytes = if done == 0 {
            Err("libwebp rejects the setting".into())
        } else {
            Ok(std::slice::from_raw_parts(writer.mem, writer.size).to_vec())
        };
        ffi::WebPMemoryWriterClear(&raw mut writer);
        ffi::WebPPictureFree(&raw mut picture);
        bytes
    }
}

//! What libwebp's methods cost at equal quality: for each, the bytes and time of the quality
//! at which its SSIMULACRA2 is that of method 4 at quality 80.
//!
//! `cargo run --release -p veraicon-picture --example effort -- SQUARE.webp...`, where each file
//! is a square that `shape` made at quality 100.
#![expect(unsafe_code, reason = "libwebp is a C library")]

use std::io::Cursor;
use std::time::Instant;
use std::{env, fs};

use libwebp_sys as ffi;
use ssimulacra2::{ColorPrimaries, Rgb, TransferCharacteristic, compute_frame_ssimulacra2};

/// Rounds of which the fastest counts.
const ROUNDS: u32 = 7;

fn main() {
    for path in env::args().skip(1) {
        let Some((side, pixels)) = fs::read(&path).ok().and_then(|bytes| decode(&bytes)) else {
            eprintln!("{path} is no WebP without alpha");
            continue;
        };
        let (wanted, base, _) = score(&pixels, side, 4, 80.0);
        println!("{path}: method 4 at quality 80: {base} bytes, SSIMULACRA2 {wanted:.2}");
        for method in 0..=6 {
            let (mut low, mut high) = (70.0, 95.0);
            for _ in 0..9 {
                let middle = f32::midpoint(low, high);
                if score(&pixels, side, method, middle).0 < wanted {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            let (_, bytes, milliseconds) = score(&pixels, side, method, high);
            let (_, at_80, _) = score(&pixels, side, method, 80.0);
            println!(
                "  method {method}: quality {high:.1}, bytes {:+.1} %, {milliseconds:.1} ms ({at_80} bytes at 80)",
                (bytes as f64 / base as f64 - 1.0) * 100.0
            );
        }
    }
}

fn decode(bytes: &[u8]) -> Option<(u32, Vec<u8>)> {
    let mut decoder = image_webp::WebPDecoder::new(Cursor::new(bytes)).ok()?;
    let mut pixels = vec![0; decoder.output_buffer_size()?];
    decoder.read_image(&mut pixels).ok()?;
    (!decoder.has_alpha()).then_some((decoder.dimensions().0, pixels))
}

/// SSIMULACRA2, bytes and milliseconds.
fn score(pixels: &[u8], side: u32, method: i32, quality: f32) -> (f64, usize, f64) {
    let mut fastest = f64::MAX;
    let mut encoded = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        encoded = encode(pixels, side, method, quality);
        fastest = fastest.min(start.elapsed().as_secs_f64() * 1000.0);
    }
    let decoded = decode(&encoded)
        .map(|(_, pixels)| pixels)
        .unwrap_or_default();
    let score =
        compute_frame_ssimulacra2(linear(pixels, side), linear(&decoded, side)).unwrap_or(0.0);
    (score, encoded.len(), fastest)
}

fn linear(pixels: &[u8], side: u32) -> Rgb {
    let samples = pixels
        .as_chunks::<3>()
        .0
        .iter()
        .map(|rgb| rgb.map(|sample| f32::from(sample) / 255.0));
    let side = side as usize;
    Rgb::new(
        samples.collect(),
        side,
        side,
        TransferCharacteristic::SRGB,
        ColorPrimaries::BT709,
    )
    .unwrap_or_else(|_| std::process::exit(1))
}

fn encode(pixels: &[u8], side: u32, method: i32, quality: f32) -> Vec<u8> {
    let side = side.cast_signed();
    let (Ok(mut config), Ok(mut picture)) = (ffi::WebPConfig::new(), ffi::WebPPicture::new())
    else {
        return Vec::new();
    };
    config.method = method;
    config.quality = quality;
    (picture.width, picture.height) = (side, side);
    let mut writer = std::mem::MaybeUninit::uninit();
    // SAFETY: configuration and picture are initialised, `pixels` holds `side` rows, and the
    // writer is set up before it is used and cleared after its bytes are copied.
    unsafe {
        ffi::WebPPictureImportRGB(&raw mut picture, pixels.as_ptr(), side * 3);
        ffi::WebPMemoryWriterInit(writer.as_mut_ptr());
        picture.writer = Some(ffi::WebPMemoryWrite);
        picture.custom_ptr = writer.as_mut_ptr().cast();
        ffi::WebPEncode(&raw const config, &raw mut picture);
        let mut writer = writer.assume_init();
        let bytes = std::slice::from_raw_parts(writer.mem, writer.size).to_vec();
        ffi::WebPMemoryWriterClear(&raw mut writer);
        ffi::WebPPictureFree(&raw mut picture);
        bytes
    }
}

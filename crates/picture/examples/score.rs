//! Prints the SSIMULACRA2 score of encoded squares compared with a reference: `score REFERENCE.png
//! CODED...`. Each file is a WebP or PNG. One line per file; 100 means identical.

use std::env;
use std::fs::File;
use std::io::BufReader;
use std::process::ExitCode;

use ssimulacra2::{ColorPrimaries, Rgb, TransferCharacteristic, compute_frame_ssimulacra2};

type Error = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let paths: Vec<String> = env::args().skip(1).collect();
    match scores(&paths) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn scores(paths: &[String]) -> Result<(), Error> {
    let (reference, coded) = paths
        .split_first()
        .ok_or("usage: score REFERENCE.png CODED...")?;
    let reference = read(reference)?;
    for path in coded {
        println!(
            "{:.3}",
            compute_frame_ssimulacra2(reference.clone(), read(path)?)?
        );
    }
    Ok(())
}

/// Reads an opaque sRGB picture.
fn read(path: &str) -> Result<Rgb, Error> {
    let file = BufReader::new(File::open(path)?);
    let (width, height, pixels) = if path.ends_with(".png") {
        let mut reader = png::Decoder::new(file).read_info()?;
        let mut pixels = vec![0; reader.output_buffer_size().ok_or("too large")?];
        let info = reader.next_frame(&mut pixels)?;
        (info.width, info.height, pixels)
    } else {
        let mut decoder = image_webp::WebPDecoder::new(file)?;
        let mut pixels = vec![0; decoder.output_buffer_size().ok_or("too large")?];
        decoder.read_image(&mut pixels)?;
        let (width, height) = decoder.dimensions();
        (width, height, pixels)
    };
    let samples: Vec<_> = pixels
        .as_chunks::<3>()
        .0
        .iter()
        .map(|rgb| rgb.map(|sample| f32::from(sample) / 255.0))
        .collect();
    Ok(Rgb::new(
        samples,
        width as usize,
        height as usize,
        TransferCharacteristic::SRGB,
        ColorPrimaries::BT709,
    )?)
}

//! Converts pictures from the command line, and writes the squares next to them:
//! `cargo run --release -p veraicon-picture --example shape -- [--quality 80] photo.jpg`

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use veraicon_picture::{Policy, process};

fn main() -> ExitCode {
    let mut paths: Vec<String> = env::args().skip(1).collect();
    let mut policy = Policy::default();
    if let [option, quality, ..] = paths.as_slice()
        && option == "--quality"
        && let Ok(quality) = quality.parse()
    {
        policy.quality = quality;
        paths.drain(..2);
    }
    if paths.is_empty() {
        eprintln!("usage: shape [--quality NUMBER] PICTURE...");
        return ExitCode::FAILURE;
    }
    let failed = paths
        .iter()
        .filter(|path| !shape(Path::new(path), &policy))
        .count();
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn shape(path: &Path, policy: &Policy) -> bool {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            return false;
        }
    };
    let pictures = match process(&bytes, policy, None) {
        Ok(pictures) => pictures,
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            return false;
        }
    };
    let source = pictures.source;
    println!(
        "{}: {}, {} x {}",
        path.display(),
        source.format.name(),
        source.width,
        source.height
    );
    for picture in &pictures.outputs {
        let target = path.with_extension(format!("{}.{}", picture.size, policy.format.extension()));
        if let Err(error) = fs::write(&target, &picture.bytes) {
            eprintln!("{}: {error}", target.display());
            return false;
        }
        println!("  {} ({} bytes)", target.display(), picture.bytes.len());
    }
    true
}

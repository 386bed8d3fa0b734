//! Comparison of the results for all files of a folder with those of reference decoders.
//!
//! `PICTURE_CORPUS=… cargo test --release -p veraicon-picture --test corpus -- --nocapture`
//!
//! `PICTURE_CORPUS` names the folder. `scripts/corpus FOLDER` produces the reference results with
//! Pillow. They are JSON lines in `labels.jsonl` of the folder, or in the file named by
//! `PICTURE_LABELS`, one line per file. A line has the `path`, and the results of `pillow` and
//! `vips` as `{"ok": true, "w": …, "h": …}` or `{"ok": false}`. The optional `square` is the
//! upright centre square in 8 × 8 RGBA pixels, in Base64.
//!
//! Only a panic fails the test. It prints and counts differences for manual review, since the
//! references differ from each other too.
#![expect(clippy::unwrap_used, reason = "a broken corpus ends the test")]

#[path = "it/pictures.rs"]
#[expect(
    dead_code,
    clippy::cast_possible_truncation,
    reason = "shared with the other tests"
)]
mod pictures;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs, panic};

use pictures::Output;
use serde_json::Value;
use veraicon_picture::{Error, Pictures, Policy, process};

#[test]
fn no_file_of_the_corpus_panics() {
    let Some(folder) = env::var_os("PICTURE_CORPUS").map(PathBuf::from) else {
        println!("skipped: PICTURE_CORPUS is not set");
        return;
    };
    let labels = labels(&folder);
    let mut files = Vec::new();
    collect(&folder, &mut files);
    files.sort();
    let (mut accepted, mut refused, mut differing) = (0, 0, 0);
    let mut slowest = (Duration::ZERO, String::new());
    for path in &files {
        let name = path
            .strip_prefix(&folder)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let bytes = fs::read(path).unwrap();
        let start = Instant::now();
        let result = panic::catch_unwind(|| process(&bytes, &Policy::default(), None));
        let result = result.unwrap_or_else(|_| panic!("panic on {name}"));
        slowest = slowest.max((start.elapsed(), name.clone()));
        match &result {
            Ok(_) => accepted += 1,
            Err(_) => refused += 1,
        }
        let difference = labels
            .get(&name)
            .and_then(|label| difference(&result, label).or_else(|| colours(&result, label)));
        if let Some(difference) = difference {
            differing += 1;
            println!("{name}: {difference}");
        }
    }
    println!(
        "{} files: {accepted} accepted, {refused} refused, {differing} differing",
        files.len()
    );
    println!("slowest: {} in {:?}", slowest.1, slowest.0);
}

/// Describes the difference from the references. It starts with `?` if the references disagree.
fn difference(result: &Result<Pictures, Error>, label: &Value) -> Option<String> {
    let references: Vec<&Value> = ["pillow", "vips"]
        .iter()
        .filter_map(|name| label.get(*name))
        .collect();
    let accepting = references
        .iter()
        .filter(|reference| reference["ok"] == true)
        .count();
    let sizes: Vec<(u64, u64)> = references
        .iter()
        .filter_map(|reference| Some((reference["w"].as_u64()?, reference["h"].as_u64()?)))
        .collect();
    match result {
        Ok(pictures) => {
            let size = (
                u64::from(pictures.source.width),
                u64::from(pictures.source.height),
            );
            if accepting == 0 {
                Some("accepted, but refused by all references".to_owned())
            } else if !sizes.contains(&size) {
                Some(format!("size {size:?}, references {sizes:?}"))
            } else if accepting < references.len() {
                Some(format!("? accepted, references differ: {label}"))
            } else {
                None
            }
        }
        Err(error) if accepting == references.len() => {
            Some(format!("refused, but accepted by all references: {error}"))
        }
        Err(error) if accepting > 0 => {
            Some(format!("? refused ({error}), references differ: {label}"))
        }
        Err(_) => None,
    }
}

/// Side of the reference squares in pixels.
const SIDE: usize = 8;
/// Mean difference of samples above which the colours count as different.
const COLOUR_TOLERANCE: u64 = 8;

/// Describes the difference of the colours from those of the reference, if it has them.
fn colours(result: &Result<Pictures, Error>, label: &Value) -> Option<String> {
    let square = decode_base64(label["pillow"]["square"].as_str()?);
    let output = Output::decode(&result.as_ref().ok()?.outputs.first()?.bytes);
    let side = output.side as usize;
    if !side.is_multiple_of(SIDE) {
        return None;
    }
    let (mut sum, step) = (0, side / SIDE);
    for (index, reference) in square.as_chunks::<4>().0.iter().enumerate() {
        let mut means = [0_u64; 4];
        for y in 0..step {
            for x in 0..step {
                let (x, y) = (index % SIDE * step + x, index / SIDE * step + y);
                let start = (y * side + x) * output.channels;
                let pixel = &output.pixels[start..start + output.channels];
                let alpha = u64::from(pixel.get(3).copied().unwrap_or(255));
                for (mean, &sample) in means.iter_mut().zip(&pixel[..3]) {
                    *mean += u64::from(sample) * alpha;
                }
                means[3] += alpha * 255;
            }
        }
        let alpha = u64::from(reference[3]);
        for (channel, (mean, &sample)) in means.into_iter().zip(reference).enumerate() {
            let expected = u64::from(sample) * if channel == 3 { 255 } else { alpha };
            sum += (mean / (step * step) as u64).abs_diff(expected) / 255;
        }
    }
    let mean = sum / (SIDE * SIDE * 4) as u64;
    (mean > COLOUR_TOLERANCE).then(|| format!("colours differ by {mean} of 255"))
}

fn decode_base64(text: &str) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let values: Vec<usize> = text
        .bytes()
        .filter_map(|letter| LETTERS.iter().position(|&known| known == letter))
        .collect();
    let bytes = values.chunks(4).flat_map(|group| {
        let bits = group.iter().fold(0, |bits, value| bits << 6 | value) << (6 * (4 - group.len()));
        [bits >> 16, bits >> 8, bits]
            .map(|bits| u8::try_from(bits & 255).unwrap())
            .into_iter()
            .take(group.len() - 1)
    });
    bytes.collect()
}

fn labels(folder: &Path) -> BTreeMap<String, Value> {
    let file =
        env::var_os("PICTURE_LABELS").map_or_else(|| folder.join("labels.jsonl"), PathBuf::from);
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|label| (label["path"].as_str().unwrap().to_owned(), label))
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if !path
            .extension()
            .is_some_and(|extension| extension == "jsonl" || extension == "md")
        {
            files.push(path);
        }
    }
}

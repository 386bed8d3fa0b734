//! A folder of files named by `PICTURE_CORPUS`, judged and compared with the verdicts in its
//! `labels.jsonl`, if it has one: a row a file with `path` and, a reference decoder each,
//! `pillow` and `vips` as `{"ok": true, "w": …, "h": …}` or `{"ok": false}`.
//!
//! `PICTURE_CORPUS=… cargo test --release -p veraicon-picture --test corpus -- --nocapture`
//!
//! A panic fails it. Differences are counted and printed, for people to judge: references differ too.
#![expect(clippy::unwrap_used, reason = "a broken corpus ends the test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs, panic};

use serde_json::Value;
use veraicon_picture::{Error, Pictures, Policy, process};

#[test]
fn every_file_has_a_verdict() {
    let Some(folder) = env::var_os("PICTURE_CORPUS").map(PathBuf::from) else {
        println!("nothing judged: PICTURE_CORPUS names no folder");
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
        let result = result.unwrap_or_else(|_| panic!("{name} panics"));
        slowest = slowest.max((start.elapsed(), name.clone()));
        match &result {
            Ok(_) => accepted += 1,
            Err(_) => refused += 1,
        }
        if let Some(difference) = labels
            .get(&name)
            .and_then(|label| difference(&result, label))
        {
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

/// How a verdict differs from those of the references where they agree; with `?` where not.
fn difference(result: &Result<Pictures, Error>, label: &Value) -> Option<String> {
    let references: Vec<&Value> = ["pillow", "vips"]
        .iter()
        .filter_map(|name| label.get(*name))
        .collect();
    let whole = references
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
            if whole == 0 {
                Some("accepted, no reference does".to_owned())
            } else if !sizes.contains(&size) {
                Some(format!("{size:?}, references {sizes:?}"))
            } else if whole < references.len() {
                Some(format!("? accepted, references differ: {label}"))
            } else {
                None
            }
        }
        Err(error) if whole == references.len() => {
            Some(format!("refused, no reference does: {error}"))
        }
        Err(error) if whole > 0 => Some(format!("? refused ({error}), references differ: {label}")),
        Err(_) => None,
    }
}

fn labels(folder: &Path) -> BTreeMap<String, Value> {
    let text = fs::read_to_string(folder.join("labels.jsonl")).unwrap_or_default();
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

//! Processes a file TIMES times, for external measurement: `measure FILE TIMES`. Prints the
//! measured and the stated peak memory as JSON.

use std::{env, fs};

use veraicon_picture::{Policy, probe, process};

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let [_, path, times] = arguments.as_slice() else {
        eprintln!("usage: measure FILE TIMES");
        return;
    };
    let (Ok(bytes), Ok(times)) = (fs::read(path), times.parse::<u32>()) else {
        eprintln!("cannot read the file {path}, or {times} is no number");
        return;
    };
    let policy = Policy {
        max_bytes: u64::MAX,
        ..Policy::default()
    };
    let stated = probe(&bytes).map(|header| header.peak_memory(&policy, None));
    let before = peak_kib();
    for _ in 0..times {
        match process(&bytes, &policy, None) {
            Ok(pictures) => {
                let bytes: usize = pictures
                    .outputs
                    .iter()
                    .map(|output| output.bytes.len())
                    .sum();
                std::hint::black_box(bytes);
            }
            Err(error) => {
                eprintln!("{path}: {error}");
                return;
            }
        }
    }
    let stated = stated.map_or(0, |bytes| bytes / 1024);
    println!(
        "{{\"peak_kib\": {}, \"stated_kib\": {stated}}}",
        peak_kib().saturating_sub(before)
    );
}

/// Returns the peak memory of the process in KiB, or 0 if the system does not report it.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

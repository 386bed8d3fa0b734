//! Benchmark of the JPEG decoder: CPU time and stated memory for each file of a folder, decoded at
//! the scale and in the region for a square of 512 pixels.
//!
//! `JPEG_BENCH=folder cargo bench -p veraicon-picture --bench jpeg`. Without a folder it does
//! nothing. It needs Linux, since it reads the thread's CPU time from `/proc`.

use std::path::Path;

use veraicon_picture::jpeg::{Decoder, Limits, Region, Scale, read_header};

/// Minimum side of the decoded square: 512 pixels with a margin of 1.4 for the resize filter.
const MIN_SIDE: u32 = 717;
/// Rounds that are measured together, since the system may count CPU time in ticks of 4 ms.
const ROUNDS: u32 = 25;

fn main() -> std::io::Result<()> {
    let Some(folder) = std::env::var_os("JPEG_BENCH") else {
        return Ok(());
    };
    let mut paths: Vec<_> = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    paths.sort();
    println!("{:>10} {:>10} {:>8}  file", "fast ms", "portable", "MiB");
    for path in paths {
        measure(&path, &std::fs::read(&path)?)?;
    }
    Ok(())
}

fn measure(path: &Path, file: &[u8]) -> std::io::Result<()> {
    let Ok(header) = read_header(file) else {
        return Ok(());
    };
    let side = header.width.min(header.height);
    let scale = Scale::at_least(side, MIN_SIDE);
    let (x, y) = ((header.width - side) / 2, (header.height - side) / 2);
    let region = Some(Region {
        x,
        y,
        width: side,
        height: side,
    });
    let mut means = [0.0; 2];
    for (decoder, mean) in [Decoder::default(), Decoder::portable()]
        .iter_mut()
        .zip(&mut means)
    {
        let before = cpu_milliseconds()?;
        for _ in 0..ROUNDS {
            match decoder.decode(file, scale, region, &Limits::default()) {
                Ok(planes) => decoder.recycle(planes),
                Err(error) => {
                    println!("{error}: {}", path.display());
                    return Ok(());
                }
            }
        }
        *mean = (cpu_milliseconds()? - before) / f64::from(ROUNDS);
    }
    let memory = header.peak_memory(scale, region) as f64 / f64::from(1 << 20);
    println!(
        "{:10.1} {:10.1} {memory:8.1}  {}",
        means[0],
        means[1],
        path.display()
    );
    Ok(())
}

/// Returns the CPU time of this thread, from the first field of its schedstat (nanoseconds).
fn cpu_milliseconds() -> std::io::Result<f64> {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = statistics
        .split(' ')
        .next()
        .and_then(|number| number.parse::<f64>().ok());
    Ok(nanoseconds.unwrap_or(f64::NAN) / 1e6)
}

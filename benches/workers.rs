//! Cost of worker processes: shapes the same pictures in this process and in workers, alternately.
//!
//! `cargo bench --bench workers -- [ROUNDS] FILE...` prints the CPU time per picture and the
//! pictures per second for each file, in this process and in workers. Both runs use all cores. The
//! figures are medians over the rounds. They exclude the start of the workers, since a worker
//! processes a hundred pictures.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use veraicon::{
    app,
    config::{Config, Overrides},
    metrics::Metrics,
    workers::{Program, Workers, process::enter},
};
use veraicon_picture::Policy;

/// Minimum duration of a run.
const RUN: Duration = Duration::from_secs(2);

/// Result of a run: CPU time per picture, and pictures per second.
#[derive(Clone, Copy)]
struct Figures {
    milliseconds: f64,
    rate: f64,
}

fn main() -> ExitCode {
    // The worker processes run this same program.
    if let Some(exit) = enter(std::env::args_os()) {
        return exit;
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> anyhow::Result<()> {
    let mut files: Vec<_> = std::env::args().skip(1).collect();
    files.retain(|argument| argument != "--bench");
    let rounds = match files.first().and_then(|first| first.parse().ok()) {
        Some(rounds) => {
            files.remove(0);
            rounds
        }
        None => 5,
    };
    let config = veraicon::config::load(&Overrides::default(), [])?;
    let policy = Arc::new(app::policy(&config));
    let cores = thread::available_parallelism()?.get();
    println!(
        "{cores} cores, {rounds} rounds; in this process, in workers, and workers divided by process"
    );
    println!(
        "{:24}{:>10}{:>10}{:>8}{:>12}{:>10}{:>8}",
        "", "ms", "workers", "ratio", "1/s", "workers", "ratio"
    );
    for path in &files {
        let bytes = std::fs::read(path).with_context(|| path.clone())?;
        let start = Instant::now();
        in_process(&bytes, &policy, 1, 1)?;
        let duration = start.elapsed().max(Duration::from_micros(50));
        let count =
            usize::try_from((RUN.as_micros() * cores as u128).div_ceil(duration.as_micros()))?;
        let mut figures = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            figures[0].push(in_process(&bytes, &policy, count, cores)?);
            figures[1].push(in_workers(&bytes, &config, &policy, count, cores)?);
        }
        let [process, workers] = figures.map(|figures| Figures {
            milliseconds: median(figures.iter().map(|figure| figure.milliseconds)),
            rate: median(figures.iter().map(|figure| figure.rate)),
        });
        println!(
            "{:24}{:10.2}{:10.2}{:8.3}{:12.1}{:10.1}{:8.3}",
            path.rsplit('/').next().unwrap_or(path),
            process.milliseconds,
            workers.milliseconds,
            workers.milliseconds / process.milliseconds,
            process.rate,
            workers.rate,
            workers.rate / process.rate,
        );
    }
    Ok(())
}

/// Shapes the picture `count` times on threads of this process, as a service without workers would.
fn in_process(
    bytes: &[u8],
    policy: &Arc<Policy>,
    count: usize,
    threads: usize,
) -> anyhow::Result<Figures> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let (before, start) = (processor_time(), Instant::now());
        let running = Arc::new(tokio::sync::Semaphore::new(threads));
        let next = Arc::new(AtomicUsize::new(0));
        let bytes: Arc<[u8]> = bytes.into();
        let clients = (0..threads * 2).map(|_| {
            let (running, next) = (Arc::clone(&running), Arc::clone(&next));
            let (policy, bytes) = (Arc::clone(policy), Arc::clone(&bytes));
            tokio::spawn(async move {
                while next.fetch_add(1, Ordering::Relaxed) < count {
                    // Copies the body, as receiving it would.
                    let body = bytes.to_vec();
                    let permit = Arc::clone(&running).acquire_owned().await?;
                    let policy = Arc::clone(&policy);
                    let work = tokio::task::spawn_blocking(move || {
                        let pictures = veraicon_picture::process(&body, &policy, None);
                        drop(permit);
                        pictures
                    });
                    ensure!(!work.await??.outputs.is_empty(), "no squares");
                }
                anyhow::Ok(())
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await??;
        }
        Ok(figures(processor_time() - before, start.elapsed(), count))
    })
}

/// Shapes the picture `count` times in worker processes.
fn in_workers(
    bytes: &[u8],
    config: &Config,
    policy: &Arc<Policy>,
    count: usize,
    cores: usize,
) -> anyhow::Result<Figures> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        // Measures the start of idle workers first, to subtract it from the result.
        let idle = processor_time();
        let workers = open(config, policy, cores).await?;
        close(workers).await?;
        let start_time = processor_time() - idle;
        let before = processor_time();
        let workers = open(config, policy, cores).await?;
        let start = Instant::now();
        let next = Arc::new(AtomicUsize::new(0));
        let bytes: Arc<[u8]> = bytes.into();
        let clients = (0..cores * 2).map(|_| {
            let (workers, next, bytes) = (workers.clone(), Arc::clone(&next), Arc::clone(&bytes));
            tokio::spawn(async move {
                while next.fetch_add(1, Ordering::Relaxed) < count {
                    let failed = |failure| anyhow::anyhow!("{failure:?}");
                    let length = Some(bytes.len() as u64);
                    let (permit, mut body) = workers.admit(length).await.map_err(failed)?;
                    body.extend(&bytes)?;
                    let body = body.seal()?;
                    let picture = body.picture(0..body.len())?;
                    let shaped = workers.shape(permit, picture, None).await;
                    ensure!(!shaped.map_err(failed)?.squares.is_empty(), "no squares");
                }
                anyhow::Ok(())
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await??;
        }
        let took = start.elapsed();
        close(workers).await?;
        let spent = (processor_time() - before).saturating_sub(start_time);
        Ok(figures(spent, took, count))
    })
}

/// Starts the workers and waits until all are ready.
async fn open(config: &Config, policy: &Arc<Policy>, cores: usize) -> anyhow::Result<Workers> {
    let budget = app::budget(config, policy)?;
    ensure!(
        budget.workers == cores,
        "pictures.memory is too small for all cores"
    );
    let metrics = Metrics::default();
    let workers = Workers::new(budget, Arc::clone(policy), Program::this(), metrics);
    workers.open().await?;
    // One spare worker runs in addition to the configured number.
    while workers.idle().len() < cores + 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(workers)
}

/// Stops the workers and waits until their CPU time is included in that of this process's children.
async fn close(workers: Workers) -> anyhow::Result<()> {
    workers.close();
    while workers.alive() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

fn figures(spent: Duration, took: Duration, count: usize) -> Figures {
    Figures {
        milliseconds: spent.as_secs_f64() * 1000.0 / count as f64,
        rate: count as f64 / took.as_secs_f64(),
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Returns the CPU time of this process and its terminated children (getrusage(2)).
fn processor_time() -> Duration {
    [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN]
        .map(|whose| {
            let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
            // SAFETY: the pointer is valid for writes, and an all-zero `rusage` is a valid value.
            #[expect(unsafe_code, reason = "no dependency wraps getrusage")]
            let usage = unsafe {
                libc::getrusage(whose, usage.as_mut_ptr());
                usage.assume_init()
            };
            let time = |time: libc::timeval| {
                Duration::from_micros((time.tv_sec * 1_000_000 + time.tv_usec).unsigned_abs())
            };
            time(usage.ru_utime) + time(usage.ru_stime)
        })
        .iter()
        .sum()
}

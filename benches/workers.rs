//! What it costs to shape pictures in worker processes: the same pictures in this process and in workers, in turn.
//!
//! `cargo bench --bench workers -- [ROUNDS] FILE...` prints, a file: processor time a picture and pictures a second on all
//! cores, both ways, medians over the rounds. A worker's start is left out, since it serves a hundred pictures.

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

/// The least time that a run takes.
const RUN: Duration = Duration::from_secs(2);

/// One run: processor time a picture, and pictures a second.
#[derive(Clone, Copy)]
struct Figures {
    milliseconds: f64,
    rate: f64,
}

fn main() -> ExitCode {
    // Workers are this very program.
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
    println!("{cores} cores, {rounds} rounds; here, in workers, and the second over the first");
    println!(
        "{:24}{:>10}{:>10}{:>8}{:>12}{:>10}{:>8}",
        "", "ms here", "workers", "", "1/s here", "workers", ""
    );
    for path in &files {
        let bytes = std::fs::read(path).with_context(|| path.clone())?;
        let begun = Instant::now();
        here(&bytes, &policy, 1, 1)?;
        let each = begun.elapsed().max(Duration::from_micros(50));
        let many = usize::try_from((RUN.as_micros() * cores as u128).div_ceil(each.as_micros()))?;
        let mut figures = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            figures[0].push(here(&bytes, &policy, many, cores)?);
            figures[1].push(in_workers(&bytes, &config, &policy, many, cores)?);
        }
        let [here, workers] = figures.map(|figures| Figures {
            milliseconds: median(figures.iter().map(|figure| figure.milliseconds)),
            rate: median(figures.iter().map(|figure| figure.rate)),
        });
        println!(
            "{:24}{:10.2}{:10.2}{:8.3}{:12.1}{:10.1}{:8.3}",
            path.rsplit('/').next().unwrap_or(path),
            here.milliseconds,
            workers.milliseconds,
            workers.milliseconds / here.milliseconds,
            here.rate,
            workers.rate,
            workers.rate / here.rate,
        );
    }
    Ok(())
}

/// Shapes the picture so many times on threads of this process, as a service without worker processes would.
fn here(
    bytes: &[u8],
    policy: &Arc<Policy>,
    many: usize,
    threads: usize,
) -> anyhow::Result<Figures> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let (before, begun) = (processor_time(), Instant::now());
        let running = Arc::new(tokio::sync::Semaphore::new(threads));
        let next = Arc::new(AtomicUsize::new(0));
        let bytes: Arc<[u8]> = bytes.into();
        let clients = (0..threads * 2).map(|_| {
            let (running, next) = (Arc::clone(&running), Arc::clone(&next));
            let (policy, bytes) = (Arc::clone(policy), Arc::clone(&bytes));
            tokio::spawn(async move {
                while next.fetch_add(1, Ordering::Relaxed) < many {
                    // The body arrives, here as there.
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
        Ok(figures(processor_time() - before, begun.elapsed(), many))
    })
}

/// Shapes the picture so many times in worker processes.
fn in_workers(
    bytes: &[u8],
    config: &Config,
    policy: &Arc<Policy>,
    many: usize,
    cores: usize,
) -> anyhow::Result<Figures> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        // What starts cost is taken off: as many processes that do nothing.
        let idle = processor_time();
        let workers = open(config, policy, cores).await?;
        close(workers).await?;
        let start = processor_time() - idle;
        let before = processor_time();
        let workers = open(config, policy, cores).await?;
        let begun = Instant::now();
        let next = Arc::new(AtomicUsize::new(0));
        let bytes: Arc<[u8]> = bytes.into();
        let clients = (0..cores * 2).map(|_| {
            let (workers, next, bytes) = (workers.clone(), Arc::clone(&next), Arc::clone(&bytes));
            tokio::spawn(async move {
                while next.fetch_add(1, Ordering::Relaxed) < many {
                    let failed = |failure| anyhow::anyhow!("{failure:?}");
                    let length = Some(bytes.len() as u64);
                    let (seat, mut body) = workers.admit(length).await.map_err(failed)?;
                    body.extend(&bytes)?;
                    let body = body.seal()?;
                    let picture = body.picture(0..body.len());
                    let shaped = workers.shape(seat, picture, None).await;
                    ensure!(!shaped.map_err(failed)?.squares.is_empty(), "no squares");
                }
                anyhow::Ok(())
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await??;
        }
        let took = begun.elapsed();
        close(workers).await?;
        let spent = (processor_time() - before).saturating_sub(start);
        Ok(figures(spent, took, many))
    })
}

/// Workers that are all ready.
async fn open(config: &Config, policy: &Arc<Policy>, cores: usize) -> anyhow::Result<Workers> {
    let budget = app::budget(config, policy)?;
    ensure!(
        budget.workers == cores,
        "pictures.memory is too small for all cores"
    );
    let metrics = Metrics::default();
    let workers = Workers::new(budget, Arc::clone(policy), Program::this()?, metrics);
    workers.open().await?;
    while workers.idle().len() < cores + 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(workers)
}

/// Ends the workers, and waits until their time counts as this process's children's.
async fn close(workers: Workers) -> anyhow::Result<()> {
    workers.close();
    while workers.alive() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

fn figures(spent: Duration, took: Duration, many: usize) -> Figures {
    Figures {
        milliseconds: spent.as_secs_f64() * 1000.0 / many as f64,
        rate: many as f64 / took.as_secs_f64(),
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Of this process and of its children that have ended (getrusage(2)).
fn processor_time() -> Duration {
    [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN]
        .map(|whose| {
            let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
            // SAFETY: the call fills the structure that it is given, and zeroes are a valid one.
            #[expect(unsafe_code, reason = "no library here has the call")]
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

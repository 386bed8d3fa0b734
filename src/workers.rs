//! Shaping pictures in worker processes: so many at once, so many waiting, so much memory, no more.
//!
//! The process that serves requests never reads a byte of a picture: probing too is a worker's. A picture that breaks its
//! worker costs one request.

mod budget;
pub mod buffer;
mod channel;
#[cfg(debug_assertions)]
pub mod fault;
mod memory;
mod pool;
pub mod process;
mod protocol;
mod sandbox;
mod square;

use std::{io, process::ExitStatus, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout, timeout_at},
};
use veraicon_picture::{Complexity, Crop, Picture as Square, Policy};

pub use self::{budget::Budget, pool::Program, protocol::Sandbox};
use self::{
    buffer::{Buffer, Picture, Room},
    memory::Shelf,
    pool::{Pool, Process},
    protocol::{Job, Order, Outcome, Report, Start},
    square::{is_square, most_bytes},
};
use crate::{
    failure::Failure,
    metrics::{Kind, Metrics},
};

/// What an upload's body may have beside the picture, in bytes: heads of parts and a few short texts.
pub const FORM_BYTES: u64 = 64 << 10;
/// How long a client is told to wait when all places are taken.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// How long a process may take to leave once its socket is closed.
const LEAVE: Duration = Duration::from_millis(50);
/// Memory is counted in these, in bytes.
const UNIT: u64 = 4096;

/// Worker processes and the queue before them. Cheap to clone.
#[derive(Clone)]
pub struct Workers(Arc<Parts>);

struct Parts {
    budget: Budget,
    policy: Arc<Policy>,
    /// Every upload at work or waiting holds a place.
    places: Arc<Semaphore>,
    /// Every body in memory holds as many units as it may have bytes.
    bodies: Arc<Semaphore>,
    /// Memory for the next bodies.
    shelf: Shelf,
    /// Every picture at work holds one.
    running: Arc<Semaphore>,
    /// Every picture at work holds as many units as it takes.
    pictures: Arc<Semaphore>,
    pool: Pool,
    metrics: Metrics,
}

/// A place in the queue, which an upload holds until its pictures are stored.
pub struct Seat {
    _permit: OwnedSemaphorePermit,
    metrics: Metrics,
}

/// Squares of a picture, and what its upload holds while they are stored.
pub struct Shaped {
    /// Largest first.
    pub squares: Vec<Square>,
    /// Until they are stored.
    pub seat: Seat,
}

impl Workers {
    /// Workers by this budget. No process is started yet.
    #[must_use]
    pub fn new(budget: Budget, policy: Arc<Policy>, program: Program, metrics: Metrics) -> Self {
        let start = Start {
            policy: (*policy).clone(),
            memory: budget.pictures,
            body: policy.max_bytes + FORM_BYTES,
            grant: budget::GRANT,
            processor_seconds: budget.processor_seconds,
        };
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits));
        Self(Arc::new(Parts {
            places: semaphore(budget.workers + budget.queue),
            bodies: semaphore(units(budget.bodies) as usize),
            shelf: Shelf::new(budget.processes()),
            running: semaphore(budget.workers),
            pictures: semaphore(units(budget.pictures) as usize),
            pool: Pool::new(program, start, budget.processes(), metrics.clone()),
            budget,
            policy,
            metrics,
        }))
    }

    /// Starts the first process; the others follow.
    ///
    /// # Errors
    /// It cannot be started, or does not get ready.
    pub async fn open(&self) -> io::Result<Sandbox> {
        self.0.pool.open().await
    }

    /// Ends all processes: idle ones now, the others with their work.
    pub fn close(&self) {
        self.0.pool.close();
    }

    /// How many processes there are.
    #[must_use]
    pub fn alive(&self) -> usize {
        self.0.pool.alive()
    }

    /// The identifiers of the processes that wait for pictures.
    #[must_use]
    pub fn idle(&self) -> Vec<u32> {
        self.0.pool.idle_ids()
    }

    /// Takes a place in the queue, and room for a body of so many bytes; of unknown length, for its beginning. Both are
    /// taken before the body is read.
    ///
    /// # Errors
    /// [`Failure::Busy`]: at once where all places are taken, after the time for waiting where room does not come free,
    /// and where the system has no descriptor or memory to spare.
    pub async fn admit(&self, body: Option<u64>) -> Result<(Seat, Buffer), Failure> {
        let places = Arc::clone(&self.0.places).try_acquire_owned();
        let seat = Seat::new(places.map_err(|_| BUSY)?, &self.0.metrics);
        let room = Room::take(&self.0.bodies, body.unwrap_or(buffer::STEP));
        let room = timeout(self.0.budget.timeout, room).await;
        let room = room.map_err(|_| BUSY)?.map_err(Failure::internal)?;
        let buffer = Buffer::new(&self.0.shelf, room).map_err(out_of_means)?;
        Ok((seat, buffer))
    }

    /// Proves that the bytes are a picture and shapes it. Once begun, the work keeps its places to its end, whoever waits.
    ///
    /// # Errors
    /// What is wrong with the picture; [`Failure::Busy`] where no worker came free, or did not end in time;
    /// [`Failure::Internal`] where the worker was lost.
    pub async fn shape(
        &self,
        seat: Seat,
        picture: Picture,
        crop: Option<Crop>,
    ) -> Result<Shaped, Failure> {
        let this = self.clone();
        let work = async move {
            let squares = this.work(&picture, crop).await;
            drop(picture);
            Ok(Shaped {
                squares: squares?,
                seat,
            })
        };
        tokio::spawn(work).await.map_err(Failure::internal)?
    }

    async fn work(&self, picture: &Picture, crop: Option<Crop>) -> Result<Vec<Square>, Failure> {
        let patience = Instant::now() + self.0.budget.timeout;
        let (running, memory, mut process) = timeout_at(patience, async {
            let running = Arc::clone(&self.0.running).acquire_owned().await;
            let memory = self.memory(budget::GRANT).await;
            (running, memory, self.0.pool.take().await)
        })
        .await
        .map_err(|_| BUSY)?;
        let _running = running.map_err(Failure::internal)?;
        // Held until the process has given it back, or has ended.
        let mut memory = Some(memory?);
        let outcome = self
            .attempt(&mut process, picture, crop, &mut memory, patience)
            .await;
        match outcome {
            Ok(Worked {
                verdict,
                spent,
                fault,
            }) => {
                process.jobs += 1;
                match self.retires(&process, spent, fault) {
                    None => self.0.pool.give_back(process),
                    Some(kind) => {
                        let retirements = &self.0.metrics.worker_retirements;
                        retirements.get_or_create(&Kind { kind }).inc();
                        tokio::spawn(async move {
                            process.end(LEAVE).await;
                            drop(memory);
                        });
                    }
                }
                verdict
            }
            Err(lost) => {
                let late = matches!(lost, Lost::Late);
                let process_id = process.id.as_raw_nonzero();
                // What is about to end by itself shall say how.
                let status = process.end(if late { Duration::ZERO } else { LEAVE }).await;
                let kind = lost.kind(status);
                tracing::error!(
                    process_id,
                    kind,
                    status = status.map(|status| status.to_string()),
                    cause = lost.cause(),
                    "a worker process was lost at a picture"
                );
                self.count(kind);
                if late {
                    Err(BUSY)
                } else {
                    Err(Failure::internal("a worker process was lost"))
                }
            }
        }
    }

    /// Why a process that has done its job gets no other one.
    fn retires(&self, process: &Process, spent: Duration, fault: bool) -> Option<&'static str> {
        let life = Duration::from_secs(self.0.budget.processor_seconds);
        if fault {
            Some("fault")
        } else if process.jobs >= self.0.budget.jobs {
            Some("jobs")
        } else if spent >= life.saturating_sub(self.0.budget.timeout) {
            // It could not finish its next picture.
            Some("processor_time")
        } else if !process.let_go() {
            Some("memory")
        } else {
            None
        }
    }

    /// One job in one process.
    async fn attempt(
        &self,
        process: &mut Process,
        picture: &Picture,
        crop: Option<Crop>,
        memory: &mut Option<OwnedSemaphorePermit>,
        patience: Instant,
    ) -> Result<Worked, Lost> {
        let body = picture.body.len() as u64;
        process.lend(body, budget::GRANT).map_err(Lost::Broken)?;
        let order = Order::Job(Job {
            length: picture.body.len(),
            start: picture.range.start,
            end: picture.range.end,
            crop,
        });
        let descriptor = picture.body.descriptor();
        let mut end = Instant::now() + self.0.budget.timeout;
        let first = in_time(end, async {
            process.channel.send(&order, descriptor).await?;
            process.channel.receive().await
        });
        let mut report = first.await?;
        if let Report::NeedsMemory(bytes) = report {
            // What is waited for while something is held could be waited for for ever.
            drop(memory.take());
            let asked = Instant::now();
            let granted = self.more_memory(bytes, patience).await;
            end += asked.elapsed();
            *memory = match granted {
                Ok(granted) => Some(granted),
                Err(failure) => {
                    let left = in_time(end, async {
                        process.channel.send(&Order::Leave, None).await?;
                        process.channel.receive().await
                    });
                    return match left.await? {
                        Report::Left => Ok(Worked::refused(failure)),
                        _ => Err(Lost::Broken(io::Error::other("a report out of turn"))),
                    };
                }
            };
            process.lend(body, bytes).map_err(Lost::Broken)?;
            let rest = in_time(end, async {
                process.channel.send(&Order::GoOn, None).await?;
                process.channel.receive().await
            });
            report = rest.await?;
        }
        let Report::Done {
            outcome,
            processor_milliseconds,
        } = report
        else {
            return Err(Lost::Broken(io::Error::other("a report out of turn")));
        };
        let fault = matches!(outcome, Outcome::Fault(_));
        let verdict = match outcome {
            Outcome::Shaped(heads) => Ok(in_time(end, self.squares(process, &heads)).await?),
            Outcome::Refused(refusal) => Err(refusal.into()),
            Outcome::Fault(what) => {
                let what = protocol::plain(&what);
                tracing::error!(
                    what,
                    "a worker process failed at a picture, and is replaced"
                );
                self.count("panic");
                Err(Failure::internal("a decoder failed"))
            }
        };
        Ok(Worked {
            verdict,
            fault,
            spent: Duration::from_millis(processor_milliseconds),
        })
    }

    /// Reads the squares that a worker has announced, and holds it to what was asked for: it may have been taken over by
    /// the picture that it worked on.
    async fn squares(
        &self,
        process: &mut Process,
        heads: &[protocol::Square],
    ) -> io::Result<Vec<Square>> {
        let mut sizes = self.0.policy.sizes.clone();
        sizes.sort_unstable_by(|left, right| right.cmp(left));
        if !heads.iter().map(|head| head.size).eq(sizes) {
            return Err(io::Error::other(
                "squares of other sizes than were asked for",
            ));
        }
        let mut squares = Vec::with_capacity(heads.len());
        for head in heads {
            if head.side > head.size || head.length > most_bytes(head.side) {
                return Err(io::Error::other("a square that is too large"));
            }
            let bytes = process.channel.receive_bytes(head.length).await?;
            if !is_square(&bytes, head.side) {
                return Err(io::Error::other("a square that is none"));
            }
            squares.push(Square {
                size: head.size,
                side: head.side,
                bytes,
            });
        }
        Ok(squares)
    }

    async fn memory(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Failure> {
        let memory = Arc::clone(&self.0.pictures).acquire_many_owned(units(bytes));
        memory.await.map_err(Failure::internal)
    }

    async fn more_memory(
        &self,
        bytes: u64,
        patience: Instant,
    ) -> Result<OwnedSemaphorePermit, Failure> {
        let limit = self.0.budget.pictures;
        if bytes > limit {
            return Err(Failure::TooComplex {
                what: Complexity::MemoryBytes,
                value: bytes,
                limit,
            });
        }
        let memory = timeout_at(patience, self.memory(bytes));
        memory.await.map_err(|_| BUSY)?
    }

    fn count(&self, kind: &'static str) {
        let faults = &self.0.metrics.worker_faults;
        faults.get_or_create(&Kind { kind }).inc();
    }
}

const BUSY: Failure = Failure::busy(RETRY_AFTER);

async fn in_time<T>(end: Instant, work: impl Future<Output = io::Result<T>>) -> Result<T, Lost> {
    let outcome = timeout_at(end, work).await;
    outcome.map_err(|_| Lost::Late)?.map_err(Lost::Broken)
}

/// A job that came to its end.
struct Worked {
    verdict: Result<Vec<Square>, Failure>,
    /// Processor time of the process since its start.
    spent: Duration,
    /// A decoder failed, and may have left anything behind.
    fault: bool,
}

impl Worked {
    fn refused(failure: Failure) -> Self {
        Self {
            verdict: Err(failure),
            spent: Duration::ZERO,
            fault: false,
        }
    }
}

/// Why a process is of no use any more.
enum Lost {
    /// It did not answer in time.
    Late,
    /// Its socket broke, or it broke the rules.
    Broken(io::Error),
}

impl Lost {
    fn cause(&self) -> String {
        match self {
            Self::Late => "it did not end in time".into(),
            Self::Broken(error) => error.to_string(),
        }
    }

    /// For the counts.
    fn kind(&self, status: Option<ExitStatus>) -> &'static str {
        use std::os::unix::process::ExitStatusExt;

        use rustix::process::Signal;

        let signal = status.and_then(|status| status.signal());
        match self {
            Self::Late => "timeout",
            Self::Broken(_) if signal == Some(Signal::XCPU.as_raw()) => "processor_time",
            Self::Broken(_) if signal == Some(Signal::ABORT.as_raw()) => "abort",
            Self::Broken(_) if signal.is_some_and(|signal| signal != Signal::KILL.as_raw()) => {
                "crash"
            }
            Self::Broken(_) => "broken",
        }
    }
}

/// The system has nothing to spare for an upload at the moment.
pub fn out_of_means(error: io::Error) -> Failure {
    Failure::busy_because(RETRY_AFTER, error)
}

impl Seat {
    fn new(permit: OwnedSemaphorePermit, metrics: &Metrics) -> Self {
        metrics.places.inc();
        Self {
            _permit: permit,
            metrics: metrics.clone(),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.metrics.places.dec();
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

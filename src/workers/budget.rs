//! How `pictures.memory` is shared out, and how many workers that is enough for.

use std::{fmt, time::Duration};

use veraicon_picture::{Policy, probe};

use super::memory::KEPT;
use crate::config::PictureSettings;

/// What a worker holds when it does nothing: its own pages, and buffers that are kept for the next picture.
pub(super) const IDLE: u64 = 12 << 20;
/// Address space of an idle worker that holds nothing, in bytes: gaps in its heap.
pub(super) const GAPS: u64 = 8 << 20;
/// What every picture is granted without a question: enough for a JPEG of any phone.
pub(super) const GRANT: u64 = 40 << 20;
/// Jobs after which a worker is replaced, so that what a library leaks has an end, and so has what a worker that was
/// taken over can see.
const MOST_JOBS: u32 = 100;
/// A worker's processor time in all, as a multiple of the time for one picture.
const LIFE: u32 = 30;

/// Bounds on work with pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Pictures at work at once.
    pub workers: usize,
    /// Uploads that wait.
    pub queue: usize,
    /// For bodies, in bytes.
    pub bodies: u64,
    /// For pictures at work, together, in bytes; one alone may take it all.
    pub pictures: u64,
    /// The longest that an upload waits, and the longest that its picture is worked on.
    pub timeout: Duration,
    /// Jobs after which a worker is replaced.
    pub jobs: u32,
    /// Processor time after which a worker is ended, at a picture or not, in seconds.
    pub processor_seconds: u64,
}

impl fmt::Display for Budget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            workers,
            bodies,
            pictures,
            ..
        } = self;
        write!(
            formatter,
            "{workers} pictures at once; {} MiB for bodies of uploads, {} MiB for pictures at work",
            bodies >> 20,
            pictures >> 20,
        )
    }
}

impl Budget {
    /// Shares `settings.memory` out: what idle workers hold, a third of the rest for bodies, and all else for pictures.
    ///
    /// # Errors
    /// It is too little for the settings; the text says how much would do.
    pub fn new(settings: &PictureSettings, policy: &Policy, cores: usize) -> Result<Self, String> {
        let memory = settings.memory.0;
        let workers = match settings.workers {
            0 => (1..=cores.max(1))
                .rev()
                .find(|workers| split(memory, *workers).1 >= *workers as u64 * GRANT)
                .unwrap_or(1),
            workers => workers,
        };
        let (bodies, pictures) = split(memory, workers);
        let largest = settings.max_bytes.0 + super::FORM_BYTES;
        let needed = GRANT.max(photo(policy));
        if bodies < largest || pictures < needed {
            let rest = (largest * 3).max(needed.div_ceil(2) * 3);
            let enough = rest + idle(workers);
            return Err(format!(
                "{}; {workers} workers, files of {} and sizes up to {} pixels need {} MiB",
                settings.memory.display().iec(),
                settings.max_bytes.display().iec(),
                policy.sizes.iter().max().unwrap_or(&0),
                enough.div_ceil(1 << 20),
            ));
        }
        let timeout = settings.timeout.duration();
        Ok(Self {
            workers,
            queue: settings.queue,
            bodies,
            pictures,
            timeout,
            jobs: MOST_JOBS,
            processor_seconds: (timeout * LIFE).as_secs().max(1),
        })
    }

    /// Worker processes, the spare one included.
    pub(super) fn processes(&self) -> usize {
        self.workers + 1
    }
}

/// For bodies and for pictures, in bytes.
fn split(memory: u64, workers: usize) -> (u64, u64) {
    let rest = memory.saturating_sub(idle(workers));
    (rest / 3, rest - rest / 3)
}

/// Of all workers and the spare one, and what is kept for the next bodies, in bytes.
fn idle(workers: usize) -> u64 {
    (workers as u64 + 1) * (IDLE + KEPT as u64)
}

/// What a phone's photo takes at these sizes, in bytes, in the format that takes most of what phones send.
fn photo(policy: &Policy) -> u64 {
    // The signature and the header chunk of a PNG (ISO/IEC 15948, section 11.2.2): 4032 × 3024, 8 bits, RGB.
    const PHOTO: &[u8] = b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR\0\0\x0F\xC0\0\0\x0B\xD0\x08\x02\0\0\0";
    probe(PHOTO).map_or(0, |header| header.peak_memory(policy, None))
}

//! The limits on work with pictures: how `pictures.memory` is divided, and every memory constant of
//! the workers.

use std::{fmt, time::Duration};

use veraicon_picture::{Policy, probe};

use crate::{config::PictureSettings, heap::MallocTuning};

/// Bytes of a form beside the picture: the heads of its parts and a few short fields.
pub(crate) const FORM_BYTES: u64 = 64 << 10;

/// Unit in which reserved memory is counted, in bytes.
///
/// One page, since the kernel allocates no less. One call takes at most 2^32 - 1 permits of a
/// semaphore, here 16 TiB.
pub(super) const RESERVATION_UNIT: u64 = 4096;
/// Bytes reserved at a time for a body of unknown length. Large enough that few pieces of a body
/// need a new reservation.
pub(super) const RESERVATION_STEP: u64 = 256 << 10;

/// Bytes of a memory file that are kept for the next upload. Most photos of phones are smaller.
pub(super) const POOLED_BYTES: usize = 4 << 20;

/// Bytes of memory that an idle worker may hold: its own pages, and buffers kept for the next
/// picture.
pub(super) const IDLE_BYTES: u64 = 12 << 20;
/// Bytes of an idle worker's memory that are not heap: its stack, and writable data of the program
/// and its libraries.
const NON_HEAP_BYTES: u64 = 4 << 20;
/// Bytes of heap that an idle worker may keep.
pub(super) const MAX_IDLE_HEAP: u64 = IDLE_BYTES - NON_HEAP_BYTES;
/// Bytes of address space that an idle worker may use beyond [`IDLE_BYTES`]. Free blocks between
/// used ones take up address space, though the allocator has returned their memory.
pub(super) const HEAP_GAPS: u64 = 8 << 20;

/// Bytes of memory that every picture gets without a request. Enough for a JPEG photo of any phone,
/// so that most jobs need one message in each direction.
pub(super) const INITIAL_GRANT: u64 = 40 << 20;

/// Settings of a worker's allocator: some memory is kept for the next picture, less than an idle
/// worker may hold.
pub(super) const WORKER_MALLOC: MallocTuning = MallocTuning {
    // Larger blocks return to the kernel when they are freed: two of them would exceed
    // `MAX_IDLE_HEAP`.
    mmap_threshold: 4 << 20,
    // Less than `MAX_IDLE_HEAP`, so that free memory at the end of the heap alone does not exceed
    // it.
    trim_threshold: 6 << 20,
    // The heap grows by 1 MiB more than is needed, which saves system calls.
    top_pad: 1 << 20,
};

/// Jobs after which a worker is replaced. Bounds what libraries leak, and what a compromised worker
/// can see.
const MAX_JOBS: u32 = 100;
/// CPU time of a worker, as a multiple of `pictures.timeout`.
const CPU_TIME_FACTOR: u32 = 30;

/// Value of `Retry-After` when all queue permits or all memory are taken.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Limits on work with pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Maximum number of pictures that are decoded in parallel.
    pub workers: usize,
    /// Maximum number of uploads that wait for a worker.
    pub queue: usize,
    /// Memory for all upload bodies, in bytes.
    pub body_bytes: u64,
    /// Memory for decoding all pictures, in bytes. A single picture may take all of it.
    pub picture_bytes: u64,
    /// Maximum time that an upload waits, and maximum time that its picture is decoded.
    pub timeout: Duration,
    /// Number of jobs after which a worker is replaced.
    pub max_jobs: u32,
    /// CPU time after which the kernel ends a worker, in seconds.
    pub cpu_seconds: u64,
}

impl fmt::Display for Budget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            workers,
            body_bytes,
            picture_bytes,
            ..
        } = self;
        write!(
            formatter,
            "{workers} pictures are decoded in parallel; \
             {} MiB for upload bodies, {} MiB for decoding",
            body_bytes >> 20,
            picture_bytes >> 20,
        )
    }
}

impl Budget {
    /// Divides `settings.memory`: first the idle workers, then a third of the rest for bodies and
    /// two thirds for decoding.
    ///
    /// # Errors
    /// A text with the amount of memory that the other settings need, if `settings.memory` is
    /// smaller.
    pub fn new(settings: &PictureSettings, policy: &Policy, cores: usize) -> Result<Self, String> {
        let memory = settings.memory.0;
        let workers = match settings.workers {
            0 => (1..=cores.max(1))
                .rev()
                .find(|workers| divide(memory, *workers).1 >= *workers as u64 * INITIAL_GRANT)
                .unwrap_or(1),
            workers => workers,
        };
        let (body_bytes, picture_bytes) = divide(memory, workers);
        let max_body = settings.max_bytes.0 + FORM_BYTES;
        let min_picture_bytes = INITIAL_GRANT.max(photo_bytes(policy));
        if body_bytes < max_body || picture_bytes < min_picture_bytes {
            // Bodies get a third of the rest, and pictures two thirds.
            let rest = (max_body * 3).max(min_picture_bytes.div_ceil(2) * 3);
            let required = rest + idle_bytes(workers);
            return Err(format!(
                "{} is too little: {workers} workers, files of up to {} \
                 and sizes of up to {} pixels need {} MiB",
                settings.memory.display().iec(),
                settings.max_bytes.display().iec(),
                policy.sizes.iter().max().unwrap_or(&0),
                required.div_ceil(1 << 20),
            ));
        }
        let timeout = settings.timeout.duration();
        Ok(Self {
            workers,
            queue: settings.queue,
            body_bytes,
            picture_bytes,
            timeout,
            max_jobs: MAX_JOBS,
            // A limit of 0 seconds would end a worker at once.
            cpu_seconds: (timeout * CPU_TIME_FACTOR).as_secs().max(1),
        })
    }

    /// Returns the number of worker processes. One more than work in parallel, so that a
    /// replacement is always ready.
    pub(super) fn processes(&self) -> usize {
        self.workers + 1
    }
}

/// Returns the memory for bodies and the memory for decoding, in bytes.
fn divide(memory: u64, workers: usize) -> (u64, u64) {
    let rest = memory.saturating_sub(idle_bytes(workers));
    (rest / 3, rest - rest / 3)
}

/// Returns the memory of all idle workers, and of the memory files kept for the next bodies, in
/// bytes.
fn idle_bytes(workers: usize) -> u64 {
    (workers as u64 + 1) * (IDLE_BYTES + POOLED_BYTES as u64)
}

/// Returns the memory for decoding a photo of a phone at these sizes, in bytes.
fn photo_bytes(policy: &Policy) -> u64 {
    // PNG needs the most memory of the formats that phones send. This is the signature and the
    // header chunk of a PNG (ISO/IEC 15948, section 11.2.2) of 4032 × 3024 pixels, 8-bit RGB.
    const PHOTO: &[u8] = b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR\0\0\x0F\xC0\0\0\x0B\xD0\x08\x02\0\0\0";
    probe(PHOTO).map_or(0, |header| header.peak_memory(policy, None))
}

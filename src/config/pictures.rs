//! Section `pictures`.

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use super::{
    check::{check, check_period},
    value::{self, Period, PictureFormat, SandboxNeed},
};

/// Accepted pictures, stored pictures, and the workers that process them.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct PictureSettings {
    /// Maximum size of an uploaded file.
    #[serde(deserialize_with = "value::scalar")]
    pub max_bytes: ByteSize,
    /// Maximum number of pixels of an uploaded picture, width times height.
    #[serde(deserialize_with = "value::scalar")]
    pub max_pixels: u64,
    /// Sides of the stored squares, in pixels.
    #[serde(deserialize_with = "value::list")]
    pub sizes: Vec<u32>,
    /// Format of the stored squares.
    #[serde(deserialize_with = "value::scalar")]
    pub format: PictureFormat,
    /// Quality of the stored squares, 1 to 100. Higher values make larger files.
    #[serde(deserialize_with = "value::scalar")]
    pub quality: u8,
    /// Number of pictures that are processed in parallel. 0: one per core, as far as `memory`
    /// allows.
    #[serde(deserialize_with = "value::scalar")]
    pub workers: usize,
    /// Number of further uploads that may wait for a worker. The next one gets 503.
    #[serde(deserialize_with = "value::scalar")]
    pub queue: usize,
    /// Memory for upload bodies and worker processes together.
    #[serde(deserialize_with = "value::scalar")]
    pub memory: ByteSize,
    /// Time that an upload may wait for a worker, and time that the worker may take for it.
    #[serde(deserialize_with = "value::scalar")]
    pub timeout: Period,
    /// Reaction if the system cannot sandbox worker processes.
    ///
    /// `if-offered`: the service starts and logs a warning. `required`: it does not start.
    #[serde(deserialize_with = "value::scalar")]
    pub sandbox: SandboxNeed,
}

impl PictureSettings {
    pub(super) fn validate(&self) -> Result<(), (&'static str, String)> {
        check(
            (1024..=1 << 30).contains(&self.max_bytes.0),
            "pictures.max_bytes",
            format!("{}; allowed: 1KiB to 1GiB", self.max_bytes.display().iec()),
        )?;
        check(
            (1..=1 << 32).contains(&self.max_pixels),
            "pictures.max_pixels",
            format!("{}; allowed: 1 to 4294967296", self.max_pixels),
        )?;
        let mut distinct = self.sizes.clone();
        distinct.sort_unstable();
        distinct.dedup();
        check(
            (1..=16).contains(&self.sizes.len())
                && distinct.len() == self.sizes.len()
                && self.sizes.iter().all(|side| (16..=4096).contains(side)),
            "pictures.sizes",
            format!(
                "{:?}; allowed: 1 to 16 different sides of 16 to 4096 pixels",
                self.sizes
            ),
        )?;
        check(
            (1..=100).contains(&self.quality),
            "pictures.quality",
            format!("{}; allowed: 1 to 100", self.quality),
        )?;
        check(
            self.workers <= 1024,
            "pictures.workers",
            format!("{}; allowed: 0 to 1024", self.workers),
        )?;
        check(
            self.queue <= 100_000,
            "pictures.queue",
            format!("{}; allowed: 0 to 100000", self.queue),
        )?;
        check(
            self.memory.0 <= 1 << 40,
            "pictures.memory",
            format!("{}; allowed: up to 1TiB", self.memory.display().iec()),
        )?;
        check_period("pictures.timeout", self.timeout)
    }
}

impl Default for PictureSettings {
    fn default() -> Self {
        Self {
            max_bytes: ByteSize::mib(20),
            max_pixels: 100_000_000,
            sizes: vec![512, 256, 128, 64],
            format: PictureFormat::WebP,
            quality: 80,
            workers: 0,
            queue: 64,
            memory: ByteSize::mib(320),
            timeout: Period::seconds(10),
            sandbox: SandboxNeed::IfOffered,
        }
    }
}

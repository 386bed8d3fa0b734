//! Maintenance of what is stored, for operators and in the background: garbage collection (`gc`),
//! checks (`fsck`) and the move to another store (`move_storage`).

mod fsck;
mod gc;
mod move_storage;

pub use self::{
    fsck::{FsckReport, Repair, proof_policy},
    gc::GcReport,
    move_storage::MoveReport,
};

use crate::{
    avatars::{Avatars, lifecycle::Lifecycle},
    clock::Clock,
    database::{Database, PictureRow},
    failure::Failure,
    storage::Storage,
    workers::Workers,
};

/// Rows or pictures read at once.
const BATCH: usize = 500;

/// The parts that maintenance works on. Cheap to clone.
#[derive(Clone)]
#[expect(missing_docs, reason = "the fields are named after their types")]
pub struct Maintenance {
    pub database: Database,
    pub storage: Storage,
    pub workers: Workers,
    pub avatars: Avatars,
    pub lifecycle: Lifecycle,
    pub clock: Clock,
}

/// Receives the progress and the findings of a run.
pub trait Progress: Send + Sync {
    /// About `steps` steps lie ahead.
    fn expect(&self, steps: u64);
    /// `steps` more steps are done.
    fn advance(&self, steps: u64);
    /// Something was found that a person should read.
    fn find(&self, finding: &str);
}

/// Progress of a run in the background: findings go to the log.
#[derive(Clone, Copy, Debug)]
pub struct Log;

impl Maintenance {
    /// Returns true if a row is as it was read. A change in the meantime is no fault.
    async fn is_unchanged(&self, row: &PictureRow) -> Result<bool, Failure> {
        let now = self.database.pictures_of(&[row.user_id]).await?;
        Ok(now.contains(row))
    }
}

impl Progress for Log {
    fn expect(&self, _steps: u64) {}

    fn advance(&self, _steps: u64) {}

    fn find(&self, finding: &str) {
        tracing::warn!("{finding}");
    }
}

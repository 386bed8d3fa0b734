//! Looking after what is stored, for operators and from time to time in the background: removing what nothing names,
//! proving that what is named is whole, moving it elsewhere.

mod fsck;
mod gc;
mod move_storage;

pub use self::{
    fsck::{FsckReport, Repair, proof_policy},
    gc::GcReport,
    move_storage::MoveReport,
};

use crate::{avatars::Avatars, database::Stored, failure::Failure};

/// Rows or pictures read at once.
const BATCH: usize = 500;

/// Whoever is told how far the work is, and what it finds.
pub trait Progress: Send + Sync {
    /// About so many steps lie ahead.
    fn expect(&self, steps: u64);
    /// So many more are done.
    fn advance(&self, steps: u64);
    /// Something that a person should read.
    fn find(&self, what: &str);
}

impl Avatars {
    /// Whether a row is still as it was read: what changed meanwhile is no fault.
    async fn is_unchanged(&self, row: &Stored) -> Result<bool, Failure> {
        let now = self.database.pictures_of(&[row.user_id]).await?;
        Ok(now.contains(row))
    }
}

/// Work in the background: what it finds goes to the log.
#[derive(Clone, Copy, Debug)]
pub struct Log;

impl Progress for Log {
    fn expect(&self, _steps: u64) {}

    fn advance(&self, _steps: u64) {}

    fn find(&self, what: &str) {
        tracing::warn!("{what}");
    }
}

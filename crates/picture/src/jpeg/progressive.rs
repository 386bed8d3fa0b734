//! Progressive scans: ITU-T T.81 annex G.
//!
//! Later scans refine what earlier ones began, so the coefficients of the whole picture must be at
//! hand until the last scan. To parse them it is enough to know which are not zero: 64 bits a block
//! rather than 128 bytes. Values are kept only of those coefficients, and in those blocks, that the
//! samples asked for need.

mod ac;
mod dc;
mod restarts;
mod store;

pub(super) use ac::{ProgressiveAcDecoder, decode_ac};
pub(super) use dc::{DcComponentDecoder, decode_dc};
pub(super) use store::CoefficientStore;

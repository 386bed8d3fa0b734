//! Progressive scans: ITU-T T.81 annex G.
//!
//! Later scans refine the coefficients of earlier ones. So data about all blocks must be kept until
//! the last scan. To parse later scans, it is enough to know which coefficients are not zero: 64
//! bits per block instead of 128 bytes. Values are kept only for the coefficients and blocks that
//! the requested samples need.

mod ac;
mod dc;
mod restarts;
mod store;

pub(super) use ac::{ProgressiveAcDecoder, decode_ac};
pub(super) use dc::{DcComponentDecoder, decode_dc};
pub(super) use store::CoefficientStore;

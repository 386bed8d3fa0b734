//! The crate through its public interface, on pictures made here.
#![expect(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "the pictures are ours, and small"
)]

mod animations;
mod anything;
mod avif;
mod colour;
mod extras;
mod formats;
#[cfg(feature = "heic")]
mod heic;
mod items;
mod limits;
mod orientation;
mod pictures;
mod refusals;
mod truncation;

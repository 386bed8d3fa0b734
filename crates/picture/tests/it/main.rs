//! Tests of the crate's public API with generated pictures.
#![expect(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "the pictures are generated and small"
)]

mod animations;
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
mod properties;
mod refusals;
mod truncation;

//! Default pictures: a symmetric pattern of cells (an identicon) drawn from the user's identifier.
//!
//! The picture depends on the identifier only, so it is the same on every node and at any time.

use std::sync::Arc;

use bytes::Bytes;
use moka::future::Cache;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use veraicon_picture::{OutputFormat, encode};

use crate::failure::Failure;

/// Version of the drawing. It is part of the URL, so it must change with anything that changes a
/// pixel.
const VERSION: u8 = 1;
/// Cells per side. The left half is mirrored, since symmetric patterns are easier to tell apart.
const CELLS: usize = 5;
/// Divisor of the side that gives the width of the margin.
const MARGIN: usize = 10;
/// Capacity of the cache of drawn pictures, in bytes.
const CACHE_BYTES: u64 = 8 << 20;

/// Draws default pictures and builds their URLs. Cheap to clone.
#[derive(Clone)]
pub struct Identicons {
    public_url: Arc<str>,
    /// Sizes in pixels, largest first.
    sizes: Arc<[u32]>,
    format: OutputFormat,
    quality: u8,
    cache: Cache<(i64, u32), Bytes>,
    /// One picture is drawn at a time, so that a flood of requests for them cannot slow uploads.
    drawing: Arc<Semaphore>,
}

impl Identicons {
    /// Prepares default pictures of these sizes, largest first.
    ///
    /// The service itself serves them, so their URLs begin with `public_url`.
    #[must_use]
    pub fn new(public_url: &str, sizes: &[u32], format: OutputFormat, quality: u8) -> Self {
        let weigh = |_: &(i64, u32), bytes: &Bytes| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        Self {
            public_url: public_url.into(),
            sizes: sizes.into(),
            format,
            quality,
            cache: Cache::builder()
                .weigher(weigh)
                .max_capacity(CACHE_BYTES)
                .build(),
            drawing: Arc::new(Semaphore::new(1)),
        }
    }

    /// Returns the format of the pictures.
    #[must_use]
    pub fn format(&self) -> OutputFormat {
        self.format
    }

    /// Returns each size in pixels with the URL of the user's default picture, largest first.
    #[must_use]
    pub fn urls(&self, user: i64) -> Vec<(u32, String)> {
        let Self { public_url, .. } = self;
        let (name, extension) = (self.name(user), self.format.extension());
        let url = |size| format!("{public_url}/avatars/{user}/{name}/{size}.{extension}");
        self.sizes.iter().map(|&size| (size, url(size))).collect()
    }

    /// Returns the part of the URL that stands in place of a digest.
    ///
    /// It changes when the bytes change, because clients may cache it for a year.
    #[must_use]
    pub fn name(&self, user: i64) -> String {
        let seed = format!(
            "{VERSION} {} {} {user}",
            self.format.extension(),
            self.quality
        );
        format!("default-{}", hex::encode(&Sha256::digest(seed)[..8]))
    }

    /// Draws a user's default picture. Returns nothing if the size is not configured.
    ///
    /// # Errors
    /// The picture cannot be encoded.
    pub async fn get(&self, user: i64, size: u32) -> Result<Option<Bytes>, Failure> {
        if !self.sizes.contains(&size) {
            return Ok(None);
        }
        let (format, quality) = (self.format, self.quality);
        let drawing = async {
            let permit = Arc::clone(&self.drawing)
                .acquire_owned()
                .await
                .map_err(Failure::internal)?;
            // The closure owns the permit: the task continues even if its caller is cancelled.
            let work = move || {
                let bytes = encode(&draw(user, size), size, format, quality);
                drop(permit);
                bytes
            };
            let bytes = tokio::task::spawn_blocking(work)
                .await
                .map_err(Failure::internal)?;
            bytes.map(Bytes::from).map_err(Failure::internal)
        };
        let bytes = self.cache.try_get_with((user, size), drawing).await;
        // The cache gives the same error to all callers that waited for the picture.
        bytes
            .map(Some)
            .map_err(|failure: Arc<Failure>| Failure::internal(format!("{failure:?}")))
    }
}

/// Draws a picture of `side` × `side` pixels in row order: RGBA, 8 bits each.
fn draw(user: i64, side: u32) -> Vec<u8> {
    let seed = Sha256::digest(user.to_be_bytes());
    let hue = f32::from(u16::from_be_bytes([seed[0], seed[1]])) / 65536.0 * 360.0;
    let background = from_hsl(hue, 0.35, 0.93);
    let foreground = from_hsl(hue, 0.55, 0.48);
    // Both colours have the same hue: a light background and a strong foreground.
    let side = side as usize;
    let margin = side / MARGIN;
    let cell_of = |position: usize| {
        (position.checked_sub(margin)? * CELLS)
            .checked_div(side - 2 * margin)
            .filter(|cell| *cell < CELLS)
    };
    let is_foreground = |x: usize, y: usize| {
        let (Some(column), Some(row)) = (cell_of(x), cell_of(y)) else {
            return false;
        };
        let column = column.min(CELLS - 1 - column);
        // Bytes 0 and 1 give the hue. The 5 × 3 cells of the left half use one byte each.
        seed[2 + row * CELLS.div_ceil(2) + column] & 1 == 1
    };
    let mut pixels = Vec::with_capacity(side * side * 4);
    for y in 0..side {
        for x in 0..side {
            let [red, green, blue] = if is_foreground(x, y) {
                foreground
            } else {
                background
            };
            pixels.extend_from_slice(&[red, green, blue, 255]);
        }
    }
    pixels
}

/// Converts a hue in degrees, and saturation and lightness from 0 to 1, to sRGB (CSS Color 4,
/// section 7.1).
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value lies between 0 and 255"
)]
fn from_hsl(hue: f32, saturation: f32, lightness: f32) -> [u8; 3] {
    let spread = saturation * lightness.min(1.0 - lightness);
    [0.0_f32, 8.0, 4.0].map(|offset| {
        let position = (offset + hue / 30.0) % 12.0;
        let value = lightness - spread * (position - 3.0).min(9.0 - position).clamp(-1.0, 1.0);
        (value * 255.0).round() as u8
    })
}

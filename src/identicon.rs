//! The picture of a user who has none: a pattern drawn from the identifier, the same on every node and at every time.

use std::sync::Arc;

use bytes::Bytes;
use moka::future::Cache;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use veraicon_picture::{OutputFormat, encode};

use crate::{avatars::AvatarUrl, failure::Failure};

/// Counts the drawings: another number, other URLs. It must change with anything that changes a pixel.
const DRAWING: u8 = 1;
/// Cells a side; the left half is mirrored, which is what makes a pattern look like something.
const CELLS: usize = 5;
/// The rim, as a part of the side.
const RIM: usize = 10;
/// Bytes of drawn pictures that are kept.
const CACHE_BYTES: u64 = 8 << 20;

/// Draws default pictures and knows their URLs.
#[derive(Clone)]
pub struct DefaultPictures {
    public_url: Arc<str>,
    sizes: Arc<[u32]>,
    format: OutputFormat,
    quality: u8,
    drawn: Cache<(i64, u32), Bytes>,
    /// One at a time: whoever asks for a thousand of them must not slow uploads.
    drawing: Arc<Semaphore>,
}

impl DefaultPictures {
    /// Pictures of these sizes under the service's own URL.
    #[must_use]
    pub fn new(public_url: &str, sizes: &[u32], format: OutputFormat, quality: u8) -> Self {
        let mut sizes = sizes.to_vec();
        sizes.sort_unstable_by(|left, right| right.cmp(left));
        let weigh = |_: &(i64, u32), bytes: &Bytes| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        Self {
            public_url: public_url.into(),
            sizes: sizes.into(),
            format,
            quality,
            drawn: Cache::builder()
                .weigher(weigh)
                .max_capacity(CACHE_BYTES)
                .build(),
            drawing: Arc::new(Semaphore::new(1)),
        }
    }

    /// Where the user's default picture is to be found, largest first.
    #[must_use]
    pub fn urls(&self, user: i64) -> Vec<AvatarUrl> {
        let name = self.name(user);
        let extension = self.format.extension();
        let url = |size| {
            format!(
                "{}/avatars/{user}/{name}/{size}.{extension}",
                self.public_url
            )
        };
        self.sizes
            .iter()
            .map(|&size| AvatarUrl {
                size,
                url: url(size),
            })
            .collect()
    }

    /// The part of the URL that stands where other pictures have their digest; it changes with all that changes the bytes.
    #[must_use]
    pub fn name(&self, user: i64) -> String {
        let seed = format!(
            "{DRAWING} {} {} {user}",
            self.format.extension(),
            self.quality
        );
        format!("default-{}", hex::encode(&Sha256::digest(seed)[..8]))
    }

    /// Draws the picture; absent where there is none of this size.
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
        let bytes = self.drawn.try_get_with((user, size), drawing).await;
        bytes
            .map(Some)
            .map_err(|failure: Arc<Failure>| Failure::internal(format!("{failure:?}")))
    }
}

/// RGBA, 8 bits each, `side` × `side`.
fn draw(user: i64, side: u32) -> Vec<u8> {
    let seed = Sha256::digest(user.to_be_bytes());
    let hue = f32::from(u16::from_be_bytes([seed[0], seed[1]])) / 65536.0 * 360.0;
    let paper = from_hsl(hue, 0.35, 0.93);
    let ink = from_hsl(hue, 0.55, 0.48);
    let side = side as usize;
    let rim = side / RIM;
    let cell_of = |position: usize| {
        (position.checked_sub(rim)? * CELLS)
            .checked_div(side - 2 * rim)
            .filter(|cell| *cell < CELLS)
    };
    let inked = |x: usize, y: usize| {
        let (Some(column), Some(row)) = (cell_of(x), cell_of(y)) else {
            return false;
        };
        let column = column.min(CELLS - 1 - column);
        seed[2 + row * CELLS.div_ceil(2) + column] & 1 == 1
    };
    let mut pixels = Vec::with_capacity(side * side * 4);
    for y in 0..side {
        for x in 0..side {
            let [red, green, blue] = if inked(x, y) { ink } else { paper };
            pixels.extend_from_slice(&[red, green, blue, 255]);
        }
    }
    pixels
}

/// Hue in degrees, saturation and lightness from 0 to 1, to sRGB (CSS Color 4, section 7.1).
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

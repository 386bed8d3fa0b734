//! Reduction by a whole factor while rows arrive: a box filter before the Lanczos filter of
//! [`crate::resize`]. Because of it, no decoder needs to hold a full frame.

use std::ops::{AddAssign, Mul};

use crate::geometry::Square;
use crate::raster::{Channels, CropBox, Raster, Samples};

/// [`MARGIN`] in tenths, for integer arithmetic.
const MARGIN_TENTHS: u64 = 14;
/// Smallest ratio of the reduced square to the largest output. At 1.05 the box filter becomes
/// visible: SSIMULACRA2 against a full Lanczos falls from 91 to 86.
pub(crate) const MARGIN: f64 = MARGIN_TENTHS as f64 / 10.0;

/// Returns the smallest side of a decoded square for an output of `side`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a side is at most 65,535"
)]
pub(crate) fn min_side(side: u32) -> u32 {
    (f64::from(side) * MARGIN).ceil() as u32
}

/// Maximum factor. A sum of this many products of 8-bit colour and alpha fits in 32 bits.
const MAX_FACTOR: u32 = 4096;

/// Returns the largest whole factor by which a square of `size` may be reduced for outputs of
/// `side`.
pub(crate) fn factor(size: u32, side: u32) -> u32 {
    let wanted = u64::from(side.max(1)) * MARGIN_TENTHS;
    let factor = u64::from(size) * 10 / wanted;
    u32::try_from(factor)
        .unwrap_or(MAX_FACTOR)
        .clamp(1, MAX_FACTOR)
}

/// Returns the largest side of a square of `size` once it is reduced for outputs of `side`.
///
/// The factor is rounded down to a whole number, so the square keeps less than twice the margin.
pub(crate) fn max_reduced_side(size: u32, side: u32) -> u64 {
    let twice_margin = u64::from(side) * 2 * MARGIN_TENTHS;
    u64::from(size).min(twice_margin.div_ceil(10) + 1)
}

/// A sample of 8 or 16 bits, and the type of the sum of a band of them.
pub(crate) trait Sample: Copy + Into<Self::Sum> {
    /// Type that holds the sum of `MAX_FACTOR` products of two samples.
    type Sum: Copy + Default + AddAssign + Mul<Output = Self::Sum> + Into<u64>;

    /// Converts a mean to a sample. A mean always fits.
    fn from_mean(mean: u64) -> Self;

    /// Converts rows of samples to the samples of a raster.
    fn into_samples(samples: Vec<Self>) -> Samples;
}

impl Sample for u8 {
    type Sum = u32;

    fn from_mean(mean: u64) -> Self {
        Self::try_from(mean).unwrap_or(Self::MAX)
    }

    fn into_samples(samples: Vec<Self>) -> Samples {
        Samples::Eight(samples)
    }
}

impl Sample for u16 {
    type Sum = u64;

    fn from_mean(mean: u64) -> Self {
        Self::try_from(mean).unwrap_or(Self::MAX)
    }

    fn into_samples(samples: Vec<Self>) -> Samples {
        Samples::Sixteen(samples)
    }
}

/// Reducer of a picture, which takes its rows from the top and keeps only the reduced square.
pub(crate) struct Reducer<S: Sample> {
    square: Square,
    channels: Channels,
    factor: usize,
    /// Index of the next row of the picture.
    next: u32,
    /// Sums of the samples of the square over the rows of the current band. Colours are weighted by
    /// alpha, if there is alpha.
    sums: Vec<S::Sum>,
    /// Number of rows in `sums`.
    rows: usize,
    samples: Vec<S>,
}

impl<S: Sample> Reducer<S> {
    /// Makes a reducer for a picture whose `square` becomes outputs of at most `side`.
    pub(crate) fn new(square: Square, side: u32, channels: Channels) -> Self {
        let factor = factor(square.size, side) as usize;
        let reduced = (square.size as usize).div_ceil(factor);
        let sums = if factor == 1 {
            0
        } else {
            square.size as usize * channels.count()
        };
        Self {
            square,
            channels,
            factor,
            next: 0,
            sums: vec![S::Sum::default(); sums],
            rows: 0,
            samples: Vec::with_capacity(reduced * reduced * channels.count()),
        }
    }

    /// Receives the next row in its full width.
    pub(crate) fn push(&mut self, row: &[S]) {
        let y = self.next;
        self.next += 1;
        let bottom = self.square.y + self.square.size;
        if y < self.square.y || y >= bottom {
            return;
        }
        let count = self.channels.count();
        let start = self.square.x as usize * count;
        let Some(row) = row.get(start..start + self.square.size as usize * count) else {
            return;
        };
        if self.factor == 1 {
            self.samples.extend_from_slice(row);
            return;
        }
        self.add(row);
        if self.rows == self.factor || y + 1 == bottom {
            self.emit();
        }
    }

    /// Returns the number of rows received so far.
    pub(crate) fn rows(&self) -> u32 {
        self.next
    }

    /// Returns the reduced square and the requested part of it. The part is all of it, except a
    /// fraction of the last column and row if the factor does not divide the side.
    pub(crate) fn finish(self) -> (Raster, CropBox) {
        let side = self
            .square
            .size
            .div_ceil(u32::try_from(self.factor).unwrap_or(1));
        let wanted = f64::from(self.square.size) / self.factor as f64;
        let raster = Raster {
            width: side,
            height: side,
            channels: self.channels,
            samples: S::into_samples(self.samples),
        };
        (
            raster,
            CropBox {
                x: 0.0,
                y: 0.0,
                width: wanted,
                height: wanted,
            },
        )
    }

    /// Adds a row of the square to the sums.
    fn add(&mut self, row: &[S]) {
        self.rows += 1;
        if !self.channels.has_alpha() {
            for (sum, &sample) in self.sums.iter_mut().zip(row) {
                *sum += sample.into();
            }
            return;
        }
        let count = self.channels.count();
        for (sums, pixel) in self
            .sums
            .chunks_exact_mut(count)
            .zip(row.chunks_exact(count))
        {
            let (Some((alpha_sum, sums)), Some((&alpha, colours))) =
                (sums.split_last_mut(), pixel.split_last())
            else {
                continue;
            };
            // Weighted by alpha, so that the colours of transparent pixels have no effect.
            *alpha_sum += alpha.into();
            for (sum, &colour) in sums.iter_mut().zip(colours) {
                *sum += colour.into() * alpha.into();
            }
        }
    }

    /// Converts the band to one row of means.
    fn emit(&mut self) {
        let count = self.channels.count();
        for block in self.sums.chunks(self.factor * count) {
            let mut totals = [0_u64; 4];
            for pixel in block.chunks_exact(count) {
                for (total, &sum) in totals.iter_mut().zip(pixel) {
                    *total += sum.into();
                }
            }
            // The last block and the last band may be smaller than the factor.
            let pixels = (block.len() / count * self.rows) as u64;
            let reciprocal = Reciprocal::of(pixels);
            match totals.get(..count).and_then(<[u64]>::split_last) {
                Some((&alpha, colours)) if self.channels.has_alpha() => {
                    // If all pixels are transparent, the sums are 0 and so are the colours.
                    let weight = alpha.max(1);
                    self.samples.extend(
                        colours
                            .iter()
                            .map(|&sum| S::from_mean((sum + weight / 2) / weight)),
                    );
                    self.samples.push(S::from_mean(reciprocal.mean(alpha)));
                }
                _ => self.samples.extend(
                    totals
                        .iter()
                        .take(count)
                        .map(|&total| S::from_mean(reciprocal.mean(total))),
                ),
            }
        }
        self.sums.fill(S::Sum::default());
        self.rows = 0;
    }
}

/// A division by a count, done as a multiplication because there is one per sample.
#[derive(Clone, Copy)]
struct Reciprocal(u64);

impl Reciprocal {
    /// Computes 2³² / `count`, rounded.
    fn of(count: u64) -> Self {
        let count = count.max(1);
        Self(((1 << 32) + count / 2) / count)
    }

    /// Returns `total / count`, rounded. `total` is at most 16 bits × count, so the product is
    /// below 2⁴⁹.
    fn mean(self, total: u64) -> u64 {
        (total * self.0 + (1 << 31)) >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_keep_the_margin() {
        assert_eq!(factor(3024, 512), 4);
        assert_eq!(factor(1024, 512), 1);
        assert_eq!(factor(1, 512), 1);
        assert_eq!(factor(u32::MAX, 1), MAX_FACTOR);
        for size in 1..5000 {
            let reduced = f64::from(size) / f64::from(factor(size, 64));
            assert!(reduced >= 64.0 * MARGIN || factor(size, 64) == 1);
        }
    }

    #[test]
    fn reduced_squares_are_within_their_bound() {
        for side in [1, 2, 3, 16, 40, 64, 511, 512, 2000] {
            for size in 1..10_000_u32 {
                let reduced = u64::from(size.div_ceil(factor(size, side)));
                assert!(reduced <= max_reduced_side(size, side), "{size} to {side}");
            }
        }
    }

    #[test]
    fn means_of_one_colour_are_exact() {
        let square = Square {
            x: 1,
            y: 2,
            size: 100,
        };
        let mut reducer = Reducer::<u8>::new(square, 10, Channels::Rgb);
        let row: Vec<u8> = (0..104).flat_map(|_| [7, 128, 255]).collect();
        for _ in 0..105 {
            reducer.push(&row);
        }
        let (raster, crop_box) = reducer.finish();
        assert_eq!((raster.width, raster.height), (15, 15));
        assert!((crop_box.width - 100.0 / 7.0).abs() < 1e-9);
        assert_eq!(
            raster.samples,
            Samples::Eight([7, 128, 255].repeat(15 * 15))
        );
    }

    #[test]
    fn transparent_pixels_have_no_effect_on_colours() {
        let square = Square {
            x: 0,
            y: 0,
            size: 4,
        };
        let mut reducer = Reducer::<u16>::new(square, 1, Channels::Rgba);
        let row = [[9, 9, 9, 65_535_u16], [60_000, 60_000, 60_000, 0]]
            .concat()
            .repeat(2);
        for _ in 0..4 {
            reducer.push(&row);
        }
        let (raster, _) = reducer.finish();
        assert_eq!(
            raster.samples,
            Samples::Sixteen([9, 9, 9, 32_768].repeat(4))
        );
    }
}

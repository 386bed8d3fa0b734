//! Coefficients of a picture between two scans.

use crate::jpeg::idct::{Coefficients, QuantisationSteps, last_kept, transform};
use crate::jpeg::planes::{BlockRect, Plane, Scale, reset_to};

/// Coefficients of a component between scans.
#[derive(Default)]
pub(in crate::jpeg) struct CoefficientStore {
    /// One mask per block, row by row, including padding blocks. Bit n is set if the AC coefficient
    /// with zigzag index n is not zero.
    pub(super) masks: Vec<u64>,
    /// Blocks per row of `masks`.
    pub(super) columns: usize,
    /// Values of the kept coefficients, for the blocks in `blocks` row by row. One more block at
    /// the end receives the values of all other blocks.
    values: Vec<i16>,
    blocks: BlockRect,
}

impl CoefficientStore {
    /// Allocates masks for all blocks of a component, and values for those in `blocks`.
    ///
    /// `padded` is the number of columns and rows of blocks, including padding blocks.
    pub(in crate::jpeg) fn reset<const N: usize>(
        &mut self,
        padded: (usize, usize),
        blocks: BlockRect,
    ) {
        reset_to(&mut self.masks, padded.0 * padded.1, 0);
        self.columns = padded.0;
        reset_to(
            &mut self.values,
            (blocks.area() + 1) * (last_kept::<N>() + 1),
            0,
        );
        self.blocks = blocks;
    }

    /// Returns the number of bytes that the store of a component needs.
    pub(in crate::jpeg) fn size(scale: Scale, padded: (usize, usize), blocks: BlockRect) -> u64 {
        let kept = match scale {
            Scale::Eighth => last_kept::<1>(),
            Scale::Quarter => last_kept::<2>(),
            Scale::ThreeEighths => last_kept::<3>(),
            Scale::Half => last_kept::<4>(),
            Scale::Full => last_kept::<8>(),
        } + 1;
        let masks = padded.0 as u64 * padded.1 as u64 * size_of::<u64>() as u64;
        masks + (blocks.area() as u64 + 1) * (kept * size_of::<i16>()) as u64
    }

    /// Frees the buffers if they have more than `limit` bytes. Returns the number of bytes kept.
    pub(in crate::jpeg) fn shrink(&mut self, limit: usize) -> usize {
        let held = self.masks.capacity() * size_of::<u64>() + self.values.capacity() * 2;
        if held <= limit {
            return held;
        }
        *self = Self::default();
        0
    }

    /// Transforms the kept blocks to samples.
    #[inline(always)]
    pub(in crate::jpeg) fn transform<const N: usize>(
        &self,
        steps: &QuantisationSteps,
        plane: &mut Plane,
    ) {
        let kept = last_kept::<N>() + 1;
        let stride = plane.stride;
        let rows = self.values.chunks_exact(kept * self.blocks.width.max(1));
        for (row, strip) in rows.zip(plane.samples.chunks_mut(stride * N)) {
            for (column, values) in row.chunks_exact(kept).enumerate() {
                let mut coefficients: Coefficients = [0; 64];
                coefficients[..kept].copy_from_slice(values);
                if let Some(output) = strip.get_mut(column * N..) {
                    transform::<N>(&coefficients, steps, output, stride);
                }
            }
        }
    }

    /// Returns the values of the block at column `x` and row `y`.
    ///
    /// Blocks outside `blocks` share one element. Their values are written and never read, so the
    /// scan decoders need no branch for them.
    #[inline(always)]
    pub(super) fn values_of<const N: usize>(&mut self, x: usize, y: usize) -> &mut [i16] {
        let index = self.blocks.index_of(x, y).unwrap_or(self.blocks.area());
        let kept = last_kept::<N>() + 1;
        &mut self.values[index * kept..(index + 1) * kept]
    }
}

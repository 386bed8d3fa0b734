//! Coefficients of a picture between two scans.

use crate::jpeg::idct::{Coefficients, QuantisationSteps, last_kept, transform};
use crate::jpeg::planes::{BlockRect, Plane, Scale, reset_to};

/// Coefficients of a component between scans.
#[derive(Default)]
pub(in crate::jpeg) struct CoefficientStore {
    /// One bit per coefficient in zigzag order, set if it is not zero. For all blocks, including
    /// padding.
    pub(super) masks: Vec<u64>,
    /// Blocks per row of `masks`.
    pub(super) columns: usize,
    /// Values of the kept coefficients, for the blocks in `blocks` row by row. One more block at
    /// the end receives the values of all other blocks.
    values: Vec<i16>,
    blocks: BlockRect,
}

impl CoefficientStore {
    /// Allocates a component's masks for all blocks, and values for those in `blocks`.
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

    /// Returns the number of bytes for a component.
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

    /// Frees the memory if it has more than `limit` bytes. Returns the number of bytes held.
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

    #[inline(always)]
    pub(super) fn values_of<const N: usize>(&mut self, x: usize, y: usize) -> &mut [i16] {
        let index = self.blocks.index_of(x, y).unwrap_or(self.blocks.area());
        let kept = last_kept::<N>() + 1;
        &mut self.values[index * kept..(index + 1) * kept]
    }
}

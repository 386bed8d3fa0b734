//! Result of a decode: the samples of each component, at its own resolution.

use super::colour::ColourModel;
use super::frame_header::{BLOCK, FrameHeader};

/// Scale of a decode: each block of 8 × 8 samples becomes N × N samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scale {
    /// N = 1.
    Eighth,
    /// N = 2.
    Quarter,
    /// N = 3.
    ThreeEighths,
    /// N = 4.
    Half,
    /// N = 8.
    Full,
}

impl Scale {
    /// All scales, from the smallest to the largest.
    pub const ALL: [Self; 5] = [
        Self::Eighth,
        Self::Quarter,
        Self::ThreeEighths,
        Self::Half,
        Self::Full,
    ];

    /// Returns N, the side in samples of a reduced block.
    pub const fn samples_per_block(self) -> usize {
        match self {
            Self::Eighth => 1,
            Self::Quarter => 2,
            Self::ThreeEighths => 3,
            Self::Half => 4,
            Self::Full => 8,
        }
    }

    /// Returns the smallest scale that reduces `source` pixels to at least `wanted` pixels.
    ///
    /// Returns the full scale if no scale does.
    pub fn at_least(source: u32, wanted: u32) -> Self {
        let reaches = |scale: &Self| {
            u64::from(source) * scale.samples_per_block() as u64 >= u64::from(wanted) * BLOCK as u64
        };
        Self::ALL.into_iter().find(reaches).unwrap_or(Self::Full)
    }
}

/// Rectangle of the picture as stored, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Column of the left edge.
    pub x: u32,
    /// Row of the upper edge.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// Decoded picture, or the requested part of it.
#[derive(Debug, Default)]
pub struct Planes {
    /// One plane per component, in the order of the file.
    pub planes: Vec<Plane>,
    /// Meaning of the components.
    pub colour: ColourModel,
}

/// Samples of one component.
///
/// Column `c` of a plane covers the columns of the picture as stored from
/// `(x + c) / samples_per_pixel.0` to `(x + c + 1) / samples_per_pixel.0`. The same holds for
/// rows. To convert a position in pixels to a position in a plane, multiply it by
/// `samples_per_pixel` and subtract `(x, y)`.
#[derive(Debug, Default)]
pub struct Plane {
    /// Rows of `stride` samples. Only the first `width` samples of the first `height` rows belong
    /// to the picture; the others are padding.
    pub samples: Vec<u8>,
    /// Number of samples from one row to the next.
    pub stride: usize,
    /// Number of samples in a row, including a partial one at the right edge of the picture.
    pub width: usize,
    /// Number of rows, including a partial one at the lower edge of the picture.
    pub height: usize,
    /// First column of this plane in the plane of the whole picture.
    pub x: usize,
    /// First row of this plane in the plane of the whole picture.
    pub y: usize,
    /// Horizontal and vertical number of samples per pixel of the picture. At most 1; the scale and
    /// chroma subsampling make it smaller.
    pub samples_per_pixel: (f64, f64),
}

/// Rectangle of MCUs or of blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct BlockRect {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl BlockRect {
    /// Returns the MCUs that `region` intersects, or all MCUs for `None`.
    ///
    /// The result is inside the picture and has at least one MCU, for every region.
    pub(super) fn of_mcus(frame: &FrameHeader, region: Option<Region>) -> Self {
        let mcus = frame.interleaved_mcus();
        let Some(region) = region else {
            return Self {
                x: 0,
                y: 0,
                width: mcus.0,
                height: mcus.1,
            };
        };
        let span = |start: u32, length: u32, mcu_side: usize, count: usize| {
            let first = (start as usize / mcu_side).min(count - 1);
            let end = (start as usize + length as usize)
                .div_ceil(mcu_side)
                .clamp(first + 1, count);
            (first, end - first)
        };
        let (horizontal, vertical) = frame.largest_sampling;
        let (x, width) = span(region.x, region.width, BLOCK * horizontal, mcus.0);
        let (y, height) = span(region.y, region.height, BLOCK * vertical, mcus.1);
        Self {
            x,
            y,
            width,
            height,
        }
    }

    /// Returns the blocks of a component in this rectangle of MCUs.
    pub(super) fn blocks(self, sampling: (usize, usize)) -> Self {
        Self {
            x: self.x * sampling.0,
            y: self.y * sampling.1,
            width: self.width * sampling.0,
            height: self.height * sampling.1,
        }
    }

    /// Returns the number of blocks or MCUs in the rectangle.
    pub(super) fn area(self) -> usize {
        self.width * self.height
    }

    /// Returns the index of a block in the rectangle, row by row, or `None` if it is outside.
    #[inline(always)]
    pub(super) fn index_of(self, x: usize, y: usize) -> Option<usize> {
        // A block left of or above the rectangle wraps to a large number, so one comparison per
        // axis checks both edges.
        let (column, row) = (x.wrapping_sub(self.x), y.wrapping_sub(self.y));
        (column < self.width && row < self.height).then(|| row * self.width + column)
    }
}

/// Fills a vector with `length` copies of `value`. Reuses its buffer if it is large enough.
pub(super) fn reset_to<T: Copy>(vector: &mut Vec<T>, length: usize, value: T) {
    vector.clear();
    if vector.capacity() < length {
        // The old buffer is freed first, so that both never exist at the same time. `vec!`
        // allocates the exact length, while `resize` may allocate more. `peak_memory` depends on
        // both.
        *vector = Vec::new();
        *vector = vec![value; length];
    } else {
        vector.resize(length, value);
    }
}

impl Plane {
    /// Returns the size in bytes of a plane for these blocks.
    pub(super) fn size(blocks: BlockRect, scale: Scale) -> u64 {
        let n = scale.samples_per_block();
        (blocks.width * n) as u64 * (blocks.height * n) as u64
    }

    /// Returns a grey plane for the blocks of a component in `mcus`. Reuses the buffer of
    /// `samples`.
    pub(super) fn new(
        frame: &FrameHeader,
        component: usize,
        mcus: BlockRect,
        scale: Scale,
        mut samples: Vec<u8>,
    ) -> Self {
        let n = scale.samples_per_block();
        let sampling = frame.components[component].sampling;
        let blocks = mcus.blocks(sampling);
        let largest = frame.largest_sampling;
        let (x, y, stride) = (blocks.x * n, blocks.y * n, blocks.width * n);
        let whole_width = (frame.width * sampling.0 * n).div_ceil(largest.0 * BLOCK);
        let whole_height = (frame.height * sampling.1 * n).div_ceil(largest.1 * BLOCK);
        // Scans of one component do not code padding blocks. These keep 128, the value of a block
        // whose coefficients are all 0.
        reset_to(&mut samples, stride * blocks.height * n, 128);
        Self {
            samples,
            stride,
            width: (whole_width - x).min(stride),
            height: (whole_height - y).min(blocks.height * n),
            x,
            y,
            samples_per_pixel: (
                (sampling.0 * n) as f64 / (largest.0 * BLOCK) as f64,
                (sampling.1 * n) as f64 / (largest.1 * BLOCK) as f64,
            ),
        }
    }
}

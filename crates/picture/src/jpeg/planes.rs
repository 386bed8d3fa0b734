//! Results of a decode: the samples of each component, at the component's own resolution.

use super::colour::ColourModel;
use super::frame_header::{BLOCK, FrameHeader};

/// The scale of a decode: each block of 8 × 8 samples becomes N × N.
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
    /// All scales, smallest first.
    pub const ALL: [Self; 5] = [
        Self::Eighth,
        Self::Quarter,
        Self::ThreeEighths,
        Self::Half,
        Self::Full,
    ];

    /// Returns N, the side of a decoded block in samples.
    pub const fn samples_per_block(self) -> usize {
        match self {
            Self::Eighth => 1,
            Self::Quarter => 2,
            Self::ThreeEighths => 3,
            Self::Half => 4,
            Self::Full => 8,
        }
    }

    /// Returns the smallest scale at which `source` pixels become at least `wanted`, or the full
    /// size.
    pub fn at_least(source: u32, wanted: u32) -> Self {
        let reaches = |scale: &Self| {
            u64::from(source) * scale.samples_per_block() as u64 >= u64::from(wanted) * BLOCK as u64
        };
        Self::ALL.into_iter().find(reaches).unwrap_or(Self::Full)
    }
}

/// A rectangle of the picture as stored, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Left edge.
    pub x: u32,
    /// Upper edge.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// A decoded picture, or the requested part of it.
#[derive(Debug, Default)]
pub struct Planes {
    /// One plane per component, in the order of the file.
    pub planes: Vec<Plane>,
    /// The meaning of the components.
    pub colour: ColourModel,
}

/// The samples of one component.
///
/// All samples of a plane cover areas of the same size: column `c` spans the pixels from `(x + c) /
/// samples_per_pixel.0` to `(x + c + 1) / samples_per_pixel.0` of the picture as stored, and rows
/// likewise. So a rectangle of pixels is cut out of every plane in the same way: multiply by
/// `samples_per_pixel` and subtract `(x, y)`.
#[derive(Debug, Default)]
pub struct Plane {
    /// Rows of `stride` samples; only the first `width` of a row and the first `height` rows hold
    /// samples of the picture.
    pub samples: Vec<u8>,
    /// Distance of two rows, in samples.
    pub stride: usize,
    /// Samples per row, including a partial one at the picture's right edge.
    pub width: usize,
    /// Number of rows, including a partial one at the picture's lower edge.
    pub height: usize,
    /// First column of this plane, in the plane of the whole picture.
    pub x: usize,
    /// First row of this plane, in the plane of the whole picture.
    pub y: usize,
    /// Samples per pixel of the picture, horizontally and vertically. At most 1, because of the
    /// scale and of chroma subsampling.
    pub samples_per_pixel: (f64, f64),
}

/// A rectangle of MCUs or of blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct BlockRect {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl BlockRect {
    /// Returns the MCUs that `region` touches, or all MCUs without a region. A region outside the
    /// picture is clipped.
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

    /// Returns the blocks of a component in these MCUs.
    pub(super) fn blocks(self, sampling: (usize, usize)) -> Self {
        Self {
            x: self.x * sampling.0,
            y: self.y * sampling.1,
            width: self.width * sampling.0,
            height: self.height * sampling.1,
        }
    }

    /// Returns the number of blocks in the rectangle.
    pub(super) fn area(self) -> usize {
        self.width * self.height
    }

    /// Returns the index of a block in the rectangle, row by row, if it is inside.
    #[inline(always)]
    pub(super) fn index_of(self, x: usize, y: usize) -> Option<usize> {
        let (column, row) = (x.wrapping_sub(self.x), y.wrapping_sub(self.y));
        (column < self.width && row < self.height).then(|| row * self.width + column)
    }
}

/// Fills a vector with `length` times `value`. Its memory is reused if it suffices.
pub(super) fn reset_to<T: Copy>(vector: &mut Vec<T>, length: usize, value: T) {
    vector.clear();
    if vector.capacity() < length {
        // Not `resize`: that would hold old and new memory at once, and could allocate more than
        // needed.
        *vector = Vec::new();
        *vector = vec![value; length];
    } else {
        vector.resize(length, value);
    }
}

impl Plane {
    /// Returns the number of bytes in a plane for these blocks.
    pub(super) fn size(blocks: BlockRect, scale: Scale) -> u64 {
        let n = scale.samples_per_block();
        (blocks.width * n) as u64 * (blocks.height * n) as u64
    }

    /// Makes an empty plane for the blocks of a component in `units`, in the memory of `samples`.
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

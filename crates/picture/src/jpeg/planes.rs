//! What a decode returns: the samples of each component, at the component's own resolution.

use super::colour::ColourModel;
use super::frame_header::{BLOCK, FrameHeader};

/// How much smaller than the picture to decode: each block of 8 × 8 samples becomes N × N.
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

    /// N: samples along the side of what a block of 8 × 8 becomes.
    pub const fn samples_per_block(self) -> usize {
        match self {
            Self::Eighth => 1,
            Self::Quarter => 2,
            Self::ThreeEighths => 3,
            Self::Half => 4,
            Self::Full => 8,
        }
    }

    /// The smallest scale at which `source` pixels become at least `wanted`, or the full size.
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

/// A decoded picture, or the part of it that was asked for.
#[derive(Debug, Default)]
pub struct Planes {
    /// One a component, in the order of the file.
    pub planes: Vec<Plane>,
    /// What the components mean.
    pub colour: ColourModel,
}

/// The samples of one component.
///
/// Sample (column, row) of a plane covers the same area of the picture as all samples do: column `c`
/// spans the pixels from `(x + c) / samples_per_pixel.0` to `(x + c + 1) / samples_per_pixel.0` of
/// the picture as stored, and rows likewise. So a rectangle of pixels is cut out of every plane alike:
/// multiply by `samples_per_pixel` and subtract `(x, y)`.
#[derive(Debug, Default)]
pub struct Plane {
    /// Rows of `stride` samples; only the first `width` of a row and the first `height` rows hold
    /// samples of the picture.
    pub samples: Vec<u8>,
    /// Samples from one row to the next.
    pub stride: usize,
    /// Samples a row, a partial one at the picture's right edge included.
    pub width: usize,
    /// Rows, a partial one at the picture's lower edge included.
    pub height: usize,
    /// Column of the whole picture's plane at which this plane begins.
    pub x: usize,
    /// Row of the whole picture's plane at which this plane begins.
    pub y: usize,
    /// Horizontal and vertical samples a pixel of the picture: at most 1, by the scale and by chroma
    /// subsampling.
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
    /// The MCUs that `region` touches; all for none. A region that leaves the picture is cut to it.
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

    /// The blocks of a component in these MCUs.
    pub(super) fn blocks(self, sampling: (usize, usize)) -> Self {
        Self {
            x: self.x * sampling.0,
            y: self.y * sampling.1,
            width: self.width * sampling.0,
            height: self.height * sampling.1,
        }
    }

    /// Blocks in the rectangle.
    pub(super) fn area(self) -> usize {
        self.width * self.height
    }

    /// The place of a block among the rectangle's own, row by row, if it is one of them.
    #[inline(always)]
    pub(super) fn index_of(self, x: usize, y: usize) -> Option<usize> {
        let (column, row) = (x.wrapping_sub(self.x), y.wrapping_sub(self.y));
        (column < self.width && row < self.height).then(|| row * self.width + column)
    }
}

/// Makes a vector hold `length` times `value`, on its own memory if that suffices.
pub(super) fn reset_to<T: Copy>(vector: &mut Vec<T>, length: usize, value: T) {
    vector.clear();
    if vector.capacity() < length {
        // In place of growing: the old memory goes first, and not a byte more is taken.
        *vector = Vec::new();
        *vector = vec![value; length];
    } else {
        vector.resize(length, value);
    }
}

impl Plane {
    /// Bytes of samples in a plane for these blocks.
    pub(super) fn size(blocks: BlockRect, scale: Scale) -> u64 {
        let n = scale.samples_per_block();
        (blocks.width * n) as u64 * (blocks.height * n) as u64
    }

    /// An empty plane for the blocks of a component in `units`, on top of `samples`' memory.
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

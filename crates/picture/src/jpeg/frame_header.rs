//! The frame header (ITU-T T.81 B.2.2) and the geometry it implies (A.1 and A.2).

use super::markers::{Segment, code};
use crate::error::Error;

/// Samples along the side of a block.
pub(super) const BLOCK: usize = 8;

/// A frame header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) progressive: bool,
    /// Pixels a line: X in T.81.
    pub(super) width: usize,
    /// Lines: Y in T.81.
    pub(super) height: usize,
    pub(super) components: Vec<Component>,
    /// The largest horizontal and vertical sampling factors of all components.
    pub(super) largest_sampling: (usize, usize),
}

/// One component of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Component {
    pub(super) identifier: u8,
    /// Horizontal and vertical sampling factor, each 1 to 4: H and V in T.81.
    pub(super) sampling: (usize, usize),
    /// Slot of the quantisation table.
    pub(super) quantisation: usize,
    /// Columns and rows of blocks that hold samples of the picture. A scan of this component alone
    /// carries exactly these (A.2.2).
    pub(super) blocks: (usize, usize),
    /// Columns and rows of blocks with those that only fill up the last MCUs of interleaved scans
    /// (A.2.4).
    pub(super) padded_blocks: (usize, usize),
}

impl FrameHeader {
    /// Reads an SOF segment of any kind.
    pub(super) fn parse(segment: &Segment<'_>) -> Result<Self, Error> {
        let progressive = match segment.code {
            code::SOF_BASELINE | code::SOF_EXTENDED => false,
            code::SOF_PROGRESSIVE => true,
            code::SOF_LOSSLESS => return Err(unsupported("lossless JPEG")),
            0xC5..=0xC7 => return Err(unsupported("hierarchical JPEG")),
            _ => return Err(unsupported("arithmetic-coded JPEG")),
        };
        let damaged = |what| segment.damaged(what);
        let [precision, y1, y0, x1, x0, count, specifications @ ..] = segment.payload else {
            return Err(damaged("frame header"));
        };
        if specifications.len() != 3 * usize::from(*count) {
            return Err(damaged("frame header"));
        }
        if *precision != 8 {
            return Err(unsupported("JPEG of other than 8 bits a sample"));
        }
        if !matches!(count, 1 | 3 | 4) {
            return Err(unsupported("JPEG of other than 1, 3 or 4 components"));
        }
        let height = usize::from(u16::from_be_bytes([*y1, *y0]));
        let width = usize::from(u16::from_be_bytes([*x1, *x0]));
        if width == 0 || height == 0 {
            return Err(damaged("no width or no height"));
        }

        let mut components = Vec::with_capacity(4);
        for &[identifier, sampling, quantisation] in specifications.as_chunks::<3>().0 {
            let sampling = (usize::from(sampling >> 4), usize::from(sampling & 15));
            if !(1..=4).contains(&sampling.0) || !(1..=4).contains(&sampling.1) {
                return Err(damaged("sampling factor"));
            }
            components.push(Component {
                identifier,
                sampling,
                quantisation: usize::from(quantisation),
                blocks: (0, 0),
                padded_blocks: (0, 0),
            });
        }
        let largest = |factor: fn(&Component) -> usize| components.iter().map(factor).max();
        let largest_sampling = (
            largest(|component| component.sampling.0).unwrap_or(1),
            largest(|component| component.sampling.1).unwrap_or(1),
        );
        let mut frame = Self {
            progressive,
            width,
            height,
            components,
            largest_sampling,
        };
        frame.lay_out_blocks();
        Ok(frame)
    }

    /// Columns and rows of MCUs in an interleaved scan (A.2.3).
    pub(super) fn interleaved_mcus(&self) -> (usize, usize) {
        (
            self.width.div_ceil(BLOCK * self.largest_sampling.0),
            self.height.div_ceil(BLOCK * self.largest_sampling.1),
        )
    }

    /// All blocks of all components.
    pub(super) fn block_count(&self) -> u64 {
        self.components
            .iter()
            .map(|component| component.padded_blocks.0 as u64 * component.padded_blocks.1 as u64)
            .sum()
    }

    fn lay_out_blocks(&mut self) {
        let mcus = self.interleaved_mcus();
        let (width, height, largest) = (self.width, self.height, self.largest_sampling);
        for component in &mut self.components {
            let (horizontal, vertical) = component.sampling;
            component.blocks = (
                (width * horizontal).div_ceil(largest.0 * BLOCK),
                (height * vertical).div_ceil(largest.1 * BLOCK),
            );
            component.padded_blocks = (mcus.0 * horizontal, mcus.1 * vertical);
        }
    }
}

fn unsupported(what: &'static str) -> Error {
    Error::UnsupportedFormat { what }
}

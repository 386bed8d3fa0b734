//! Parser of the frame header (ITU-T T.81 B.2.2), and the block geometry (A.1 and A.2).

use super::markers::{Segment, code};
use crate::error::Error;

/// Side of a block in samples (A.1.3).
pub(super) const BLOCK: usize = 8;

/// Parsed frame header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// Whether the frame is progressive (SOF2).
    pub(super) progressive: bool,
    /// Width in pixels: X in T.81.
    pub(super) width: usize,
    /// Height in pixels: Y in T.81.
    pub(super) height: usize,
    /// Components in the order of the file: 1, 3 or 4.
    pub(super) components: Vec<Component>,
    /// Largest horizontal and vertical sampling factors of all components.
    pub(super) largest_sampling: (usize, usize),
}

/// Component of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Component {
    /// Identifier that scan headers use: C in T.81.
    pub(super) identifier: u8,
    /// Horizontal and vertical sampling factors, 1 to 4: H and V in T.81.
    pub(super) sampling: (usize, usize),
    /// Slot of the quantisation table: Tq in T.81. Not yet checked to be below 4.
    pub(super) quantisation: usize,
    /// Columns and rows of blocks that hold samples of the picture. A scan of only this component
    /// codes exactly these blocks (A.2.2).
    pub(super) blocks: (usize, usize),
    /// Columns and rows of blocks, including the padding blocks that complete the last MCUs of
    /// interleaved scans (A.2.4).
    pub(super) padded_blocks: (usize, usize),
}

impl FrameHeader {
    /// Parses an SOF segment of any kind.
    ///
    /// # Errors
    /// [`Error::UnsupportedFormat`] for lossless, hierarchical and arithmetic-coded frames, for
    /// samples of other than 8 bits, and for other than 1, 3 or 4 components. [`Error::Damaged`] if
    /// the segment has the wrong length, a size is 0, or a sampling factor is not 1 to 4.
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
            return Err(damaged("invalid frame header"));
        };
        if specifications.len() != 3 * usize::from(*count) {
            return Err(damaged("invalid frame header"));
        }
        if *precision != 8 {
            return Err(unsupported("JPEG with other than 8 bits per sample"));
        }
        if !matches!(count, 1 | 3 | 4) {
            return Err(unsupported("JPEG with other than 1, 3 or 4 components"));
        }
        let height = usize::from(u16::from_be_bytes([*y1, *y0]));
        let width = usize::from(u16::from_be_bytes([*x1, *x0]));
        // T.81 allows a height of 0 if a DNL segment after the first scan gives it (B.2.5). Like
        // libjpeg, this decoder does not support that.
        if width == 0 || height == 0 {
            return Err(damaged("width or height of 0"));
        }

        let mut components = Vec::with_capacity(4);
        for &[identifier, sampling, quantisation] in specifications.as_chunks::<3>().0 {
            let sampling = (usize::from(sampling >> 4), usize::from(sampling & 15));
            if !(1..=4).contains(&sampling.0) || !(1..=4).contains(&sampling.1) {
                return Err(damaged("sampling factor outside 1 to 4"));
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

    /// Returns the columns and rows of MCUs in an interleaved scan (A.2.3).
    pub(super) fn interleaved_mcus(&self) -> (usize, usize) {
        (
            self.width.div_ceil(BLOCK * self.largest_sampling.0),
            self.height.div_ceil(BLOCK * self.largest_sampling.1),
        )
    }

    /// Returns the number of blocks of all components, including padding blocks.
    pub(super) fn block_count(&self) -> u64 {
        self.components
            .iter()
            .map(|component| component.padded_blocks.0 as u64 * component.padded_blocks.1 as u64)
            .sum()
    }

    /// Computes the number of blocks of each component (A.1.1, A.2.4).
    fn lay_out_blocks(&mut self) {
        let mcus = self.interleaved_mcus();
        let (width, height, largest) = (self.width, self.height, self.largest_sampling);
        for component in &mut self.components {
            let (horizontal, vertical) = component.sampling;
            // The sampling factors scale the picture first, then its samples are divided into
            // blocks. Both divisions round up, so one division of the product gives the same.
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

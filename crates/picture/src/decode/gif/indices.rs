//! The pixels of a frame: LZW (appendix F), and the order of rows (appendix E).

use weezl::decode::{Configuration, Decoder};
use weezl::{BitOrder, LzwStatus};

use crate::error::Error;

use super::blocks::ImageDescriptor;

/// Codes that the decoder can hold: 64 bits of codes of 2 bits.
const MAX_BUFFERED_CODES: u32 = 32;

/// Palette indices of a frame, in the order of the file.
pub(super) struct IndexReader<'a> {
    decoder: Decoder,
    /// What remains of the current sub-block.
    block: &'a [u8],
    /// The sub-blocks after it.
    rest: &'a [u8],
    offset: usize,
}

impl<'a> IndexReader<'a> {
    pub(super) fn new(frame: &ImageDescriptor<'a>) -> Result<Self, Error> {
        if !(1..=8).contains(&frame.code_size) {
            return Err(Error::damaged_at(frame.offset, "the size of codes"));
        }
        // Some writers put junk behind the last pixel, which no browser minds.
        let decoder = Configuration::new(BitOrder::Lsb, frame.code_size)
            .with_yield_on_full_buffer(true)
            .build();
        Ok(Self {
            decoder,
            block: &[],
            rest: frame.data,
            offset: frame.offset,
        })
    }

    /// Fills all of `row`.
    pub(super) fn fill(&mut self, mut row: &mut [u8]) -> Result<(), Error> {
        let mut idle_rounds = 0;
        while !row.is_empty() {
            let result = self.decoder.decode_bytes(self.block, row);
            self.block = self.block.get(result.consumed_in..).unwrap_or_default();
            row = row.get_mut(result.consumed_out..).unwrap_or_default();
            let progressed = result.consumed_in > 0 || result.consumed_out > 0;
            idle_rounds = if progressed { 0 } else { idle_rounds + 1 };
            match result.status {
                _ if row.is_empty() => {}
                Err(_) => return Err(Error::damaged_at(self.offset, "the picture data")),
                Ok(LzwStatus::Done) => return Err(self.too_few()),
                Ok(_) if progressed => {}
                Ok(_) if self.block.is_empty() && self.next_block() => idle_rounds = 0,
                // A code that it had read before and that yields no pixel counts as no progress.
                Ok(_) if idle_rounds < MAX_BUFFERED_CODES => {}
                Ok(_) => return Err(self.too_few()),
            }
        }
        Ok(())
    }

    fn too_few(&self) -> Error {
        Error::damaged_at(self.offset, "fewer pixels than the frame has")
    }

    fn next_block(&mut self) -> bool {
        match self
            .rest
            .split_first()
            .and_then(|(&length, rest)| rest.split_at_checked(length.into()))
        {
            Some((block, rest)) if !block.is_empty() => {
                self.offset += 1 + block.len();
                (self.block, self.rest) = (block, rest);
                true
            }
            _ => false,
        }
    }
}

/// Reads the rows of a frame from top to bottom. An interlaced frame is held whole, one byte per pixel.
pub(super) enum RowReader<'a> {
    Straight {
        pixels: Box<IndexReader<'a>>,
        row: Vec<u8>,
    },
    Interlaced {
        frame: Vec<u8>,
        width: usize,
    },
}

impl<'a> RowReader<'a> {
    pub(super) fn new(frame: &ImageDescriptor<'a>) -> Result<Self, Error> {
        let mut pixels = IndexReader::new(frame)?;
        let (width, height) = (usize::from(frame.width), usize::from(frame.height));
        if frame.pixels() == 0 {
            return Err(Error::damaged_at(frame.offset, "a frame without pixels"));
        }
        if !frame.is_interlaced {
            return Ok(Self::Straight {
                pixels: Box::new(pixels),
                row: vec![0; width],
            });
        }
        let mut whole = vec![0; width * height];
        for (start, step) in [(0, 8), (4, 8), (2, 4), (1, 2)] {
            for row in whole.chunks_exact_mut(width).skip(start).step_by(step) {
                pixels.fill(row)?;
            }
        }
        Ok(Self::Interlaced {
            frame: whole,
            width,
        })
    }

    /// Row `y`, which is asked for in order.
    pub(super) fn next(&mut self, y: u32) -> Result<&[u8], Error> {
        match self {
            Self::Straight { pixels, row } => {
                pixels.fill(row)?;
                Ok(row)
            }
            Self::Interlaced { frame, width } => Ok(frame
                .chunks_exact(*width)
                .nth(y as usize)
                .unwrap_or_default()),
        }
    }
}

//! Pixels of a frame: LZW decoding (GIF89a specification, appendix F) and the row order of
//! interlaced frames (appendix E).

use weezl::decode::{Configuration, Decoder};
use weezl::{BitOrder, LzwStatus};

use crate::error::Error;

use super::blocks::ImageDescriptor;

/// Largest number of codes in the bit buffer of the LZW decoder: 64 bits of 2-bit codes.
const MAX_BUFFERED_CODES: u32 = 32;

/// Decodes the palette indices of a frame, in the order in which they are stored.
pub(super) struct IndexReader<'a> {
    decoder: Decoder,
    /// Unread bytes of the current sub-block.
    block: &'a [u8],
    /// Sub-blocks after the current one.
    rest: &'a [u8],
    /// Approximate byte position in the file, for error messages.
    offset: usize,
}

impl<'a> IndexReader<'a> {
    /// Starts decoding a frame.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the LZW minimum code size is not 1 to 8 bits.
    pub(super) fn new(frame: &ImageDescriptor<'a>) -> Result<Self, Error> {
        if !(1..=8).contains(&frame.code_size) {
            return Err(Error::damaged_at(
                frame.offset,
                "the LZW minimum code size is not 1 to 8",
            ));
        }
        // Some writers store invalid codes after the last pixel. Browsers ignore them. With this
        // setting the decoder does not read codes after the output is full.
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

    /// Decodes `row.len()` indices.
    ///
    /// # Errors
    /// [`Error::Damaged`] if a code is invalid, or if the data ends before the row is full.
    pub(super) fn fill(&mut self, mut row: &mut [u8]) -> Result<(), Error> {
        let mut idle_rounds = 0;
        while !row.is_empty() {
            let result = self.decoder.decode_bytes(self.block, row);
            self.block = self.block.get(result.consumed_in..).unwrap_or_default();
            row = row.get_mut(result.consumed_out..).unwrap_or_default();
            let progressed = result.consumed_in > 0 || result.consumed_out > 0;
            idle_rounds = if progressed { 0 } else { idle_rounds + 1 };
            match result.status {
                // A full row is valid whatever the status says about the codes after it.
                _ if row.is_empty() => {}
                Err(_) => return Err(Error::damaged_at(self.offset, "an LZW code is invalid")),
                Ok(LzwStatus::Done) => return Err(self.too_few()),
                Ok(_) if progressed => {}
                Ok(_) if self.block.is_empty() && self.next_block() => idle_rounds = 0,
                // The decoder may hold codes that it has read but not yet decoded. A clear code
                // among them yields no index, so a call without progress is not yet the end of the
                // data.
                Ok(_) if idle_rounds < MAX_BUFFERED_CODES => {}
                Ok(_) => return Err(self.too_few()),
            }
        }
        Ok(())
    }

    /// Returns the error for a frame whose data ends early.
    fn too_few(&self) -> Error {
        Error::damaged_at(self.offset, "the data has fewer pixels than the frame")
    }

    /// Moves to the next sub-block. Returns false at the terminator.
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

/// Reads the rows of a frame from top to bottom.
pub(super) enum RowReader<'a> {
    /// Rows are stored from top to bottom and decoded when they are requested.
    Straight {
        pixels: Box<IndexReader<'a>>,
        row: Vec<u8>,
    },
    /// All rows were decoded first, with one byte per pixel.
    Interlaced { frame: Vec<u8>, width: usize },
}

impl<'a> RowReader<'a> {
    /// Starts reading a frame. Decodes all of it if it is interlaced.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the frame has no pixels, its LZW code size is invalid, or the data of
    /// an interlaced frame is invalid.
    pub(super) fn new(frame: &ImageDescriptor<'a>) -> Result<Self, Error> {
        let mut pixels = IndexReader::new(frame)?;
        let (width, height) = (usize::from(frame.width), usize::from(frame.height));
        if frame.pixels() == 0 {
            return Err(Error::damaged_at(frame.offset, "a frame has no pixels"));
        }
        if !frame.is_interlaced {
            return Ok(Self::Straight {
                pixels: Box::new(pixels),
                row: vec![0; width],
            });
        }
        let mut whole = vec![0; width * height];
        // First row and step of the four passes (appendix E).
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

    /// Returns row `y`. Rows must be requested in order from 0, without gaps.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the LZW data of the row is invalid or ends early.
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

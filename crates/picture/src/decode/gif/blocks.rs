//! Blocks of a GIF (GIF89a specification, sections 15 to 27).

use crate::bytes::Bytes;
use crate::error::Error;

/// Introducer of an extension (sections 23 to 26).
const EXTENSION: u8 = 0x21;
/// Separator that starts an image descriptor (section 20).
const IMAGE: u8 = 0x2C;
/// The last byte of a file (section 27).
const TRAILER: u8 = 0x3B;
/// Label of a graphic control extension (section 23).
const GRAPHIC_CONTROL: u8 = 0xF9;
/// Length in bytes of the header and the logical screen descriptor (sections 17 and 18).
const SCREEN_END: usize = 13;

/// An image descriptor (section 20) with its colour table, transparency and data.
pub(super) struct ImageDescriptor<'a> {
    /// Position on the logical screen, in pixels.
    pub(super) left: u16,
    pub(super) top: u16,
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) is_interlaced: bool,
    /// Local colour table (section 21), 3 bytes per colour.
    pub(super) palette: Option<&'a [u8]>,
    /// Index of the transparent colour.
    pub(super) transparent_index: Option<u8>,
    /// Byte position of the image data in the file.
    pub(super) offset: usize,
    /// Image data (section 22) after its first byte: sub-blocks, including the terminator.
    pub(super) data: &'a [u8],
    /// LZW minimum code size in bits: the first byte of the image data.
    pub(super) code_size: u8,
}

impl ImageDescriptor<'_> {
    /// Returns width × height.
    pub(super) fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// Iterates over the frames of a file without decoding them.
pub(super) struct BlockReader<'a> {
    bytes: &'a [u8],
    /// Byte position of the next block.
    offset: usize,
    /// Global colour table (section 19), 3 bytes per colour; empty if absent.
    pub(super) global_palette: &'a [u8],
}

impl<'a> BlockReader<'a> {
    /// Parses the header, the logical screen descriptor and the global colour table.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the file ends before the first block.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Error> {
        let flags = bytes
            .get(..SCREEN_END)
            .and_then(|screen| screen.byte(10))
            .ok_or(Error::TRUNCATED)?;
        let global_palette = bytes
            .slice_at(SCREEN_END, palette_length(flags))
            .ok_or(Error::TRUNCATED)?;
        Ok(Self {
            bytes,
            offset: SCREEN_END + global_palette.len(),
            global_palette,
        })
    }

    /// Returns width and height of the logical screen, in pixels.
    pub(super) fn screen(&self) -> (u32, u32) {
        let length = |offset| self.bytes.le16(offset).map(u32::from).unwrap_or_default();
        (length(6), length(8))
    }

    /// Returns the next frame, or `None` at the trailer.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the file ends before the trailer. [`Error::Damaged`] if a block does
    /// not start with an extension introducer, an image separator or the trailer.
    pub(super) fn next_frame(&mut self) -> Result<Option<ImageDescriptor<'a>>, Error> {
        // A graphic control extension applies only to the next frame (section 23), so the index is
        // not kept between calls. Of several extensions, the last one before the frame counts.
        let mut transparent_index = None;
        loop {
            let introducer = self.bytes.byte(self.offset).ok_or(Error::TRUNCATED)?;
            match introducer {
                IMAGE => return self.frame(transparent_index).map(Some),
                EXTENSION => {
                    let label = self.bytes.byte(self.offset + 1).ok_or(Error::TRUNCATED)?;
                    if label == GRAPHIC_CONTROL {
                        transparent_index = self.transparent_colour();
                    }
                    self.offset = self.end_of_sub_blocks(self.offset + 2)?;
                }
                TRAILER => return Ok(None),
                _ => return Err(Error::damaged_at(self.offset, "the block type is unknown")),
            }
        }
    }

    /// Returns the transparent colour index of the graphic control extension at the current
    /// position.
    fn transparent_colour(&self) -> Option<u8> {
        // Block size, flags, delay (2 bytes), index. The lowest flag says that the index is valid.
        let [length, flags, _, _, index] = self.bytes.array(self.offset + 2)?;
        (length >= 4 && flags & 1 == 1).then_some(index)
    }

    /// Parses the image descriptor at the current position, and moves behind its data.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the file ends before the end of the image data.
    fn frame(&mut self, transparent_index: Option<u8>) -> Result<ImageDescriptor<'a>, Error> {
        let offset = self.offset + 1;
        let number = |field| self.bytes.le16(offset + field).ok_or(Error::TRUNCATED);
        let (left, top, width, height) = (number(0)?, number(2)?, number(4)?, number(6)?);
        let flags = self.bytes.byte(offset + 8).ok_or(Error::TRUNCATED)?;
        let palette = self
            .bytes
            .slice_at(offset + 9, palette_length(flags))
            .ok_or(Error::TRUNCATED)?;
        let data = offset + 9 + palette.len();
        let code_size = self.bytes.byte(data).ok_or(Error::TRUNCATED)?;
        self.offset = self.end_of_sub_blocks(data + 1)?;
        Ok(ImageDescriptor {
            left,
            top,
            width,
            height,
            is_interlaced: flags & 0x40 != 0,
            palette: (!palette.is_empty()).then_some(palette),
            transparent_index,
            offset: data,
            data: self.bytes.get(data + 1..self.offset).unwrap_or_default(),
            code_size,
        })
    }

    /// Returns the byte position after the terminator of the sub-blocks at `offset` (sections 15
    /// and 16).
    ///
    /// # Errors
    /// [`Error::Truncated`] if the file ends before the terminator.
    fn end_of_sub_blocks(&self, mut offset: usize) -> Result<usize, Error> {
        loop {
            let length = self.bytes.byte(offset).ok_or(Error::TRUNCATED)?;
            offset += 1 + usize::from(length);
            if length == 0 {
                return Ok(offset);
            }
        }
    }
}

/// Returns the length in bytes of the colour table that the flags of a descriptor announce.
fn palette_length(flags: u8) -> usize {
    if flags & 0x80 == 0 {
        0
    } else {
        // The low three bits are log₂ of the number of colours, minus 1. A colour takes 3 bytes.
        3 << ((flags & 7) + 1)
    }
}

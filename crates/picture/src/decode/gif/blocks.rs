//! The blocks of a GIF (sections 15 to 27).

use crate::bytes::Bytes;
use crate::error::Error;

const EXTENSION: u8 = 0x21;
const IMAGE: u8 = 0x2C;
const TRAILER: u8 = 0x3B;
/// Label of a graphic control extension (section 23).
const GRAPHIC_CONTROL: u8 = 0xF9;
/// Signature, version and logical screen descriptor (sections 17 and 18).
const SCREEN_END: usize = 13;

/// An image descriptor (section 20) with what belongs to it.
pub(super) struct ImageDescriptor<'a> {
    pub(super) left: u16,
    pub(super) top: u16,
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) is_interlaced: bool,
    /// The local palette.
    pub(super) palette: Option<&'a [u8]>,
    /// Index of the clear colour.
    pub(super) transparent_index: Option<u8>,
    /// Where the picture data starts in the file.
    pub(super) offset: usize,
    /// The picture data (section 22) without its first byte: sub-blocks to the terminator.
    pub(super) data: &'a [u8],
    /// The first byte of the picture data: bits of the shortest code.
    pub(super) code_size: u8,
}

impl ImageDescriptor<'_> {
    pub(super) fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// Walks a file from frame to frame.
pub(super) struct BlockReader<'a> {
    bytes: &'a [u8],
    offset: usize,
    pub(super) global_palette: &'a [u8],
}

impl<'a> BlockReader<'a> {
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

    /// Width and height of the logical screen.
    pub(super) fn screen(&self) -> (u32, u32) {
        let length = |offset| self.bytes.le16(offset).map(u32::from).unwrap_or_default();
        (length(6), length(8))
    }

    /// The next frame; `None` at the trailer.
    pub(super) fn next_frame(&mut self) -> Result<Option<ImageDescriptor<'a>>, Error> {
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
                _ => return Err(Error::damaged_at(self.offset, "no block where one must be")),
            }
        }
    }

    /// The clear colour of the graphic control extension at hand.
    fn transparent_colour(&self) -> Option<u8> {
        let [length, flags, _, _, index] = self.bytes.array(self.offset + 2)?;
        (length >= 4 && flags & 1 == 1).then_some(index)
    }

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

    /// The byte after the terminator of the sub-blocks (sections 15 and 16) that begin at `at`.
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

/// Bytes of the palette that the flags of a descriptor announce.
fn palette_length(flags: u8) -> usize {
    if flags & 0x80 == 0 {
        0
    } else {
        3 << ((flags & 7) + 1)
    }
}

//! GIF (GIF89a specification): decodes the first frame row by row, and verifies all other frames up
//! to the trailer.
//!
//! The `gif` crate is not used, because it refuses frames without a colour table, which browsers show
//! in black, and its errors do not state the byte of the damage. It also copies metadata blocks to
//! memory; this reader borrows all blocks from the input, so that it holds one row, or one byte per
//! pixel of an interlaced first frame. LZW is decoded by `weezl`, as the `gif` crate does.

mod blocks;
mod indices;

use super::placement::{Placement, compose};
use super::request::{DecodeRequest, Decoded, FormatDecoder};
use crate::colour::ColourSpace;
use crate::error::{Complexity, Error};
use crate::format::Format;
use crate::header::Header;
use crate::orientation::Orientation;
use crate::pixels::Pixels;
use crate::raster::{Channels, CropBox, Raster};
use blocks::{BlockReader, ImageDescriptor};
use indices::{IndexReader, RowReader};

/// Bytes a column: indices, the rows of frame and canvas, and the sums of the reducer.
const ROW_BYTES: u64 = 1 + 4 + 4 + 16;

/// The size: that of the screen (section 18), grown to hold the first frame, as browsers do.
pub(super) fn header(bytes: &[u8]) -> Result<Header, Error> {
    let mut blocks = BlockReader::open(bytes)?;
    let (mut width, mut height) = blocks.screen();
    let mut decoder_bytes = 0;
    if let Some(first) = blocks.next_frame()? {
        width = width.max(u32::from(first.left) + u32::from(first.width));
        height = height.max(u32::from(first.top) + u32::from(first.height));
        // An interlaced frame is held whole, a byte a pixel.
        decoder_bytes += if first.is_interlaced {
            first.pixels()
        } else {
            0
        };
    }
    decoder_bytes += u64::from(width) * ROW_BYTES;
    Ok(Header::new(Format::Gif, width, height, decoder_bytes))
}

pub(super) struct Gif<'a> {
    bytes: &'a [u8],
    canvas: (u32, u32),
}

impl<'a> Gif<'a> {
    pub(super) fn open(bytes: &'a [u8], header: &Header) -> Self {
        Self {
            bytes,
            canvas: (header.width, header.height),
        }
    }

    fn first_frame(
        &self,
        frame: &ImageDescriptor<'_>,
        global: &[u8],
        request: DecodeRequest<'_>,
    ) -> Result<(Raster, CropBox), Error> {
        let placement = Placement {
            canvas: self.canvas,
            x: frame.left.into(),
            y: frame.top.into(),
            width: frame.width.into(),
            height: frame.height.into(),
        };
        let palette = palette(frame, global);
        let mut rows = RowReader::new(frame)?;
        if placement.covers() && frame.transparent_index.is_none() {
            compose(placement, Channels::Rgb, request, |y, row| {
                for (pixel, &index) in row.as_chunks_mut::<3>().0.iter_mut().zip(rows.next(y)?) {
                    let [red, green, blue, _] = palette[usize::from(index)];
                    *pixel = [red, green, blue];
                }
                Ok(())
            })
        } else {
            compose(placement, Channels::Rgba, request, |y, row| {
                for (pixel, &index) in row.as_chunks_mut::<4>().0.iter_mut().zip(rows.next(y)?) {
                    *pixel = palette[usize::from(index)];
                }
                Ok(())
            })
        }
    }
}

impl<'a> FormatDecoder<'a> for Gif<'a> {
    fn orientation(&self) -> Orientation {
        Orientation::default()
    }

    fn decode(self: Box<Self>, request: DecodeRequest<'_>) -> Result<Decoded<'a>, Error> {
        let mut blocks = BlockReader::open(self.bytes)?;
        let first = blocks.next_frame()?.ok_or(Error::damaged("no frame"))?;
        let (raster, crop_box) = self.first_frame(&first, blocks.global_palette, request)?;
        let mut frames = 1;
        let mut work = first.pixels();
        let mut scratch = Vec::new();
        while let Some(frame) = blocks.next_frame()? {
            frames += 1;
            Error::check_limit(Complexity::Frames, frames, request.policy.max_frames.into())?;
            work = work.saturating_add(frame.pixels());
            Error::check_limit(Complexity::FramePixels, work, request.policy.max_work)?;
            scratch.resize(usize::from(frame.width), 0);
            let mut pixels = IndexReader::new(&frame)?;
            for _ in 0..frame.height {
                pixels.fill(&mut scratch)?;
            }
        }
        Ok(Decoded {
            pixels: Pixels::Interleaved(raster, crop_box),
            space: ColourSpace::Srgb,
        })
    }
}

/// The colours of a frame; indices without one are black.
fn palette(frame: &ImageDescriptor<'_>, global: &[u8]) -> [[u8; 4]; 256] {
    let mut palette = [[0, 0, 0, u8::MAX]; 256];
    let colours = frame.palette.unwrap_or(global);
    for (entry, &[red, green, blue]) in palette.iter_mut().zip(colours.as_chunks().0) {
        *entry = [red, green, blue, u8::MAX];
    }
    if let Some(transparent_index) = frame.transparent_index {
        palette[usize::from(transparent_index)] = [0; 4];
    }
    palette
}

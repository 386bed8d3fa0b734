//! GIF (GIF89a specification): the first frame on its screen, row by row; the rest decoded to the
//! trailer and dropped.

mod blocks;
mod indices;

use super::canvas::{self, Placement};
use super::{Decoded, Source, Wanted};
use crate::colour::ColourSpace;
use crate::orientation::Orientation;
use crate::raster::{Channels, Pixels, Raster, Window};
use crate::{Complexity, Error, Format, Header};
use blocks::{Blocks, Frame};
use indices::{Indices, Rows};

/// Bytes a column: indices, the rows of frame and canvas, and the sums of the reducer.
const ROW_BYTES: u64 = 1 + 4 + 4 + 16;

/// The size: that of the screen (section 18), grown to hold the first frame, as browsers do.
pub(super) fn header(bytes: &[u8]) -> Result<Header, Error> {
    let mut blocks = Blocks::open(bytes)?;
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

    fn first(
        &self,
        frame: &Frame<'_>,
        global: &[u8],
        wanted: Wanted<'_>,
    ) -> Result<(Raster, Window), Error> {
        let placement = Placement {
            canvas: self.canvas,
            x: frame.left.into(),
            y: frame.top.into(),
            width: frame.width.into(),
            height: frame.height.into(),
        };
        let palette = palette(frame, global);
        let mut rows = Rows::new(frame)?;
        if placement.covers() && frame.clear.is_none() {
            canvas::compose(placement, Channels::Rgb, wanted, |y, row| {
                for (pixel, &index) in row.as_chunks_mut::<3>().0.iter_mut().zip(rows.next(y)?) {
                    let [red, green, blue, _] = palette[usize::from(index)];
                    *pixel = [red, green, blue];
                }
                Ok(())
            })
        } else {
            canvas::compose(placement, Channels::Rgba, wanted, |y, row| {
                for (pixel, &index) in row.as_chunks_mut::<4>().0.iter_mut().zip(rows.next(y)?) {
                    *pixel = palette[usize::from(index)];
                }
                Ok(())
            })
        }
    }
}

impl<'a> Source<'a> for Gif<'a> {
    fn orientation(&self) -> Orientation {
        Orientation::default()
    }

    fn decode(self: Box<Self>, wanted: Wanted<'_>) -> Result<Decoded<'a>, Error> {
        let mut blocks = Blocks::open(self.bytes)?;
        let first = blocks.next_frame()?.ok_or(Error::damaged("no frame"))?;
        let (raster, window) = self.first(&first, blocks.global_palette, wanted)?;
        let mut frames = 1;
        let mut work = first.pixels();
        let mut scratch = Vec::new();
        while let Some(frame) = blocks.next_frame()? {
            frames += 1;
            Error::complexity(Complexity::Frames, frames, wanted.policy.max_frames.into())?;
            work = work.saturating_add(frame.pixels());
            Error::complexity(Complexity::FramePixels, work, wanted.policy.max_work)?;
            scratch.resize(usize::from(frame.width), 0);
            let mut pixels = Indices::new(&frame)?;
            for _ in 0..frame.height {
                pixels.fill(&mut scratch)?;
            }
        }
        Ok(Decoded {
            pixels: Pixels::Interleaved(raster, window),
            space: ColourSpace::Srgb,
        })
    }
}

/// The colours of a frame; indices without one are black.
fn palette(frame: &Frame<'_>, global: &[u8]) -> [[u8; 4]; 256] {
    let mut palette = [[0, 0, 0, u8::MAX]; 256];
    let colours = frame.palette.unwrap_or(global);
    for (entry, &[red, green, blue]) in palette.iter_mut().zip(colours.as_chunks().0) {
        *entry = [red, green, blue, u8::MAX];
    }
    if let Some(clear) = frame.clear {
        palette[usize::from(clear)] = [0; 4];
    }
    palette
}

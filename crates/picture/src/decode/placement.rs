//! Placement of the first frame of an animation on its canvas.

use crate::raster::{Channels, CropBox, Raster};
use crate::reduce::Reducer;

use super::request::DecodeRequest;
use crate::error::Error;

/// Position and size of a frame on its canvas, in pixels.
///
/// A frame may extend beyond the canvas. The pixels outside are not shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placement {
    /// Width and height of the canvas.
    pub(super) canvas: (u32, u32),
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Placement {
    /// Whether the frame covers the whole canvas.
    pub(super) fn covers(&self) -> bool {
        (self.x, self.y) == (0, 0) && self.width >= self.canvas.0 && self.height >= self.canvas.1
    }
}

/// Draws the rows of a frame on a transparent canvas and reduces the canvas.
///
/// `row(y, buffer)` writes row `y` of the frame, counted from the top of the frame. The buffer
/// holds `placement.width` pixels of `channels`, 8 bits per sample. If the frame does not cover the
/// canvas, `channels` must include alpha.
///
/// # Errors
/// Only errors of `row`.
pub(super) fn compose(
    placement: Placement,
    channels: Channels,
    request: DecodeRequest<'_>,
    mut row: impl FnMut(u32, &mut [u8]) -> Result<(), Error>,
) -> Result<(Raster, CropBox), Error> {
    let count = channels.count();
    let mut reducer = Reducer::new(request.square, request.side, channels);
    let mut frame_row = vec![0; placement.width as usize * count];
    let mut canvas_row = vec![0; placement.canvas.0 as usize * count];
    let start = (placement.x as usize).min(placement.canvas.0 as usize) * count;
    for y in 0..placement.canvas.1 {
        // Rows are requested in order, each once, because the GIF decoder cannot go back.
        match y.checked_sub(placement.y).filter(|&y| y < placement.height) {
            Some(y) => {
                row(y, &mut frame_row)?;
                // `zip` cuts off the part of the frame that is right of the canvas. The columns
                // left and right of the frame are never written and stay transparent.
                for (to, from) in canvas_row.iter_mut().skip(start).zip(&frame_row) {
                    *to = *from;
                }
            }
            None => canvas_row.fill(0),
        }
        reducer.push(&canvas_row);
    }
    Ok(reducer.finish())
}

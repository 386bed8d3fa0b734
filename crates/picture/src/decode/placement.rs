//! The first frame of an animation, laid on its canvas.

use crate::raster::{Channels, CropBox, Raster};
use crate::reduce::Reducer;

use super::request::DecodeRequest;
use crate::error::Error;

/// Where a frame lies on its canvas. It may leave it; what is outside is not shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placement {
    pub(super) canvas: (u32, u32),
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Placement {
    /// Whether the frame hides all of the canvas.
    pub(super) fn covers(&self) -> bool {
        (self.x, self.y) == (0, 0) && self.width >= self.canvas.0 && self.height >= self.canvas.1
    }
}

/// Lays the rows of a frame on a clear canvas and reduces them. `row` writes row `y` of the frame
/// into a buffer of its width, in `channels` of 8 bits; with a frame that does not cover the
/// canvas they must have alpha.
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
        match y.checked_sub(placement.y).filter(|&y| y < placement.height) {
            Some(y) => {
                row(y, &mut frame_row)?;
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

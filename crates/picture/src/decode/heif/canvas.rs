//! The part of a picture around the requested square, plane by plane.
//!
//! It is copied from one frame or from the tiles of a grid.

use super::frame::{Frame, FrameLayout, Row};
use crate::geometry::{Rectangle, Square};
use crate::planar::ComponentPlane;
use crate::raster::{CropBox, Samples};

/// Pixels kept around the requested square as input for the resize filter. Even, so that halved
/// chroma stays aligned.
const PADDING: u32 = 8;

/// Planes of the kept part of a picture.
pub(super) struct Canvas {
    /// Layout of the whole picture.
    pub(super) layout: FrameLayout,
    /// Kept part of the picture, in pixels. Its left and top are even.
    kept: Rectangle,
    /// Samples of `kept` per plane, row by row: 8 bits, or the upper bits of 16.
    planes: Vec<Samples>,
}

impl Canvas {
    /// Allocates a canvas for a picture of `width` × `height` pixels of which `square` is
    /// requested.
    ///
    /// `layout` is that of a frame; its size is ignored.
    pub(super) fn new((width, height): (u32, u32), layout: FrameLayout, square: Square) -> Self {
        // Rounded down to an even pixel, so that the first chroma sample belongs to the first
        // pixel.
        let start = |at: u32| at.saturating_sub(PADDING) & !1;
        let end = |at: u32, length: u32| at.saturating_add(square.size + PADDING).min(length);
        let (x, y) = (start(square.x), start(square.y));
        let kept = Rectangle {
            x,
            y,
            width: end(square.x, width) - x,
            height: end(square.y, height) - y,
        };
        let layout = FrameLayout {
            width,
            height,
            ..layout
        };
        let count = if layout.has_chroma { 3 } else { 1 };
        let mut canvas = Self {
            layout,
            kept,
            planes: Vec::new(),
        };
        canvas.planes = (0..count)
            .map(|plane| {
                let (_, _, columns, rows) = canvas.kept_in_plane(plane);
                let length = columns * rows;
                if layout.bits == 8 {
                    Samples::Eight(vec![0; length])
                } else {
                    Samples::Sixteen(vec![0; length])
                }
            })
            .collect();
        canvas
    }

    /// Returns left, top, columns and rows of the kept part in samples of a plane.
    fn kept_in_plane(&self, plane: usize) -> (usize, usize, usize, usize) {
        let halved = |axis: bool| plane > 0 && axis;
        let span = |start: u32, length: u32, halved: bool| {
            if halved {
                (start / 2, length.div_ceil(2))
            } else {
                (start, length)
            }
        };
        let (x, columns) = span(
            self.kept.x,
            self.kept.width,
            halved(self.layout.subsampling.0),
        );
        let (y, rows) = span(
            self.kept.y,
            self.kept.height,
            halved(self.layout.subsampling.1),
        );
        (x as usize, y as usize, columns as usize, rows as usize)
    }

    /// Copies the kept part of a frame whose top left corner is at pixel `x`, `y` of the picture.
    /// Both must be even.
    pub(super) fn blit(&mut self, frame: &dyn Frame, x: u32, y: u32) {
        for plane in 0..self.planes.len() {
            let (left, top, columns, rows) = self.kept_in_plane(plane);
            let halved = |at: u32, axis: bool| if plane > 0 && axis { at / 2 } else { at } as usize;
            let x = halved(x, self.layout.subsampling.0);
            let y = halved(y, self.layout.subsampling.1);
            let (width, height) = frame.layout().plane(plane);
            // Samples of more than 8 bits are moved to the upper bits of 16, as `SampleRange`
            // expects.
            let shift = 16_u8.saturating_sub(self.layout.bits);
            for row in y.max(top)..(y + height as usize).min(top + rows) {
                let Some(source) = u32::try_from(row - y)
                    .ok()
                    .and_then(|row| frame.row(plane, row))
                else {
                    continue;
                };
                let from =
                    left.saturating_sub(x)..(left + columns).saturating_sub(x).min(width as usize);
                let start = (row - top) * columns + x.saturating_sub(left);
                let to = start..start + from.len();
                match (source, self.planes.get_mut(plane)) {
                    (Row::Eight(source), Some(Samples::Eight(target))) => {
                        if let (Some(source), Some(target)) = (source.get(from), target.get_mut(to))
                        {
                            target.copy_from_slice(source);
                        }
                    }
                    (Row::Sixteen(source), Some(Samples::Sixteen(target))) => {
                        if let (Some(source), Some(target)) = (source.get(from), target.get_mut(to))
                        {
                            for (target, &source) in target.iter_mut().zip(source) {
                                *target = source << shift;
                            }
                        }
                    }
                    #[cfg(feature = "heic")]
                    (Row::Pairs(source), Some(Samples::Sixteen(target))) => {
                        if let (Some(source), Some(target)) = (source.get(from), target.get_mut(to))
                        {
                            for (target, &source) in target.iter_mut().zip(source) {
                                *target = u16::from_ne_bytes(source) << shift;
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// Returns the planes, each with the position of `square` in it.
    ///
    /// `square` is relative to the whole picture.
    pub(super) fn into_planes(self, square: Square) -> Vec<ComponentPlane> {
        let places: Vec<_> = (0..self.planes.len())
            .map(|plane| self.kept_in_plane(plane))
            .collect();
        let subsampling = self.layout.subsampling;
        let kept = self.kept;
        let planes = self.planes.into_iter().zip(places).enumerate();
        planes
            .map(|(plane, (samples, (_, _, columns, rows)))| {
                let share = |axis: bool| if plane > 0 && axis { 0.5 } else { 1.0 };
                let (across, down) = (share(subsampling.0), share(subsampling.1));
                // Halved chroma puts the crop on half samples if the square starts at an odd pixel.
                let crop_box = CropBox {
                    x: f64::from(square.x - kept.x) * across,
                    y: f64::from(square.y - kept.y) * down,
                    width: f64::from(square.size) * across,
                    height: f64::from(square.size) * down,
                };
                let length = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
                ComponentPlane {
                    width: length(columns),
                    height: length(rows),
                    samples,
                    crop_box,
                }
            })
            .collect()
    }

    /// Converts `square` from the whole picture to the kept part.
    pub(super) fn square_in_kept(&self, square: Square) -> Square {
        Square {
            x: square.x - self.kept.x,
            y: square.y - self.kept.y,
            size: square.size,
        }
    }

    /// Returns the width and height of the kept part in pixels.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.kept.width as usize, self.kept.height as usize)
    }

    /// Returns row `y` of the kept part of a plane, or an empty slice if `pick` rejects its sample
    /// type.
    pub(super) fn row<S>(
        &self,
        plane: usize,
        y: usize,
        pick: impl Fn(&Samples) -> Option<&[S]>,
    ) -> &[S] {
        let (_, _, columns, _) = self.kept_in_plane(plane);
        let samples = self.planes.get(plane).and_then(pick).unwrap_or_default();
        samples
            .get(y * columns..(y + 1) * columns)
            .unwrap_or_default()
    }
}

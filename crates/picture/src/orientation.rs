use crate::geometry::Square;

/// The orientation of the stored picture: the eight values of the EXIF tag Orientation (EXIF 2.32,
/// section 4.6.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Orientation {
    /// 1: upright as stored.
    #[default]
    Upright,
    /// 2: mirrored left to right.
    MirroredHorizontally,
    /// 3: to be rotated by 180°.
    HalfTurn,
    /// 4: mirrored top to bottom.
    MirroredVertically,
    /// 5: mirrored at the diagonal from the top left to the bottom right.
    Transposed,
    /// 6: to be rotated by 90° clockwise.
    QuarterClockwise,
    /// 7: mirrored at the diagonal from the top right to the bottom left.
    Transversed,
    /// 8: to be rotated by 90° anticlockwise.
    QuarterAnticlockwise,
}

impl Orientation {
    /// Converts the value of the EXIF tag. Returns `None` outside 1 to 8.
    pub(crate) fn from_exif(value: u32) -> Option<Self> {
        Some(match value {
            1 => Self::Upright,
            2 => Self::MirroredHorizontally,
            3 => Self::HalfTurn,
            4 => Self::MirroredVertically,
            5 => Self::Transposed,
            6 => Self::QuarterClockwise,
            7 => Self::Transversed,
            8 => Self::QuarterAnticlockwise,
            _ => return None,
        })
    }

    /// Returns true if stored rows are columns of the upright picture.
    pub(crate) fn exchanges_axes(self) -> bool {
        matches!(
            self,
            Self::Transposed
                | Self::QuarterClockwise
                | Self::Transversed
                | Self::QuarterAnticlockwise
        )
    }

    /// Converts the width and height of the stored picture to those of the upright picture. The
    /// same function converts back.
    pub(crate) fn dimensions(self, width: u32, height: u32) -> (u32, u32) {
        if self.exchanges_axes() {
            (height, width)
        } else {
            (width, height)
        }
    }

    /// Returns the stored position of a pixel. `x` and `y` are its position in the upright picture,
    /// `width` and `height` the size of the stored picture.
    fn stored(self, x: u32, y: u32, width: u32, height: u32) -> (u32, u32) {
        let right = width.saturating_sub(1);
        let bottom = height.saturating_sub(1);
        match self {
            Self::Upright => (x, y),
            Self::MirroredHorizontally => (right - x, y),
            Self::HalfTurn => (right - x, bottom - y),
            Self::MirroredVertically => (x, bottom - y),
            Self::Transposed => (y, x),
            Self::QuarterClockwise => (y, bottom - x),
            Self::Transversed => (right - y, bottom - x),
            Self::QuarterAnticlockwise => (right - y, x),
        }
    }

    /// Converts an upright square to the stored picture of `width` × `height` pixels. The square
    /// must be inside the upright picture.
    pub(crate) fn stored_square(self, square: Square, width: u32, height: u32) -> Square {
        let last = square.size.saturating_sub(1);
        // The corner that is at the top left of the stored square depends on the orientation. The
        // minimum over two opposite corners finds it.
        let (ax, ay) = self.stored(square.x, square.y, width, height);
        let (bx, by) = self.stored(square.x + last, square.y + last, width, height);
        Square {
            x: ax.min(bx),
            y: ay.min(by),
            size: square.size,
        }
    }

    /// Turns a square upright. It has `side` × `side` pixels of `channels` bytes, 1 to 4.
    pub(crate) fn apply(self, pixels: Vec<u8>, side: u32, channels: usize) -> Vec<u8> {
        if self == Self::Upright || side == 0 {
            return pixels;
        }
        // With a constant pixel size, the compiler copies a pixel in registers.
        match channels {
            1 => self.turn::<1>(&pixels, side),
            2 => self.turn::<2>(&pixels, side),
            3 => self.turn::<3>(&pixels, side),
            _ => self.turn::<4>(&pixels, side),
        }
    }

    /// Copies the pixels of a square of `side` × `side` to their upright positions.
    fn turn<const CHANNELS: usize>(self, pixels: &[u8], side: u32) -> Vec<u8> {
        let pixels = pixels.as_chunks::<CHANNELS>().0;
        let at = |(x, y): (u32, u32)| y as usize * side as usize + x as usize;
        let mut upright = vec![[0; CHANNELS]; pixels.len()];
        // The pixels of an upright row have equal distances in the stored square: 1 pixel, or
        // `side` pixels if the axes are exchanged. So each row is a strided copy, forward or
        // backward, without a computation of the position per pixel.
        for (row, y) in upright.chunks_exact_mut(side as usize).zip(0..) {
            let first = at(self.stored(0, y, side, side));
            let last = at(self.stored(side - 1, y, side, side));
            // A side of 1 has one pixel per row and no distance.
            let step = first.abs_diff(last) / (side as usize - 1).max(1);
            let stored = pixels.get(first.min(last)..).unwrap_or_default();
            let stored = stored.iter().step_by(step.max(1)).take(side as usize);
            if first <= last {
                row.iter_mut()
                    .zip(stored)
                    .for_each(|(to, from)| *to = *from);
            } else {
                row.iter_mut()
                    .rev()
                    .zip(stored)
                    .for_each(|(to, from)| *to = *from);
            }
        }
        upright.into_flattened()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The upright square `abc`, `def`, `ghi`, as each EXIF value stores it, row by row.
    const STORED: [(u32, &[u8; 9]); 8] = [
        (1, b"abcdefghi"),
        (2, b"cbafedihg"),
        (3, b"ihgfedcba"),
        (4, b"ghidefabc"),
        (5, b"adgbehcfi"),
        (6, b"cfibehadg"),
        (7, b"ifchebgda"),
        (8, b"gdahebifc"),
    ];

    #[test]
    fn all_eight_values_become_upright() {
        for (value, stored) in STORED {
            let orientation = Orientation::from_exif(value).unwrap();
            assert_eq!(
                orientation.apply(stored.to_vec(), 3, 1),
                b"abcdefghi",
                "value {value}"
            );
        }
    }

    #[test]
    fn square_is_converted_to_the_stored_picture() {
        // The stored picture has 10 × 4 pixels. Rotated clockwise, it has 4 × 10 pixels, and its
        // top left corner is the stored bottom left corner.
        let square = Square {
            x: 0,
            y: 0,
            size: 3,
        };
        let stored = Orientation::QuarterClockwise.stored_square(square, 10, 4);
        assert_eq!(
            stored,
            Square {
                x: 0,
                y: 1,
                size: 3
            }
        );
        let stored = Orientation::HalfTurn.stored_square(square, 10, 4);
        assert_eq!(
            stored,
            Square {
                x: 7,
                y: 1,
                size: 3
            }
        );
    }
}

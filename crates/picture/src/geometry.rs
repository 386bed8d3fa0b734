//! Squares and rectangles of whole pixels. The origin is the top left corner.

use crate::crop::Crop;
use crate::error::Error;

/// A square that is inside its picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Square {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) size: u32,
}

/// A rectangle that is inside its picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rectangle {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// Returns the square to keep of an upright picture of `width` × `height` pixels: the crop, or the
/// largest square in the centre.
///
/// # Errors
/// [`Error::CropOutside`] if the crop is empty or not inside the picture.
pub(crate) fn crop_square(width: u32, height: u32, crop: Option<Crop>) -> Result<Square, Error> {
    let Some(crop) = crop else {
        let size = width.min(height);
        return Ok(Square {
            x: (width - size) / 2,
            y: (height - size) / 2,
            size,
        });
    };
    // The sum of two numbers of a client can overflow.
    let fits = |start: u32, length: u32| {
        start
            .checked_add(crop.size)
            .is_some_and(|end| end <= length)
    };
    if crop.size == 0 || !fits(crop.x, width) || !fits(crop.y, height) {
        return Err(Error::CropOutside {
            crop,
            width,
            height,
        });
    }
    Ok(Square {
        x: crop.x,
        y: crop.y,
        size: crop.size,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn centre_is_the_default() {
        assert_eq!(
            crop_square(10, 4, None),
            Ok(Square {
                x: 3,
                y: 0,
                size: 4
            })
        );
        assert_eq!(
            crop_square(3, 8, None),
            Ok(Square {
                x: 0,
                y: 2,
                size: 3
            })
        );
    }

    #[test]
    fn crop_outside_the_picture_is_refused() {
        assert!(
            crop_square(
                10,
                4,
                Some(Crop {
                    x: 6,
                    y: 0,
                    size: 4
                })
            )
            .is_ok()
        );
        for (x, y, size) in [
            (7, 0, 4),
            (0, 1, 4),
            (0, 0, 0),
            (u32::MAX, 0, 2),
            (10, 4, 0),
        ] {
            let crop = Crop { x, y, size };
            let expected = Err(Error::CropOutside {
                crop,
                width: 10,
                height: 4,
            });
            assert_eq!(crop_square(10, 4, Some(crop)), expected);
        }
    }
}

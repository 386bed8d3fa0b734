/// A square crop in whole pixels of the upright picture: after the Exif orientation is applied.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    /// Distance from the left edge, in pixels.
    pub x: u32,
    /// Distance from the top edge, in pixels.
    pub y: u32,
    /// Side of the square, in pixels.
    pub size: u32,
}

/// A square to keep, in whole pixels of the upright picture. The origin is the top left corner.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    /// Distance of the left edge from the left edge of the picture.
    pub x: u32,
    /// Distance of the top edge from the top edge of the picture.
    pub y: u32,
    /// Side of the square.
    pub size: u32,
}

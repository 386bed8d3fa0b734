//! A decoded frame, whichever codec it is from.

use crate::error::Error;

/// The planes of a frame: luminance, then the differences.
pub(super) trait Frame {
    fn layout(&self) -> FrameLayout;

    /// What the bitstream says of its colours.
    fn cicp(&self) -> Cicp;

    /// Row `y` of a plane.
    fn row(&self, plane: usize, y: u32) -> Option<Row<'_>>;

    /// Refuses a frame of another size than the container states.
    fn check_size(&self, (width, height): (u32, u32)) -> Result<(), Error> {
        let layout = self.layout();
        if (layout.width, layout.height) == (width, height) {
            Ok(())
        } else {
            Err(Error::damaged("two sizes"))
        }
    }
}

/// Size and kind of a frame's planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameLayout {
    pub(super) width: u32,
    pub(super) height: u32,
    /// Bits a sample: 8, 10 or 12.
    pub(super) bits: u8,
    pub(super) has_chroma: bool,
    /// Whether chroma has half the columns, and half the rows.
    pub(super) subsampling: (bool, bool),
}

/// Code points of ITU-T H.273.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cicp {
    pub(super) primaries: u8,
    pub(super) transfer: u8,
    pub(super) matrix: u8,
    pub(super) full_range: bool,
}

/// A row of samples, of 8 bits or of more in 16.
pub(super) enum Row<'a> {
    Eight(&'a [u8]),
    Sixteen(&'a [u16]),
    /// As above, in bytes of the machine's order.
    #[cfg(feature = "heic")]
    Pairs(&'a [[u8; 2]]),
}

impl FrameLayout {
    /// Columns and rows of a plane.
    pub(super) fn plane(self, plane: usize) -> (u32, u32) {
        let half = |length: u32, halved: bool| if halved { length.div_ceil(2) } else { length };
        match plane {
            0 => (self.width, self.height),
            1 | 2 if self.has_chroma => (
                half(self.width, self.subsampling.0),
                half(self.height, self.subsampling.1),
            ),
            _ => (0, 0),
        }
    }
}

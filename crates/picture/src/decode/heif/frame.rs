//! Interface of decoded frames, independent of the codec.

use crate::error::Error;

/// A decoded frame. Plane 0 is luma, planes 1 and 2 are chroma.
pub(super) trait Frame {
    /// Returns size, bit depth and chroma format.
    fn layout(&self) -> FrameLayout;

    /// Returns the colour information of the bitstream.
    fn cicp(&self) -> Cicp;

    /// Returns row `y` of a plane, or `None` if the frame does not have it.
    fn row(&self, plane: usize, y: u32) -> Option<Row<'_>>;

    /// Checks that the frame has the size that the container states.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the sizes differ.
    fn check_size(&self, (width, height): (u32, u32)) -> Result<(), Error> {
        let layout = self.layout();
        if (layout.width, layout.height) == (width, height) {
            Ok(())
        } else {
            Err(Error::damaged(
                "the bitstream and the ispe property state different sizes",
            ))
        }
    }
}

/// Size, bit depth and chroma format of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameLayout {
    /// Width in pixels.
    pub(super) width: u32,
    /// Height in pixels.
    pub(super) height: u32,
    /// Bits per sample: 8, 10 or 12 in AV1, 8 to 16 in HEVC.
    pub(super) bits: u8,
    pub(super) has_chroma: bool,
    /// Whether chroma has half the columns, and whether it has half the rows.
    pub(super) subsampling: (bool, bool),
}

/// Coding-independent code points for colours (ITU-T H.273, sections 8.1 to 8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cicp {
    pub(super) primaries: u8,
    pub(super) transfer: u8,
    pub(super) matrix: u8,
    pub(super) full_range: bool,
}

/// A row of samples.
pub(super) enum Row<'a> {
    /// Samples of 8 bits.
    Eight(&'a [u8]),
    /// Samples of more than 8 bits, in the lower bits of 16.
    Sixteen(&'a [u16]),
    /// Like `Sixteen`, as two bytes in native order that may not be aligned.
    #[cfg(feature = "heic")]
    Pairs(&'a [[u8; 2]]),
}

impl FrameLayout {
    /// Returns columns and rows of a plane in samples; (0, 0) if it does not exist.
    pub(super) fn plane(self, plane: usize) -> (u32, u32) {
        // Rounded up: the last chroma sample of an odd length covers one pixel only.
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

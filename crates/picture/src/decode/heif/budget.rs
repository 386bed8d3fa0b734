//! What the frames of a file may cost. A few bytes can code many frames that are never shown, and the
//! items of a file can share their bytes, so neither its length nor its pixels bound the work.

use crate::bytes::Bytes;
use crate::error::{Complexity, Error};
use crate::policy::Policy;

/// What a pixel costs, in pixels of [`Policy::max_work`].
const WORK_PER_PIXEL: u64 = 4;
/// How often each byte of a file may be read, on average.
const READS: u64 = 4;

/// Types of OBUs that begin a frame (AV1 Bitstream specification, section 6.2.2).
const FRAME_HEADER: u8 = 3;
const FRAME: u8 = 6;

pub(super) struct Budget {
    work: u64,
    max_work: u64,
    bytes: u64,
    max_bytes: u64,
}

impl Budget {
    /// For a file of `length` bytes.
    pub(super) fn new(length: usize, policy: &Policy) -> Self {
        Self {
            work: 0,
            max_work: policy.max_work,
            bytes: 0,
            max_bytes: (length as u64).saturating_mul(READS),
        }
    }

    /// Counts an item of so many bytes, frames and pixels a frame, before it is decoded.
    pub(super) fn spend(&mut self, bytes: usize, frames: u64, pixels: u64) -> Result<(), Error> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        Error::check_limit(Complexity::ItemBytes, self.bytes, self.max_bytes)?;
        let work = frames.saturating_mul(pixels).saturating_mul(WORK_PER_PIXEL);
        self.work = self.work.saturating_add(work);
        Error::check_limit(Complexity::FramePixels, self.work, self.max_work)
    }
}

/// Frames that are coded in OBUs (section 5.3), shown or not; at least one.
pub(super) fn av1_frames(data: &[u8]) -> u64 {
    let mut count = 0;
    let mut offset = 0;
    while let Some(header) = data.byte(offset) {
        count += u64::from(matches!(header >> 3 & 15, FRAME_HEADER | FRAME));
        let has_extension = header & 4 != 0;
        let has_size = header & 2 != 0;
        offset += 1 + usize::from(has_extension);
        let Some((size, length)) = data.get(offset..).filter(|_| has_size).and_then(leb128) else {
            break;
        };
        offset = offset.saturating_add(length).saturating_add(size);
    }
    count.max(1)
}

/// Frames that are coded in NAL units behind their lengths of 4 bytes, shown or not; at least one:
/// slices (types below 32) whose first bit says that they begin a picture (ITU-T H.265, sections
/// 7.3.1.2 and 7.3.6.1).
#[cfg(feature = "heic")]
pub(super) fn hevc_frames(data: &[u8]) -> u64 {
    let mut count = 0;
    let mut offset = 0_usize;
    while let (Some(length), Some([kind, _, slice])) = (data.be32(offset), data.array(offset + 4)) {
        count += u64::from(kind >> 1 & 63 < 32 && slice & 0x80 != 0);
        offset = offset.saturating_add(4).saturating_add(length as usize);
    }
    count.max(1)
}

/// A number of 7 bits a byte (section 4.10.5), and the bytes that it takes.
fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0_u64;
    for (index, &byte) in bytes.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A temporal delimiter, a sequence header of 200 bytes, and `count` frames of one byte.
    fn stream(count: usize) -> Vec<u8> {
        let mut stream = vec![0x12, 0, 0x0A, 0xC8, 1];
        stream.extend([0; 200]);
        stream.extend([0x32, 1, 0].repeat(count));
        stream
    }

    #[test]
    fn frames_that_are_not_shown_count() {
        assert_eq!(av1_frames(&stream(1)), 1);
        assert_eq!(av1_frames(&stream(70)), 70);
        assert_eq!(av1_frames(&[]), 1);
        let mut budget = Budget::new(1 << 20, &Policy::default());
        assert!(budget.spend(9, av1_frames(&stream(2)), 100_000_000).is_ok());
        let refused = budget.spend(9, 1, 100_000_000);
        assert!(matches!(
            refused,
            Err(Error::TooComplex {
                value: 1_200_000_000,
                ..
            })
        ));
    }

    #[test]
    fn items_that_share_their_bytes_count() {
        let mut budget = Budget::new(10, &Policy::default());
        assert!(budget.spend(10, 1, 1).is_ok());
        assert!(budget.spend(31, 1, 1).is_err());
    }
}

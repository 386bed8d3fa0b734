//! The size that an HEVC stream states for its pictures (ITU-T H.265, section 7.3.2.2): its decoder makes room by it,
//! whatever the container says.

/// What is read of a sequence parameter set.
pub(super) struct SpsSize {
    /// Of the coded picture, in pixels, before its edges are cut off.
    pub(super) width: u32,
    pub(super) height: u32,
    /// Whether something is cut off at the left or at the top.
    pub(super) is_cropped_at_start: bool,
}

/// More bytes than there are before what is read.
const MAX_BYTES: usize = 256;
/// Of a profile and of a level (section 7.3.3), in bits.
const PROFILE: usize = 88;
const LEVEL: usize = 8;

/// Reads a unit, its header of two bytes included.
pub(super) fn read(unit: &[u8]) -> Option<SpsSize> {
    let mut bits = RbspReader::new(unit.get(2..)?);
    let _video_parameters = bits.read_bits(4)?;
    let layers = bits.read_bits(3)? as usize;
    let _nesting = bits.read_bits(1)?;
    bits.skip(PROFILE + LEVEL)?;
    if layers > 0 {
        let mut present = Vec::with_capacity(8);
        for _ in 0..8 {
            present.push((bits.read_bits(1)? == 1, bits.read_bits(1)? == 1));
        }
        for (profile, level) in present.into_iter().take(layers) {
            bits.skip(if profile { PROFILE } else { 0 })?;
            bits.skip(if level { LEVEL } else { 0 })?;
        }
    }
    let _identifier = bits.read_ue()?;
    const SEPARATE: u32 = 3;
    if bits.read_ue()? == SEPARATE {
        bits.skip(1)?;
    }
    let (width, height) = (bits.read_ue()?, bits.read_ue()?);
    let mut is_cropped_at_start = false;
    if bits.read_bits(1)? == 1 {
        let [left, _right, top, _bottom] = [(); 4].map(|()| bits.read_ue());
        is_cropped_at_start = left? > 0 || top? > 0;
    }
    Some(SpsSize {
        width,
        height,
        is_cropped_at_start,
    })
}

/// Reads the bits of a NAL unit, the most significant of each byte first.
struct RbspReader {
    bytes: Vec<u8>,
    at: usize,
}

impl RbspReader {
    /// Leaves out the bytes that keep a start code from turning up in a unit (section 7.4.2).
    fn new(unit: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(MAX_BYTES);
        let mut zeros = 0;
        for byte in unit.iter().take(MAX_BYTES) {
            if zeros >= 2 && *byte == 3 {
                zeros = 0;
                continue;
            }
            zeros = if *byte == 0 { zeros + 1 } else { 0 };
            bytes.push(*byte);
        }
        Self { bytes, at: 0 }
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.at += count;
        (self.at <= self.bytes.len() * 8).then_some(())
    }

    fn read_bits(&mut self, count: usize) -> Option<u32> {
        let mut number = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            number = number << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(number)
    }

    /// An unsigned number of Exp-Golomb code (section 9.2) of at most 31 bits.
    fn read_ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.read_bits(1)? == 0 {
            zeros += 1;
        }
        if zeros > 30 {
            return None;
        }
        Some((1 << zeros) - 1 + self.read_bits(zeros)?)
    }
}

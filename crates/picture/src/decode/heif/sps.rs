//! Picture size in a sequence parameter set (SPS) of HEVC (ITU-T H.265, section 7.3.2.2).
//!
//! libde265 allocates memory for this size, whatever size the container states.

/// The fields of an SPS that the decoder needs.
pub(super) struct SpsSize {
    /// Width of the coded picture in pixels, before cropping.
    pub(super) width: u32,
    /// Height of the coded picture in pixels, before cropping.
    pub(super) height: u32,
    /// Whether the conformance window crops the left or the top.
    pub(super) is_cropped_at_start: bool,
}

/// Number of bytes that are read of an SPS. The fields up to the conformance window take fewer.
const MAX_BYTES: usize = 256;
/// Bits of the profile in `profile_tier_level` (section 7.3.3).
const PROFILE: usize = 88;
/// Bits of the level in `profile_tier_level`.
const LEVEL: usize = 8;

/// Parses an SPS. `unit` includes the NAL unit header of 2 bytes. Returns `None` if it is too short
/// or invalid.
pub(super) fn read(unit: &[u8]) -> Option<SpsSize> {
    // The fields follow section 7.3.2.2.1 in order, up to the conformance window.
    let mut bits = RbspReader::new(unit.get(2..)?);
    let _video_parameters = bits.read_bits(4)?;
    let layers = bits.read_bits(3)? as usize;
    let _nesting = bits.read_bits(1)?;
    bits.skip(PROFILE + LEVEL)?;
    // Two flags for each of 8 sub-layers, then the profile and the level that the flags announce.
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
    // A chroma format of 3 (4:4:4) is followed by the flag for separately coded planes.
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

/// Reads bits of the payload of a NAL unit, most significant bit first.
struct RbspReader {
    bytes: Vec<u8>,
    /// Position of the next bit.
    at: usize,
}

impl RbspReader {
    /// Removes the emulation prevention bytes (section 7.4.2) from the first [`MAX_BYTES`] bytes.
    fn new(unit: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(MAX_BYTES);
        let mut zeros = 0;
        for byte in unit.iter().take(MAX_BYTES) {
            // Encoders insert a 3 after two zero bytes, so that no start code (0, 0, 1) occurs.
            if zeros >= 2 && *byte == 3 {
                zeros = 0;
                continue;
            }
            zeros = if *byte == 0 { zeros + 1 } else { 0 };
            bytes.push(*byte);
        }
        Self { bytes, at: 0 }
    }

    /// Skips `count` bits. Returns `None` beyond the end.
    fn skip(&mut self, count: usize) -> Option<()> {
        self.at += count;
        (self.at <= self.bytes.len() * 8).then_some(())
    }

    /// Reads `count` bits, at most 32. Returns `None` beyond the end.
    fn read_bits(&mut self, count: usize) -> Option<u32> {
        let mut number = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            number = number << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(number)
    }

    /// Reads an unsigned Exp-Golomb number, `ue(v)` (section 9.2). Returns `None` above 31 bits.
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

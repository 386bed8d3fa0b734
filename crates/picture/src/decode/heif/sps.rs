//! The size that an HEVC stream states for its pictures (ITU-T H.265, section 7.3.2.2): its decoder makes room by it,
//! whatever the container says.

/// What is read of a sequence parameter set.
pub(super) struct Stated {
    /// Of the coded picture, in pixels, before its edges are cut off.
    pub(super) width: u32,
    pub(super) height: u32,
    /// Whether something is cut off at the left or at the top.
    pub(super) begins_inside: bool,
}

/// More bytes than there are before what is read.
const ENOUGH: usize = 256;
/// Of a profile and of a level (section 7.3.3), in bits.
const PROFILE: usize = 88;
const LEVEL: usize = 8;

/// Reads a unit, its header of two bytes included.
pub(super) fn read(unit: &[u8]) -> Option<Stated> {
    let mut bits = Bits::of(unit.get(2..)?);
    let _video_parameters = bits.number(4)?;
    let layers = bits.number(3)? as usize;
    let _nesting = bits.number(1)?;
    bits.skip(PROFILE + LEVEL)?;
    if layers > 0 {
        let mut present = Vec::with_capacity(8);
        for _ in 0..8 {
            present.push((bits.number(1)? == 1, bits.number(1)? == 1));
        }
        for (profile, level) in present.into_iter().take(layers) {
            bits.skip(if profile { PROFILE } else { 0 })?;
            bits.skip(if level { LEVEL } else { 0 })?;
        }
    }
    let _identifier = bits.exponential()?;
    const SEPARATE: u32 = 3;
    if bits.exponential()? == SEPARATE {
        bits.skip(1)?;
    }
    let (width, height) = (bits.exponential()?, bits.exponential()?);
    let mut begins_inside = false;
    if bits.number(1)? == 1 {
        let [left, _right, top, _bottom] = [(); 4].map(|()| bits.exponential());
        begins_inside = left? > 0 || top? > 0;
    }
    Some(Stated {
        width,
        height,
        begins_inside,
    })
}

/// Bits of a unit, the highest of each byte first.
struct Bits {
    bytes: Vec<u8>,
    at: usize,
}

impl Bits {
    /// Leaves out the bytes that keep a start code from turning up in a unit (section 7.4.2).
    fn of(unit: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(ENOUGH);
        let mut zeros = 0;
        for byte in unit.iter().take(ENOUGH) {
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

    fn number(&mut self, count: usize) -> Option<u32> {
        let mut number = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            number = number << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(number)
    }

    /// An unsigned number of Exp-Golomb code (section 9.2) of at most 31 bits.
    fn exponential(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.number(1)? == 0 {
            zeros += 1;
        }
        if zeros > 30 {
            return None;
        }
        Some((1 << zeros) - 1 + self.number(zeros)?)
    }
}

//! Finding the n-th set bit of a mask.

#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "an instruction that not every processor has")
)]

/// A way to find the n-th set bit of a mask.
pub(super) trait Select: Copy {
    /// The mask of the `n`-th set bit of `mask`, counted from 0 and from the lowest; 0 if it has
    /// fewer. `n` is at most 63.
    fn nth_set_bit(self, mask: u64, n: u32) -> u64;
}

/// For any processor.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Select for Portable {
    #[inline(always)]
    fn nth_set_bit(self, mut mask: u64, n: u32) -> u64 {
        for _ in 0..n {
            mask &= mask.wrapping_sub(1);
        }
        mask & mask.wrapping_neg()
    }
}

/// By the instruction PDEP of BMI2. One of these exists only where the processor has that.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct Bmi2 {
    is_fast: bool,
}

#[cfg(target_arch = "x86_64")]
impl Bmi2 {
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("bmi2").then(|| Self {
            is_fast: !microcoded(),
        })
    }

    /// Whether the instruction takes less time than [`Portable`].
    pub(super) fn is_fast(self) -> bool {
        self.is_fast
    }
}

/// Whether this is a processor of AMD, or Hygon's of the same design, before Zen 3: family 19h. Those
/// take PDEP apart in microcode, at some cycles for each set bit (Agner Fog, "Instruction tables").
#[cfg(target_arch = "x86_64")]
fn microcoded() -> bool {
    use std::arch::x86_64::__cpuid;

    const ZEN_3: u32 = 0x19;
    let maker = __cpuid(0);
    let maker = [maker.ebx, maker.edx, maker.ecx].map(u32::to_le_bytes);
    let signature = __cpuid(1).eax;
    let family = (signature >> 8 & 0xF) + (signature >> 20 & 0xFF);
    matches!(maker.as_flattened(), b"AuthenticAMD" | b"HygonGenuine") && family < ZEN_3
}

#[cfg(target_arch = "x86_64")]
impl Select for Bmi2 {
    #[inline(always)]
    fn nth_set_bit(self, mask: u64, n: u32) -> u64 {
        // SAFETY: `self` exists, so the processor has BMI2.
        unsafe { std::arch::x86_64::_pdep_u64(1 << n, mask) }
    }
}

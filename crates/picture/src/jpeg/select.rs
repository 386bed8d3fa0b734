//! Search for the n-th set bit of a mask.

#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "PDEP is not available on every x86-64 processor"
    )
)]

/// Method to find the n-th set bit of a mask.
pub(super) trait Select: Copy {
    /// Returns a mask of only the `n`-th set bit of `mask`, counted from 0 at the lowest bit.
    ///
    /// Returns 0 if `mask` has `n` set bits or fewer. `n` must be at most 63.
    fn nth_set_bit(self, mask: u64, n: u32) -> u64;
}

/// Loop for any processor.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Select for Portable {
    #[inline(always)]
    fn nth_set_bit(self, mut mask: u64, n: u32) -> u64 {
        // `n` is the run of a symbol, so it is at most 15 and mostly small.
        for _ in 0..n {
            mask &= mask.wrapping_sub(1);
        }
        mask & mask.wrapping_neg()
    }
}

/// The instruction PDEP of BMI2. A value of this type proves that the processor has BMI2.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct Bmi2 {
    /// Whether PDEP is implemented in hardware, not in microcode.
    is_fast: bool,
}

#[cfg(target_arch = "x86_64")]
impl Bmi2 {
    /// Returns `None` if the processor has no BMI2.
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("bmi2").then(|| Self {
            is_fast: !microcoded(),
        })
    }

    /// Whether the instruction is faster than [`Portable`].
    pub(super) fn is_fast(self) -> bool {
        self.is_fast
    }
}

/// Whether the processor implements PDEP in microcode.
///
/// AMD processors before Zen 3 (family 19h), and those of Hygon with the same design, need several
/// cycles for each set bit of the mask (Agner Fog, "Instruction tables").
#[cfg(target_arch = "x86_64")]
fn microcoded() -> bool {
    use std::arch::x86_64::__cpuid;

    const ZEN_3: u32 = 0x19;
    // Leaf 0 returns the vendor name in the order EBX, EDX, ECX.
    let vendor = __cpuid(0);
    let vendor = [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes);
    // Leaf 1 returns the base family in bits 8 to 11 and the extended family in bits 20 to 27. They
    // are added if the base family is 15, as in all AMD processors with BMI2.
    let signature = __cpuid(1).eax;
    let family = (signature >> 8 & 0xF) + (signature >> 20 & 0xFF);
    matches!(vendor.as_flattened(), b"AuthenticAMD" | b"HygonGenuine") && family < ZEN_3
}

#[cfg(target_arch = "x86_64")]
impl Select for Bmi2 {
    #[inline(always)]
    fn nth_set_bit(self, mask: u64, n: u32) -> u64 {
        // SAFETY: `self` exists, so the processor has BMI2.
        unsafe { std::arch::x86_64::_pdep_u64(1 << n, mask) }
    }
}

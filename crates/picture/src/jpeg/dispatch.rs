//! Selection of the scan decoders by CPU feature.
//!
//! A build runs on every x86-64 processor. Most processors also have instructions that shift, count
//! and select bits faster. So the decoders are compiled twice, the second time with these features.
//! The decoders are `inline(always)`, so they are compiled with the features of their caller.

#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "calls functions that need CPU features, after the features were detected"
    )
)]

use super::baseline::{self, ComponentDecoder, ScanError};
use super::bits::BitReader;
use super::planes::BlockRect;
use super::progressive::{self, CoefficientStore, DcComponentDecoder, ProgressiveAcDecoder};
use super::scan_header::ScanHeader;
#[cfg(target_arch = "x86_64")]
use super::select::Bmi2;
use super::select::Portable;
use super::source::EntropySource;

/// CPU features beyond those that the build requires.
#[derive(Clone, Copy)]
pub(super) struct Processor {
    /// Set if the processor has AVX2, BMI1, BMI2, LZCNT and POPCNT: a subset of x86-64-v3.
    #[cfg(target_arch = "x86_64")]
    extended: Option<Bmi2>,
}

type ScanResult = Result<BitReader, ScanError>;

/// Defines a method that calls `$decode`, in the version for the features of the processor.
///
/// `$select` is the argument for [`Select`](super::select::Select), if `$decode` needs one. Its
/// type differs between the two versions. Such a method uses the portable version if PDEP is slow.
macro_rules! dispatch {
    (
        $(#[$doc:meta])*
        fn $name:ident($($argument:ident: $type:ty),*) = $module:ident::$decode:ident
        $(, $select:ident)?
    ) => {
        $(#[$doc])*
        pub(super) fn $name<const N: usize>(self, $($argument: $type),*) -> ScanResult {
            #[cfg(target_arch = "x86_64")]
            {
                // BMI2 shifts by a variable count without the register CL and without flags. BMI1
                // and LZCNT count zeros and clear the lowest set bit in one instruction. POPCNT
                // counts correction bits. AVX2 holds a row of eight 32-bit values of the inverse
                // DCT in one register.
                #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
                fn extended<const N: usize>($($argument: $type,)* $($select: Bmi2)?) -> ScanResult {
                    $module::$decode::<N>($($argument,)* $($select)?)
                }
                let usable = self.extended;
                $(let usable = usable.filter(|$select| $select.is_fast());)?
                if let Some(_select) = usable {
                    $(let $select = _select;)?
                    // SAFETY: `detect` sets `self.extended` only if the processor has all features
                    // that `extended` is compiled for.
                    return unsafe { extended::<N>($($argument,)* $($select)?) };
                }
            }
            $(let $select = Portable;)?
            $module::$decode::<N>($($argument,)* $($select)?)
        }
    };
}

impl Processor {
    /// Detects the features of the processor.
    pub(super) fn detect() -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            extended: Bmi2::detect().filter(|_| {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("bmi1")
                    && is_x86_feature_detected!("lzcnt")
                    && is_x86_feature_detected!("popcnt")
            }),
        }
    }

    /// Uses only the features that the build requires.
    pub(super) fn portable() -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            extended: None,
        }
    }

    dispatch! {
        /// Calls [`baseline::decode`].
        fn sequential(
            source: &mut EntropySource<'_, '_>,
            scan: &ScanHeader,
            components: &mut [ComponentDecoder<'_, '_>],
            mcus: BlockRect,
            interval: usize
        ) = baseline::decode
    }

    dispatch! {
        /// Calls [`progressive::decode_dc`].
        fn progressive_dc(
            source: &mut EntropySource<'_, '_>,
            scan: &ScanHeader,
            components: &mut [DcComponentDecoder<'_, '_>],
            interval: usize
        ) = progressive::decode_dc
    }

    dispatch! {
        /// Calls [`progressive::decode_ac`].
        fn progressive_ac(
            source: &mut EntropySource<'_, '_>,
            scan: &ScanHeader,
            decoder: &ProgressiveAcDecoder,
            store: &mut CoefficientStore,
            interval: usize
        ) = progressive::decode_ac, select
    }
}

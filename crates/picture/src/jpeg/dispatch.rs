//! The scan decoders, compiled for the processor at hand.
//!
//! Builds are for any x86-64; most processors shift and count bits in fewer instructions than the
//! first ones. So the same code is compiled a second time with those instructions allowed: the
//! functions that do the work are inlined into one that names the features.

#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "calls functions compiled for what a processor was found to have"
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

/// What the processor has that the build does not count on.
#[derive(Clone, Copy)]
pub(super) struct Processor {
    /// The x86-64 extensions of 2013 (Haswell, Excavator), if it has them all.
    #[cfg(target_arch = "x86_64")]
    extended: Option<Bmi2>,
}

type ScanResult = Result<BitReader, ScanError>;

/// Defines a method that calls `$decode` with its arguments, compiled for the extensions if the
/// processor has them. The selector differs between the two, so it is an argument of its own, and
/// what needs one goes without the extensions where selecting by them is slow.
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
                #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
                fn extended<const N: usize>($($argument: $type,)* $($select: Bmi2)?) -> ScanResult {
                    $module::$decode::<N>($($argument,)* $($select)?)
                }
                let usable = self.extended;
                $(let usable = usable.filter(|$select| $select.is_fast());)?
                if let Some(_select) = usable {
                    $(let $select = _select;)?
                    // SAFETY: the processor has all of the features that `extended` is compiled for.
                    return unsafe { extended::<N>($($argument,)* $($select)?) };
                }
            }
            $(let $select = Portable;)?
            $module::$decode::<N>($($argument,)* $($select)?)
        }
    };
}

impl Processor {
    /// Asks the processor.
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

    /// Counts on nothing.
    pub(super) fn portable() -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            extended: None,
        }
    }

    dispatch! {
        /// [`baseline::decode`].
        fn sequential(
            source: &mut EntropySource<'_, '_>,
            scan: &ScanHeader,
            components: &mut [ComponentDecoder<'_, '_>],
            mcus: BlockRect,
            interval: usize
        ) = baseline::decode
    }

    dispatch! {
        /// [`progressive::decode_dc`].
        fn progressive_dc(
            source: &mut EntropySource<'_, '_>,
            scan: &ScanHeader,
            components: &mut [DcComponentDecoder<'_, '_>],
            interval: usize
        ) = progressive::decode_dc
    }

    dispatch! {
        /// [`progressive::decode_ac`].
        fn progressive_ac(
            source: &mut EntropySource<'_, '_>,
            scan: &ScanHeader,
            decoder: &ProgressiveAcDecoder,
            store: &mut CoefficientStore,
            interval: usize
        ) = progressive::decode_ac, select
    }
}

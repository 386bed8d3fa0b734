//! Fuzz target for the JPEG decoder.
//!
//! It checks that the error is the same at every scale, with or without a region, and after other
//! decodes with the same buffers. The portable decoder must give the same samples.

#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use veraicon_picture::jpeg::{Decoder, Limits, Region, Scale, read_header};

/// Limits that keep a decode short.
const LIMITS: Limits = Limits {
    max_scans: 100,
    max_blocks: 100_000,
};

thread_local! {
    /// The decoder that uses all supported features of the processor. It is reused for all inputs,
    /// so that the fuzzer finds errors in the reuse of its buffers.
    static DECODER: RefCell<Decoder> = RefCell::default();
    /// The decoder that uses only the processor features that the build requires.
    static PORTABLE: RefCell<Decoder> = RefCell::new(Decoder::portable());
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(header) = read_header(bytes) else {
        return;
    };
    // Only panics matter here.
    let _ = header.icc_profile(1 << 20);
    if u64::from(header.width) * u64::from(header.height) > 1 << 20 {
        return;
    }
    // The region usually starts inside a block. In a small picture it extends beyond the edges.
    let middle = Region {
        x: header.width / 3,
        y: header.height / 3,
        width: 9,
        height: 20,
    };
    DECODER.with_borrow_mut(|decoder| {
        let mut decode = |scale, region| {
            decoder.decode(bytes, scale, region, &LIMITS).map(|planes| {
                for plane in &planes.planes {
                    assert!(plane.width <= plane.stride && plane.width > 0);
                    assert!(plane.samples.len() >= plane.height * plane.stride);
                }
                decoder.recycle(planes);
            })
        };
        let full = decode(Scale::Full, None);
        for scale in Scale::ALL {
            assert_eq!(decode(scale, Some(middle)), full);
        }
        let portable = PORTABLE
            .with_borrow_mut(|decoder| decoder.decode(bytes, Scale::Quarter, None, &LIMITS));
        let fast = decoder.decode(bytes, Scale::Quarter, None, &LIMITS);
        match (portable, fast) {
            (Ok(portable), Ok(fast)) => {
                for (portable, fast) in portable.planes.iter().zip(&fast.planes) {
                    assert_eq!(portable.samples, fast.samples);
                }
            }
            (portable, fast) => assert_eq!(portable.err(), fast.err()),
        }
    });
});

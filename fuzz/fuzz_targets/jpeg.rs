//! Any bytes to the JPEG decoder: an answer within the budget, the same one at every scale, for any
//! region, and with buffers that earlier decodes have used.

#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use veraicon_picture::jpeg::{Decoder, Limits, Region, Scale, read_header};

const LIMITS: Limits = Limits {
    max_scans: 100,
    max_blocks: 100_000,
};

thread_local! {
    static DECODER: RefCell<Decoder> = RefCell::default();
    static PORTABLE: RefCell<Decoder> = RefCell::new(Decoder::portable());
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(header) = read_header(bytes) else {
        return;
    };
    let _ = header.icc_profile(1 << 20);
    if u64::from(header.width) * u64::from(header.height) > 1 << 20 {
        return;
    }
    let middle = Region {
        x: header.width / 3,
        y: header.height / 3,
        width: 9,
        height: 20,
    };
    DECODER.with_borrow_mut(|decoder| {
        let mut judge = |scale, region| {
            decoder.decode(bytes, scale, region, &LIMITS).map(|planes| {
                for plane in &planes.planes {
                    assert!(plane.width <= plane.stride && plane.width > 0);
                    assert!(plane.samples.len() >= plane.height * plane.stride);
                }
                decoder.recycle(planes);
            })
        };
        let verdict = judge(Scale::Full, None);
        for scale in Scale::ALL {
            assert_eq!(judge(scale, Some(middle)), verdict);
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

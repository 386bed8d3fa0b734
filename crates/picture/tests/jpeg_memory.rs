//! Checks that the stated memory of a JPEG decode is an upper bound and not far above the actual
//! use.

#![expect(unsafe_code, reason = "counting allocations needs an allocator")]

#[path = "jpeg/libjpeg.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod libjpeg;
#[path = "jpeg/recipes.rs"]
mod recipes;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use veraicon_picture::jpeg::{Decoder, Limits, Region, Scale, read_header};

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system allocator with a count of the allocated bytes.
struct Counting;

// SAFETY: forwards every call to the system allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let allocated = ALLOCATED.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(allocated, Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The only test of this binary, so that nothing else allocates in parallel.
#[test]
fn peak_memory_is_an_upper_bound_and_not_far_off() {
    let mut recipes = recipes::all();
    for recipe in recipes::small().into_iter().chain(recipes::all()).take(5) {
        recipes.push(libjpeg::Recipe {
            width: 2100,
            height: 1700,
            ..recipe
        });
    }
    for recipe in recipes {
        let file = libjpeg::encode(&recipe);
        let header = read_header(&file).expect("a valid file");
        for scale in Scale::ALL {
            for region in [
                None,
                Some(Region {
                    x: 10,
                    y: 3,
                    width: 700,
                    height: 500,
                }),
            ] {
                let before = ALLOCATED.load(Relaxed);
                PEAK.store(before, Relaxed);
                let result = Decoder::default().decode(&file, scale, region, &Limits::default());
                let used = (PEAK.load(Relaxed) - before) as u64;
                assert!(result.is_ok());
                let stated = header.peak_memory(scale, region);
                assert!(
                    used <= stated,
                    "used {used} of {stated} bytes at {scale:?} for {recipe:?}"
                );
                assert!(
                    stated - used < 400_000,
                    "used {used} of {stated} bytes for {recipe:?}"
                );
            }
        }
    }
}

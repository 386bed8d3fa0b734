//! The memory that a JPEG decode states is the most that it takes.

#![expect(unsafe_code, reason = "counting allocations takes an allocator")]

#[path = "jpeg/libjpeg.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod libjpeg;
#[path = "jpeg/recipes.rs"]
mod recipes;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use veraicon_picture::jpeg::{Decoder, Limits, Region, Scale, read_header};

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: hands everything to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(held, Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test, so that nothing else allocates meanwhile.
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
        let header = read_header(&file).expect("a whole file");
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
                let before = HELD.load(Relaxed);
                PEAK.store(before, Relaxed);
                let result = Decoder::default().decode(&file, scale, region, &Limits::default());
                let taken = (PEAK.load(Relaxed) - before) as u64;
                assert!(result.is_ok());
                let stated = header.peak_memory(scale, region);
                assert!(
                    taken <= stated,
                    "{taken} of {stated} at {scale:?} for {recipe:?}"
                );
                assert!(
                    stated - taken < 400_000,
                    "{taken} of {stated} for {recipe:?}"
                );
            }
        }
    }
}

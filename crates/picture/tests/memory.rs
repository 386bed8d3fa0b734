//! Checks that [`Header::peak_memory`](veraicon_picture::Header::peak_memory) is an upper bound for
//! the memory of [`process`]. The test counts all allocations through the C library, including
//! those of the C codecs.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![expect(unsafe_code, reason = "counting allocations needs an allocator")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "the pictures are generated"
)]

#[path = "jpeg/libjpeg.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod libjpeg;
#[path = "it/pictures.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod pictures;

mod counting {
    //! Replacement of the C library's allocator functions that counts the allocated bytes. The
    //! linker prefers functions of the executable over those of its libraries.

    use std::ffi::{c_int, c_void};
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
    static PEAK: AtomicUsize = AtomicUsize::new(0);

    /// Returns the number of allocated bytes.
    pub(crate) fn allocated() -> usize {
        ALLOCATED.load(Relaxed)
    }

    /// Runs `work`. Returns its result, and the peak of allocated bytes above the state before.
    pub(crate) fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
        let before = ALLOCATED.load(Relaxed);
        PEAK.store(before, Relaxed);
        let result = work();
        (result, PEAK.load(Relaxed) - before)
    }

    // Internal names of glibc's allocator, which stay available when the public ones are replaced.
    unsafe extern "C" {
        fn __libc_malloc(size: usize) -> *mut c_void;
        fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
        fn __libc_realloc(pointer: *mut c_void, size: usize) -> *mut c_void;
        fn __libc_memalign(alignment: usize, size: usize) -> *mut c_void;
        fn __libc_free(pointer: *mut c_void);
        fn malloc_usable_size(pointer: *mut c_void) -> usize;
    }

    fn count_allocation(pointer: *mut c_void) -> *mut c_void {
        // SAFETY: the pointer is null or was just allocated.
        let size = unsafe { malloc_usable_size(pointer) };
        let allocated = ALLOCATED.fetch_add(size, Relaxed) + size;
        PEAK.fetch_max(allocated, Relaxed);
        pointer
    }

    fn count_release(pointer: *mut c_void) {
        // SAFETY: the pointer is null, or allocated and not yet freed.
        ALLOCATED.fetch_sub(unsafe { malloc_usable_size(pointer) }, Relaxed);
    }

    // SAFETY: this and the following functions forward to glibc, which fulfils their contract in
    // the C standard.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
        // SAFETY: any size is allowed.
        count_allocation(unsafe { __libc_malloc(size) })
    }

    // SAFETY: as above.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
        // SAFETY: any count and size are allowed.
        count_allocation(unsafe { __libc_calloc(count, size) })
    }

    // SAFETY: as above.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn realloc(pointer: *mut c_void, size: usize) -> *mut c_void {
        count_release(pointer);
        // SAFETY: the caller keeps the contract.
        count_allocation(unsafe { __libc_realloc(pointer, size) })
    }

    // SAFETY: as above.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn aligned_alloc(alignment: usize, size: usize) -> *mut c_void {
        // SAFETY: the caller keeps the contract.
        count_allocation(unsafe { __libc_memalign(alignment, size) })
    }

    // SAFETY: as above.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn posix_memalign(
        result: *mut *mut c_void,
        alignment: usize,
        size: usize,
    ) -> c_int {
        const NO_MEMORY: c_int = 12;
        // SAFETY: the caller passes a valid result pointer and alignment.
        unsafe {
            let pointer = count_allocation(__libc_memalign(alignment, size));
            if pointer.is_null() {
                return NO_MEMORY;
            }
            result.write(pointer);
        }
        0
    }

    // SAFETY: as above.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn free(pointer: *mut c_void) {
        count_release(pointer);
        // SAFETY: the caller keeps the contract.
        unsafe { __libc_free(pointer) };
    }
}

use std::thread;

use libjpeg::Recipe;
use mozjpeg_sys::J_COLOR_SPACE::{JCS_CMYK, JCS_GRAYSCALE, JCS_YCbCr};
use pictures::Pixels;
use veraicon_picture::{Crop, OutputFormat, Policy, encode, probe, process};

const WIDTH: u32 = 2100;
const HEIGHT: u32 = 1700;

fn jpegs() -> Vec<(&'static str, Vec<u8>)> {
    let progression: Vec<libjpeg::ScanScript> = vec![
        (&[0, 1, 2], 0, 0, 0, 1),
        (&[0], 1, 63, 0, 0),
        (&[1], 1, 63, 0, 0),
        (&[2], 1, 63, 0, 0),
        (&[0, 1, 2], 0, 0, 1, 0),
    ];
    let file = |sampling: &[(i32, i32)], colours, scans: &[libjpeg::ScanScript]| {
        libjpeg::encode(&Recipe {
            width: WIDTH as usize,
            height: HEIGHT as usize,
            sampling: sampling.to_vec(),
            colours,
            quality: 80,
            restart_interval: 0,
            scans: scans.to_vec(),
            seed: 9,
        })
    };
    vec![
        ("grey JPEG", file(&[(1, 1)], JCS_GRAYSCALE, &[])),
        ("JPEG", file(&[(2, 2), (1, 1), (1, 1)], JCS_YCbCr, &[])),
        ("full JPEG", file(&[(1, 1); 3], JCS_YCbCr, &[])),
        ("CMYK JPEG", file(&[(1, 1); 4], JCS_CMYK, &[])),
        (
            "progressive JPEG",
            file(&[(1, 1); 3], JCS_YCbCr, &progression),
        ),
    ]
}

/// Returns pseudorandom bytes, which compress badly.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(next).collect()
}

fn png(colour: png::ColorType, depth: png::BitDepth) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, WIDTH, HEIGHT);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    let row = WIDTH as usize * colour.samples() * depth as usize / 8;
    let mut writer = encoder.write_header().unwrap();
    writer
        .write_image_data(&noise(row * HEIGHT as usize))
        .unwrap();
    writer.finish().unwrap();
    bytes
}

fn others() -> Vec<(&'static str, Vec<u8>)> {
    let pixels = Pixels::new(WIDTH, HEIGHT);
    let noisy = Pixels {
        rgb: noise(pixels.rgb.len()),
        ..pixels
    };
    let with_alpha = noise((HEIGHT * HEIGHT * 4) as usize);
    vec![
        ("PNG", png(png::ColorType::Rgb, png::BitDepth::Eight)),
        (
            "deep PNG",
            png(png::ColorType::Rgba, png::BitDepth::Sixteen),
        ),
        ("GIF", pixels.gif(2)),
        ("lossless WebP", noisy.webp()),
        ("flat lossless WebP", pixels.webp()),
        (
            "WebP with alpha",
            encode(&with_alpha, HEIGHT, OutputFormat::WebP, 90).unwrap(),
        ),
        ("BMP", noisy.bmp()),
        ("TIFF", noisy.tiff()),
        (
            "AVIF with alpha",
            include_bytes!("it/avif/large-alpha.avif").to_vec(),
        ),
        (
            "AVIF with grain",
            include_bytes!("it/avif/large-grain.avif").to_vec(),
        ),
        (
            "AVIF grid",
            include_bytes!("it/avif/large-grid.avif").to_vec(),
        ),
    ]
}

/// The only test of this binary, so that nothing else allocates in parallel.
#[test]
fn peak_memory_is_an_upper_bound() {
    // rav1d returns no frame for this file at first, so it covers the retries.
    assert_no_leak("grey AVIF", include_bytes!("it/avif/grey.avif"));
    let mut exceeded = Vec::new();
    for (name, bytes) in jpegs().into_iter().chain(others()) {
        assert_no_leak(name, &bytes);
        let header = probe(&bytes).unwrap();
        for sizes in [vec![512, 64], vec![40], vec![2000]] {
            let policy = Policy {
                sizes,
                max_bytes: 64 << 20,
                ..Policy::default()
            };
            for size in [None, Some(1400), Some(500), Some(90)] {
                let crop = size.map(|size| Crop {
                    x: 101,
                    y: 33,
                    size,
                });
                let stated = header.peak_memory(&policy, crop);
                // A new thread, since the decoder reuses buffers per thread.
                let (result, used) = counting::peak(|| {
                    thread::scope(|scope| {
                        let job = scope.spawn(|| process(&bytes, &policy, crop));
                        job.join().unwrap()
                    })
                });
                assert!(result.is_ok(), "{name}: {result:?}");
                let largest = policy.sizes[0];
                println!(
                    "{name}, output {largest}, crop {size:?}: used {} of {} KiB",
                    used >> 10,
                    stated >> 10
                );
                if used as u64 > stated {
                    exceeded.push(format!(
                        "{name}, output {largest}, crop {size:?}: used {used} of {stated} bytes"
                    ));
                }
            }
        }
    }
    assert!(exceeded.is_empty(), "{exceeded:#?}");
}

fn assert_no_leak(name: &str, bytes: &[u8]) {
    let policy = Policy::default();
    let run = || {
        thread::scope(|scope| {
            let job = scope.spawn(|| drop(process(bytes, &policy, None)));
            job.join().unwrap();
        });
        counting::allocated()
    };
    // The first run also allocates everything that is created once per process.
    let (first, second) = (run(), run());
    assert_eq!(first, second, "{name} leaks");
}

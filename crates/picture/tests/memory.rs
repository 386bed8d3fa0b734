//! The memory that [`Header::peak_memory`](veraicon_picture::Header::peak_memory) states is the most
//! that [`process`] takes, the foreign codecs' included: all that the process asks the C library for
//! is counted.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![expect(unsafe_code, reason = "counting allocations takes an allocator")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "the pictures are ours"
)]

#[path = "jpeg/libjpeg.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod libjpeg;
#[path = "it/pictures.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod pictures;

mod counting {
    //! The C library's allocator with a count of the bytes that it has handed out. Functions of an
    //! executable take the place of those of its libraries.

    use std::ffi::{c_int, c_void};
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    static HELD: AtomicUsize = AtomicUsize::new(0);
    static PEAK: AtomicUsize = AtomicUsize::new(0);

    /// Bytes that are held.
    pub(crate) fn held() -> usize {
        HELD.load(Relaxed)
    }

    /// Most bytes that were held during `work` besides those held before it.
    pub(crate) fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
        let before = HELD.load(Relaxed);
        PEAK.store(before, Relaxed);
        let result = work();
        (result, PEAK.load(Relaxed) - before)
    }

    // glibc's own names for its allocator.
    unsafe extern "C" {
        fn __libc_malloc(size: usize) -> *mut c_void;
        fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
        fn __libc_realloc(pointer: *mut c_void, size: usize) -> *mut c_void;
        fn __libc_memalign(alignment: usize, size: usize) -> *mut c_void;
        fn __libc_free(pointer: *mut c_void);
        fn malloc_usable_size(pointer: *mut c_void) -> usize;
    }

    fn taken(pointer: *mut c_void) -> *mut c_void {
        // SAFETY: null, or just allocated.
        let size = unsafe { malloc_usable_size(pointer) };
        let held = HELD.fetch_add(size, Relaxed) + size;
        PEAK.fetch_max(held, Relaxed);
        pointer
    }

    fn given(pointer: *mut c_void) {
        // SAFETY: null, or allocated and not yet freed.
        HELD.fetch_sub(unsafe { malloc_usable_size(pointer) }, Relaxed);
    }

    // SAFETY: of each function here: what the C standard asks of it, glibc's does.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
        // SAFETY: any size is allowed.
        taken(unsafe { __libc_malloc(size) })
    }

    // SAFETY: as above.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
        // SAFETY: any count and size are allowed.
        taken(unsafe { __libc_calloc(count, size) })
    }

    // SAFETY: as above.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn realloc(pointer: *mut c_void, size: usize) -> *mut c_void {
        given(pointer);
        // SAFETY: the caller keeps the contract.
        taken(unsafe { __libc_realloc(pointer, size) })
    }

    // SAFETY: as above.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn aligned_alloc(alignment: usize, size: usize) -> *mut c_void {
        // SAFETY: the caller keeps the contract.
        taken(unsafe { __libc_memalign(alignment, size) })
    }

    // SAFETY: as above.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn posix_memalign(
        result: *mut *mut c_void,
        alignment: usize,
        size: usize,
    ) -> c_int {
        const NO_MEMORY: c_int = 12;
        // SAFETY: the caller gives a place for the result and a valid alignment.
        unsafe {
            let pointer = taken(__libc_memalign(alignment, size));
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
        given(pointer);
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

/// Bytes that no codec finds much in.
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

/// One test, so that nothing else allocates meanwhile.
#[test]
fn peak_memory_is_an_upper_bound() {
    // The codec is asked for it more than once.
    assert_nothing_is_left("grey AVIF", include_bytes!("it/avif/grey.avif"));
    let mut broken = Vec::new();
    for (name, bytes) in jpegs().into_iter().chain(others()) {
        assert_nothing_is_left(name, &bytes);
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
                // In a thread of its own, for the decoder keeps buffers a thread.
                let (result, taken) = counting::peak(|| {
                    thread::scope(|scope| {
                        let job = scope.spawn(|| process(&bytes, &policy, crop));
                        job.join().unwrap()
                    })
                });
                assert!(result.is_ok(), "{name}: {result:?}");
                let largest = policy.sizes[0];
                println!(
                    "{name} to {largest} of {size:?}: {} of {} KiB",
                    taken >> 10,
                    stated >> 10
                );
                if taken as u64 > stated {
                    broken.push(format!(
                        "{name} to {largest} of {size:?}: {taken} of {stated}"
                    ));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

fn assert_nothing_is_left(name: &str, bytes: &[u8]) {
    let policy = Policy::default();
    let run = || {
        thread::scope(|scope| {
            let job = scope.spawn(|| drop(process(bytes, &policy, None)));
            job.join().unwrap();
        });
        counting::held()
    };
    // What is made once in a process is made by the first.
    let (first, second) = (run(), run());
    assert_eq!(first, second, "{name} leaks");
}

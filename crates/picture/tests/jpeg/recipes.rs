//! Parameters of the files that the tests use.

use mozjpeg_sys::J_COLOR_SPACE::{self, JCS_CMYK, JCS_GRAYSCALE, JCS_RGB, JCS_YCCK, JCS_YCbCr};

use crate::libjpeg::{Recipe, ScanScript};

/// The scans that libjpeg's `jpeg_simple_progression` writes for three components.
const TYPICAL: [ScanScript; 10] = [
    (&[0, 1, 2], 0, 0, 0, 1),
    (&[0], 1, 5, 0, 2),
    (&[2], 1, 63, 0, 1),
    (&[1], 1, 63, 0, 1),
    (&[0], 6, 63, 0, 2),
    (&[0], 1, 63, 2, 1),
    (&[0, 1, 2], 0, 0, 1, 0),
    (&[2], 1, 63, 1, 0),
    (&[1], 1, 63, 1, 0),
    (&[0], 1, 63, 1, 0),
];

/// Spectral selection only.
const BANDS: [ScanScript; 8] = [
    (&[0, 1, 2], 0, 0, 0, 0),
    (&[0], 1, 1, 0, 0),
    (&[0], 2, 5, 0, 0),
    (&[0], 6, 20, 0, 0),
    (&[0], 21, 62, 0, 0),
    (&[1], 1, 63, 0, 0),
    (&[0], 63, 63, 0, 0),
    (&[2], 1, 63, 0, 0),
];

/// Successive approximation with many bit positions, in separate scans per component.
const BITS: [ScanScript; 16] = [
    (&[1], 0, 0, 0, 3),
    (&[0, 2], 0, 0, 0, 2),
    (&[0], 1, 63, 0, 4),
    (&[1], 1, 63, 0, 1),
    (&[2], 1, 63, 0, 0),
    (&[0], 1, 63, 4, 3),
    (&[1], 0, 0, 3, 2),
    (&[0], 1, 63, 3, 2),
    (&[0, 1, 2], 0, 0, 2, 1),
    (&[0], 1, 9, 2, 1),
    (&[0], 10, 63, 2, 1),
    (&[0], 10, 63, 1, 0),
    (&[0], 1, 9, 1, 0),
    (&[1], 1, 63, 1, 0),
    (&[0, 1], 0, 0, 1, 0),
    (&[2], 0, 0, 1, 0),
];

const GREY: [ScanScript; 5] = [
    (&[0], 0, 0, 0, 1),
    (&[0], 1, 63, 0, 2),
    (&[0], 1, 63, 2, 1),
    (&[0], 0, 0, 1, 0),
    (&[0], 1, 63, 1, 0),
];

const FOUR: [ScanScript; 7] = [
    (&[0, 1, 2, 3], 0, 0, 0, 1),
    (&[0], 1, 63, 0, 1),
    (&[1], 1, 63, 0, 0),
    (&[2], 1, 63, 0, 0),
    (&[3], 1, 63, 0, 0),
    (&[0, 1, 2, 3], 0, 0, 1, 0),
    (&[0], 1, 63, 1, 0),
];

const SEPARATE: [ScanScript; 3] = [
    (&[0], 0, 63, 0, 0),
    (&[1], 0, 63, 0, 0),
    (&[2], 0, 63, 0, 0),
];
const PAIRED: [ScanScript; 2] = [(&[0], 0, 63, 0, 0), (&[1, 2], 0, 63, 0, 0)];
const FOUR_SEPARATE: [ScanScript; 3] = [
    (&[3], 0, 63, 0, 0),
    (&[0], 0, 63, 0, 0),
    (&[1, 2], 0, 63, 0, 0),
];

/// Sampling factors of the components, including odd and fractional ones. At most 10 blocks per
/// MCU.
const SAMPLINGS: [[(i32, i32); 3]; 16] = [
    [(1, 1), (1, 1), (1, 1)],
    [(2, 2), (1, 1), (1, 1)],
    [(2, 1), (1, 1), (1, 1)],
    [(1, 2), (1, 1), (1, 1)],
    [(4, 1), (1, 1), (1, 1)],
    [(1, 4), (1, 1), (1, 1)],
    [(4, 2), (1, 1), (1, 1)],
    [(2, 4), (1, 1), (1, 1)],
    [(3, 1), (1, 1), (1, 1)],
    [(1, 3), (1, 1), (1, 1)],
    [(3, 2), (1, 2), (1, 1)],
    [(2, 2), (2, 1), (1, 2)],
    [(1, 1), (2, 2), (1, 1)],
    [(3, 1), (2, 1), (2, 1)],
    [(2, 3), (1, 1), (1, 2)],
    [(2, 2), (1, 2), (2, 1)],
];

/// Returns every sampling with every scan script at several sizes, and files of one and four
/// components.
pub(crate) fn all() -> Vec<Recipe> {
    let mut recipes = Vec::new();
    let sizes = [(1, 1), (8, 8), (17, 33), (70, 41)];
    for (index, sampling) in SAMPLINGS.iter().enumerate() {
        let scripts: [&[ScanScript]; 6] = [&[], &SEPARATE, &PAIRED, &TYPICAL, &BANDS, &BITS];
        for (kind, scans) in scripts.iter().enumerate() {
            for size in sizes {
                let restart = [0, 1, 3][(index + kind + size.0) % 3];
                let colours = if index % 5 == 4 { JCS_RGB } else { JCS_YCbCr };
                recipes.push(recipe(size, sampling, colours, restart, scans));
            }
        }
    }
    for size in sizes {
        for (restart, scans) in [(0, &[][..]), (2, &[]), (0, &GREY), (3, &GREY)] {
            recipes.push(recipe(size, &[(1, 1)], JCS_GRAYSCALE, restart, scans));
            recipes.push(recipe(size, &[(2, 3)], JCS_GRAYSCALE, restart, scans));
        }
        for (restart, scans) in [(0, &[][..]), (1, &FOUR_SEPARATE), (0, &FOUR), (2, &FOUR)] {
            recipes.push(recipe(size, &[(1, 1); 4], JCS_CMYK, restart, scans));
            let subsampled = [(2, 2), (1, 1), (1, 1), (2, 2)];
            recipes.push(recipe(size, &subsampled, JCS_YCCK, restart, scans));
        }
    }
    recipes
}

/// Returns small files with every scan script, for tests that change or remove each byte.
pub(crate) fn small() -> Vec<Recipe> {
    let subsampled = [(2, 2), (1, 1), (1, 1)];
    let scripts: [&[ScanScript]; 5] = [&[], &SEPARATE, &TYPICAL, &BANDS, &BITS];
    let mut recipes: Vec<_> = scripts
        .into_iter()
        .zip([0, 1, 0, 2, 1])
        .map(|(scans, restart)| recipe((21, 18), &subsampled, JCS_YCbCr, restart, scans))
        .collect();
    recipes.push(recipe((13, 9), &[(1, 1)], JCS_GRAYSCALE, 0, &GREY));
    recipes.push(recipe((19, 5), &[(1, 1); 4], JCS_CMYK, 0, &[]));
    recipes
}

/// Returns a recipe whose quality and seed are derived from the other parameters.
pub(crate) fn recipe(
    (width, height): (usize, usize),
    sampling: &[(i32, i32)],
    colours: J_COLOR_SPACE,
    restart_interval: u32,
    scans: &[ScanScript],
) -> Recipe {
    let seed = (width * 31 + height * 7 + scans.len() * 3) as u64 + u64::from(restart_interval);
    Recipe {
        width,
        height,
        sampling: sampling.to_vec(),
        colours,
        quality: [30, 60, 85, 97][(width + sampling.len() + scans.len()) % 4],
        restart_interval,
        scans: scans.to_vec(),
        seed,
    }
}

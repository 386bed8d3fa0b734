//! The kinds of files that the tests are run over.

use mozjpeg_sys::J_COLOR_SPACE::{self, JCS_CMYK, JCS_GRAYSCALE, JCS_RGB, JCS_YCCK, JCS_YCbCr};

use crate::libjpeg::{Recipe, ScanScript};

/// Scans of three components that libjpeg's `jpeg_simple_progression` would write.
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

/// Spectral selection alone.
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

/// Many bit positions, components apart.
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

const APART: [ScanScript; 3] = [
    (&[0], 0, 63, 0, 0),
    (&[1], 0, 63, 0, 0),
    (&[2], 0, 63, 0, 0),
];
const PAIRED: [ScanScript; 2] = [(&[0], 0, 63, 0, 0), (&[1, 2], 0, 63, 0, 0)];
const FOUR_APART: [ScanScript; 3] = [
    (&[3], 0, 63, 0, 0),
    (&[0], 0, 63, 0, 0),
    (&[1, 2], 0, 63, 0, 0),
];

/// Component sampling factors, odd and fractional ones included; at most 10 blocks an MCU.
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

/// Every sampling with every script at a few sizes, and files of one and four components.
pub(crate) fn all() -> Vec<Recipe> {
    let mut recipes = Vec::new();
    let sizes = [(1, 1), (8, 8), (17, 33), (70, 41)];
    for (index, sampling) in SAMPLINGS.iter().enumerate() {
        let scripts: [&[ScanScript]; 6] = [&[], &APART, &PAIRED, &TYPICAL, &BANDS, &BITS];
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
        for (restart, scans) in [(0, &[][..]), (1, &FOUR_APART), (0, &FOUR), (2, &FOUR)] {
            recipes.push(recipe(size, &[(1, 1); 4], JCS_CMYK, restart, scans));
            let subsampled = [(2, 2), (1, 1), (1, 1), (2, 2)];
            recipes.push(recipe(size, &subsampled, JCS_YCCK, restart, scans));
        }
    }
    recipes
}

/// Small files of every script, for tests that look at each byte.
pub(crate) fn small() -> Vec<Recipe> {
    let subsampled = [(2, 2), (1, 1), (1, 1)];
    let scripts: [&[ScanScript]; 5] = [&[], &APART, &TYPICAL, &BANDS, &BITS];
    let mut recipes: Vec<_> = scripts
        .into_iter()
        .zip([0, 1, 0, 2, 1])
        .map(|(scans, restart)| recipe((21, 18), &subsampled, JCS_YCbCr, restart, scans))
        .collect();
    recipes.push(recipe((13, 9), &[(1, 1)], JCS_GRAYSCALE, 0, &GREY));
    recipes.push(recipe((19, 5), &[(1, 1); 4], JCS_CMYK, 0, &[]));
    recipes
}

/// A recipe of middling quality.
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

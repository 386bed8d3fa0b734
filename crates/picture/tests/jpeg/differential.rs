//! Comparison of decoded pictures with those of libjpeg-turbo.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use proptest::prelude::*;
use veraicon_picture::jpeg::{Decoder, Limits, Plane, Planes, Region, Scale};

use crate::libjpeg::{self, Blocks, Recipe};
use crate::recipes;

fn decode(file: &[u8], scale: Scale) -> Planes {
    decode_region(file, scale, None)
}

#[expect(clippy::expect_used, reason = "the generated files are valid")]
fn decode_region(file: &[u8], scale: Scale, region: Option<Region>) -> Planes {
    Decoder::default()
        .decode(file, scale, region, &Limits::default())
        .expect("a valid file")
}

fn sample(plane: &Plane, x: usize, y: usize) -> u8 {
    plane.samples[y * plane.stride + x]
}

#[test]
fn full_size_equals_libjpeg() {
    for recipe in recipes::all() {
        let file = libjpeg::encode(&recipe);
        let expected = libjpeg::decode(&file).expect("libjpeg reads its own files");
        let decoded = decode(&file, Scale::Full);
        assert_eq!(decoded.planes.len(), expected.len(), "{recipe:?}");
        for (plane, expected) in decoded.planes.iter().zip(&expected) {
            for (y, row) in expected
                .samples
                .chunks(expected.width)
                .take(plane.height)
                .enumerate()
            {
                let decoded = &plane.samples[y * plane.stride..][..plane.width];
                assert_eq!(decoded, &row[..plane.width], "row {y} of {recipe:?}");
            }
        }
    }
}

/// Compares all scales. At 2/8 and 4/8 the decoders differ: libjpeg averages the samples of the
/// full size, and ours omits the high frequencies. The mean difference stays below 12 of 255 even
/// for noise. At all other scales both decoders use the same transform.
#[test]
fn scaled_grey_is_close_to_libjpeg() {
    for recipe in recipes::all()
        .into_iter()
        .filter(|recipe| recipe.sampling.len() == 1)
    {
        let file = libjpeg::encode(&recipe);
        for scale in Scale::ALL {
            let n = scale.samples_per_block();
            let expected = libjpeg::decode_pixels(&file, n).expect("libjpeg reads its own files");
            let plane = &decode(&file, scale).planes[0];
            assert_eq!(
                (plane.width, plane.height),
                (expected.width, expected.height)
            );
            let differences = (0..plane.height).flat_map(|y| {
                let expected = &expected;
                (0..plane.width).map(move |x| {
                    sample(plane, x, y).abs_diff(expected.samples[y * expected.width + x])
                })
            });
            if matches!(n, 2 | 4) {
                let total: u64 = differences.map(u64::from).sum();
                let mean = total as f64 / (plane.width * plane.height) as f64;
                assert!(mean < 12.0, "mean difference {mean} at {n}/8 of {recipe:?}");
            } else {
                assert_eq!(differences.max(), Some(0), "{n}/8 of {recipe:?}");
            }
        }
    }
}

/// Checks that samples at every scale differ by at most 1 from an exact transform of libjpeg's low
/// N × N coefficients.
#[test]
fn every_scale_is_the_exact_transform_of_the_low_coefficients() {
    for recipe in recipes::all() {
        let file = libjpeg::encode(&recipe);
        let expected = libjpeg::coefficients(&file).expect("libjpeg reads its own files");
        for scale in Scale::ALL {
            let decoded = decode(&file, scale);
            for (plane, blocks) in decoded.planes.iter().zip(&expected) {
                let exact = transform(blocks, scale.samples_per_block());
                let width = blocks.columns * scale.samples_per_block();
                for y in 0..plane.height {
                    for x in 0..plane.width {
                        let difference = f64::from(sample(plane, x, y)) - exact[y * width + x];
                        assert!(
                            difference.abs() <= 1.0,
                            "{difference} at {x}, {y} of {recipe:?}"
                        );
                    }
                }
            }
        }
    }
}

/// Computes the N-point inverse DCT of each block's low coefficients in floating point.
fn transform(component: &Blocks, n: usize) -> Vec<f64> {
    let basis = |position: usize, frequency: usize| {
        let scale = if frequency == 0 { FRAC_1_SQRT_2 } else { 1.0 };
        scale * ((2 * position + 1) as f64 * frequency as f64 * PI / (2 * n) as f64).cos()
    };
    let width = component.columns * n;
    let mut samples = vec![0.0; width * component.rows * n];
    for (index, block) in component.blocks.iter().enumerate() {
        let (left, top) = (index % component.columns * n, index / component.columns * n);
        for y in 0..n {
            for x in 0..n {
                let mut sum = 0.0;
                for v in 0..n {
                    for u in 0..n {
                        sum += f64::from(block[8 * v + u]) * basis(x, u) * basis(y, v);
                    }
                }
                samples[(top + y) * width + left + x] = (sum / 4.0 + 128.0).clamp(0.0, 255.0);
            }
        }
    }
    samples
}

#[test]
fn a_region_equals_that_part_of_the_full_picture() {
    let regions = [
        (0, 0, 1, 1),
        (20, 9, 30, 20),
        (69, 40, 1, 1),
        (0, 16, 70, 9),
        (33, 0, 100, 100),
    ];
    for recipe in recipes::all()
        .into_iter()
        .filter(|recipe| recipe.width == 70)
    {
        let file = libjpeg::encode(&recipe);
        for scale in Scale::ALL {
            let complete = decode(&file, scale);
            for (x, y, width, height) in regions {
                let region = Region {
                    x,
                    y,
                    width,
                    height,
                };
                let part = decode_region(&file, scale, Some(region));
                for (part, complete) in part.planes.iter().zip(&complete.planes) {
                    assert_covers(part, region, &recipe);
                    for y in 0..part.height {
                        for x in 0..part.width {
                            let expected = sample(complete, part.x + x, part.y + y);
                            assert_eq!(sample(part, x, y), expected, "{x}, {y} of {recipe:?}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn the_portable_decoder_gives_the_same_samples() {
    for recipe in recipes::all() {
        let file = libjpeg::encode(&recipe);
        for scale in Scale::ALL {
            let portable = Decoder::portable().decode(&file, scale, None, &Limits::default());
            let portable = portable.map(|planes| planes.planes).unwrap_or_default();
            let fast = decode(&file, scale).planes;
            assert_eq!(portable.len(), fast.len());
            for (portable, fast) in portable.iter().zip(&fast) {
                assert_eq!(portable.samples, fast.samples, "{recipe:?}");
            }
        }
    }
}

/// Checks that a plane contains every sample that `region` touches.
fn assert_covers(plane: &Plane, region: Region, recipe: &Recipe) {
    let (across, down) = plane.samples_per_pixel;
    let right = f64::from(region.x + region.width).min(recipe.width as f64);
    let bottom = f64::from(region.y + region.height).min(recipe.height as f64);
    assert!(plane.x as f64 <= f64::from(region.x) * across);
    assert!(plane.y as f64 <= f64::from(region.y) * down);
    assert!((plane.x + plane.width) as f64 >= right * across);
    assert!((plane.y + plane.height) as f64 >= bottom * down);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_picture_equals_libjpeg(
        choice in any::<prop::sample::Index>(),
        (width, height) in (1_usize..=70, 1_usize..=70),
        quality in 1..=100,
        restart_interval in 0_u32..9,
        seed in any::<u64>(),
    ) {
        let recipes = recipes::all();
        let mut recipe = choice.get(&recipes).clone();
        recipe = Recipe { width, height, quality, restart_interval, seed, ..recipe };
        let file = libjpeg::encode(&recipe);
        let expected = libjpeg::decode(&file).expect("libjpeg reads its own files");
        for (plane, expected) in decode(&file, Scale::Full).planes.iter().zip(&expected) {
            for (y, row) in expected.samples.chunks(expected.width).take(plane.height).enumerate() {
                let decoded = &plane.samples[y * plane.stride..][..plane.width];
                prop_assert_eq!(decoded, &row[..plane.width], "row {} of {:?}", y, &recipe);
            }
        }
    }
}

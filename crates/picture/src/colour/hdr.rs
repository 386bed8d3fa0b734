//! Conversion of high dynamic range (PQ and HLG, Rec. ITU-R BT.2100) to sRGB.
//!
//! The steps for a pixel: samples to display light, matrix to the primaries of sRGB, tone mapping,
//! curve of sRGB. Without tone mapping, such pictures are far too dark or overexposed.

use crate::raster::{Raster, Samples};

use super::channels::round_to_eight;
use super::space::CodePoints;

/// HDR reference white in cd/m², the luminance of white paper (ITU-R BT.2408, table 1). It is the
/// unit of light in this module.
const WHITE: f32 = 203.0;
/// Luminance that becomes full white, in cd/m². It is the nominal peak of an HLG display (BT.2100,
/// table 5), and a common peak of displays on which PQ pictures are edited.
const PEAK: f32 = 1000.0;
/// Transfer characteristics of HLG (ITU-T H.273, table 3).
const HLG: u8 = 18;

/// Converts a raster of RGB or RGBA to pixels of 8 bits per sample in sRGB, with the same channels.
pub(super) fn to_srgb(raster: Raster, points: CodePoints) -> Vec<u8> {
    let has_alpha = raster.channels.has_alpha();
    let Raster { samples, .. } = raster;
    let curve = Curve::new(points.transfer);
    let matrix = points.to_linear_srgb();
    // Most HDR pictures have more than 8 bits, so there is no second path for 8 bits.
    let samples: Vec<u16> = Samples::into_sixteen(samples);
    if has_alpha {
        let (pixels, _) = samples.as_chunks::<4>();
        let convert = |&[red, green, blue, alpha]: &[u16; 4]| {
            let [red, green, blue] = pixel([red, green, blue], &curve, &matrix);
            [red, green, blue, round_to_eight(alpha)]
        };
        pixels.iter().flat_map(convert).collect()
    } else {
        samples
            .as_chunks::<3>()
            .0
            .iter()
            .flat_map(|&rgb| pixel(rgb, &curve, &matrix))
            .collect()
    }
}

/// Converts one pixel. `matrix` converts linear light to linear sRGB.
fn pixel(samples: [u16; 3], curve: &Curve, matrix: &[[f32; 3]; 3]) -> [u8; 3] {
    let light = curve.light(samples.map(|sample| f32::from(sample) / 65_535.0));
    let linear = matrix.map(|row| {
        row.iter()
            .zip(light)
            .map(|(factor, light)| factor * light)
            .sum::<f32>()
    });
    // All channels get the factor of the brightest one, so that the hue does not change. The fold
    // begins with 0, because colours outside the gamut of sRGB have negative channels.
    let brightest = linear.iter().fold(0.0_f32, |max, &light| max.max(light));
    let scale = if brightest > 0.0 {
        tone_map(brightest) / brightest
    } else {
        1.0
    };
    linear.map(|light| encode(light * scale))
}

/// Maps light in units of `WHITE` to 0 to 1: dark tones stay nearly unchanged, `PEAK` becomes 1.
///
/// It is the extended operator of Reinhard et al. (Photographic Tone Reproduction for Digital
/// Images, 2002, equation 4).
fn tone_map(light: f32) -> f32 {
    const MAX: f32 = PEAK / WHITE;
    light * (1.0 + light / (MAX * MAX)) / (1.0 + light)
}

/// Applies the curve of sRGB (IEC 61966-2-1) to linear light. Clamps it to 0 to 1 first.
fn encode(light: f32) -> u8 {
    let light = light.clamp(0.0, 1.0);
    let share = if light <= 0.003_130_8 {
        12.92 * light
    } else {
        1.055 * light.powf(1.0 / 2.4) - 0.055
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of 255"
    )]
    let level = (share * 255.0 + 0.5) as u8;
    level
}

/// A transfer function of BT.2100.
enum Curve {
    Pq,
    Hlg,
}

impl Curve {
    /// Creates the curve of a code point for which [`CodePoints::is_hdr`] is true.
    fn new(transfer: u8) -> Self {
        if transfer == HLG { Self::Hlg } else { Self::Pq }
    }

    /// Converts the RGB samples of a pixel, 0 to 1, to display light in units of `WHITE`.
    fn light(&self, samples: [f32; 3]) -> [f32; 3] {
        match self {
            Self::Pq => samples.map(|sample| pq(sample) * 10_000.0 / WHITE),
            Self::Hlg => {
                let scene = samples.map(hlg);
                // The OOTF of HLG (BT.2100, table 5). The exponent is the system gamma of a display
                // with a peak of 1,000 cd/m², 1.2, minus 1. The black level is 0.
                let [red, green, blue] = scene;
                let luminance = 0.2627 * red + 0.6780 * green + 0.0593 * blue;
                let gain = if luminance > 0.0 {
                    luminance.powf(0.2)
                } else {
                    0.0
                };
                scene.map(|light| light * gain * PEAK / WHITE)
            }
        }
    }
}

/// Applies the EOTF of PQ to a sample, 0 to 1. Returns light from 0 to 1, where 1 is 10,000 cd/m²
/// (BT.2100, table 4).
fn pq(sample: f32) -> f32 {
    const M1: f32 = 2610.0 / 16_384.0;
    const M2: f32 = 2523.0 / 4096.0 * 128.0;
    const C1: f32 = 3424.0 / 4096.0;
    const C2: f32 = 2413.0 / 4096.0 * 32.0;
    const C3: f32 = 2392.0 / 4096.0 * 32.0;
    let root = sample.powf(1.0 / M2);
    ((root - C1).max(0.0) / (C2 - C3 * root)).powf(1.0 / M1)
}

/// Applies the inverse OETF of HLG to a sample, 0 to 1. Returns scene light from 0 to 1 (BT.2100,
/// table 5).
fn hlg(sample: f32) -> f32 {
    const A: f32 = 0.178_832_77;
    const B: f32 = 1.0 - 4.0 * A;
    // 0.5 − A × ln(4 × A)
    const C: f32 = 0.559_910_7;
    if sample <= 0.5 {
        sample * sample / 3.0
    } else {
        (((sample - C) / A).exp() + B) / 12.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_give_the_levels_of_their_standard() {
        // BT.2408, table 1: reference white is 58 % in PQ and 75 % in HLG.
        assert!((pq(0.5807) * 10_000.0 - WHITE).abs() < 3.0);
        let [page, ..] = Curve::Hlg.light([0.75; 3]);
        assert!((page - 1.0).abs() < 0.02, "{page}");
        assert!((pq(1.0) - 1.0).abs() < 1e-3);
        assert!((hlg(1.0) - 1.0).abs() < 1e-3);
    }

    #[test]
    fn tone_mapping_keeps_dark_tones_and_maps_the_peak_to_white() {
        assert!((tone_map(PEAK / WHITE) - 1.0).abs() < 1e-4);
        assert_eq!(encode(1.0), 255);
        assert_eq!(encode(0.0), 0);
        assert!(tone_map(0.01) > 0.0098);
    }
}

//! Conversion of high dynamic range (PQ and HLG, ITU-R BT.2100) to sRGB. Without tone mapping, such
//! pictures would be far too dark or overexposed.

use crate::raster::{Raster, Samples};

use super::channels::round_to_eight;
use super::space::CodePoints;

/// Luminance of a white page in an HDR picture, in cd/m² (ITU-R BT.2408, section 2).
const WHITE: f32 = 203.0;
/// Luminance that becomes full white, in cd/m². HDR pictures are graded for it.
const PEAK: f32 = 1000.0;
/// Code point of HLG.
const HLG: u8 = 18;

/// Converts RGB or RGBA samples to RGB or RGBA of 8 bits in sRGB.
pub(super) fn to_srgb(raster: Raster, points: CodePoints) -> Vec<u8> {
    let has_alpha = raster.channels.has_alpha();
    let Raster { samples, .. } = raster;
    let curve = Curve::new(points.transfer);
    let matrix = points.to_linear_srgb();
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

fn pixel(samples: [u16; 3], curve: &Curve, matrix: &[[f32; 3]; 3]) -> [u8; 3] {
    let light = curve.light(samples.map(|sample| f32::from(sample) / 65_535.0));
    let linear = matrix.map(|row| {
        row.iter()
            .zip(light)
            .map(|(factor, light)| factor * light)
            .sum::<f32>()
    });
    let brightest = linear.iter().fold(0.0_f32, |max, &light| max.max(light));
    let scale = if brightest > 0.0 {
        tone_map(brightest) / brightest
    } else {
        1.0
    };
    linear.map(|light| encode(light * scale))
}

/// Maps luminance with the extended Reinhard operator: dark tones stay, `PEAK` becomes 1. In units
/// of `WHITE`.
fn tone_map(light: f32) -> f32 {
    const MAX: f32 = PEAK / WHITE;
    light * (1.0 + light / (MAX * MAX)) / (1.0 + light)
}

/// Applies the curve of sRGB (IEC 61966-2-1).
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

/// Converts samples to light in units of `WHITE`.
enum Curve {
    Pq,
    Hlg,
}

impl Curve {
    fn new(transfer: u8) -> Self {
        if transfer == HLG { Self::Hlg } else { Self::Pq }
    }

    fn light(&self, samples: [f32; 3]) -> [f32; 3] {
        match self {
            Self::Pq => samples.map(|sample| pq(sample) * 10_000.0 / WHITE),
            Self::Hlg => {
                let scene = samples.map(hlg);
                // The system gamma of a display of `PEAK` (BT.2100, table 5), which has no black.
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

/// Applies the PQ curve, whose peak is 10,000 cd/m² (BT.2100, table 4).
fn pq(sample: f32) -> f32 {
    const M1: f32 = 2610.0 / 16_384.0;
    const M2: f32 = 2523.0 / 4096.0 * 128.0;
    const C1: f32 = 3424.0 / 4096.0;
    const C2: f32 = 2413.0 / 4096.0 * 32.0;
    const C3: f32 = 2392.0 / 4096.0 * 32.0;
    let root = sample.powf(1.0 / M2);
    ((root - C1).max(0.0) / (C2 - C3 * root)).powf(1.0 / M1)
}

/// Inverts the HLG curve. Returns scene light from 0 to 1 (BT.2100, table 5).
fn hlg(sample: f32) -> f32 {
    const A: f32 = 0.178_832_77;
    const B: f32 = 1.0 - 4.0 * A;
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
    fn curves_meet_their_standard() {
        // BT.2408: a white page is 58 % in PQ and 75 % in HLG.
        assert!((pq(0.5807) * 10_000.0 - WHITE).abs() < 3.0);
        let [page, ..] = Curve::Hlg.light([0.75; 3]);
        assert!((page - 1.0).abs() < 0.02, "{page}");
        assert!((pq(1.0) - 1.0).abs() < 1e-3);
        assert!((hlg(1.0) - 1.0).abs() < 1e-3);
    }

    #[test]
    fn tones_rise_to_full() {
        assert!((tone_map(PEAK / WHITE) - 1.0).abs() < 1e-4);
        assert_eq!(encode(1.0), 255);
        assert_eq!(encode(0.0), 0);
        assert!(tone_map(0.01) > 0.0098);
    }
}

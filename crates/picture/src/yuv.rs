//! Conversion of luminance and colour differences to RGB (ITU-T H.273, section 8.3).
//!
//! The transfer characteristics do not matter here: input and output are encoded samples.

use crate::raster::{Raster, Samples};

/// The depth and range of sample values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SampleRange {
    /// Bits per sample, 8 to 16. A sample of more than 8 bits is in the upper bits of a `u16`, and
    /// the lower bits are 0.
    pub(crate) bits: u8,
    /// Whether samples use the full range. In the limited range, those of 8 bits use 16 to 235 for
    /// luminance and RGB, and 16 to 240 for chroma.
    pub(crate) full: bool,
}

impl SampleRange {
    /// Returns the factor and the offset for a sample of luminance, grey or RGB: `sample × factor +
    /// offset` is from 0 to 1.
    fn luminance(self) -> (f32, f32) {
        if self.full {
            return (1.0 / self.max_sample(), 0.0);
        }
        // 219 is 235 − 16.
        (1.0 / (219.0 * self.step()), -16.0 / 219.0)
    }

    /// Returns the factor and the offset for a sample of a colour difference: `sample × factor +
    /// offset` is from -0.5 to 0.5.
    fn chroma(self) -> (f32, f32) {
        if self.full {
            // Zero is at 128, so the result for the largest sample is slightly less than 0.5.
            let factor = 1.0 / self.max_sample();
            return (factor, -128.0 * self.step() * factor);
        }
        // 224 is 240 − 16.
        (1.0 / (224.0 * self.step()), -128.0 / 224.0)
    }

    /// Returns the difference of two samples that are one step of 8 bits apart.
    fn step(self) -> f32 {
        if self.bits == 8 { 1.0 } else { 256.0 }
    }

    /// Returns the value of the largest sample.
    fn max_sample(self) -> f32 {
        if self.bits == 8 {
            255.0
        } else {
            // The lower bits are 0. For 10 bits it is 1023 × 64.
            65_536.0 - f32::from(1_u16 << (16 - self.bits.min(16)))
        }
    }

    /// Stretches samples of grey or RGB to the full range of 8 or 16 bits.
    pub(crate) fn to_full_range(self, samples: &mut Samples) {
        match samples {
            // 8-bit samples of full range use all values already. With 10 or 12 bits in 16, white
            // is below 65,535.
            Samples::Eight(_) if self.full => {}
            // Samples of 16 bits change even in full range, because their lower bits are 0.
            Samples::Eight(samples) => self.stretch(samples),
            Samples::Sixteen(samples) => self.stretch(samples),
        }
    }

    /// Stretches samples of luminance, grey or RGB to the full range of their type.
    pub(crate) fn stretch<S: NormalisedSample>(self, samples: &mut [S]) {
        let (factor, offset) = self.luminance();
        for sample in samples {
            *sample = S::from_normalised((*sample).into() * factor + offset);
        }
    }
}

/// A sample type with a conversion from values of 0 to 1.
pub(crate) trait NormalisedSample: Copy + Into<f32> {
    /// Converts a value to the nearest sample. Values outside 0 to 1 are clamped.
    fn from_normalised(share: f32) -> Self;
}

impl NormalisedSample for u8 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the value is clamped to the range of the sample"
    )]
    fn from_normalised(share: f32) -> Self {
        (share.clamp(0.0, 1.0) * 255.0 + 0.5) as Self
    }
}

impl NormalisedSample for u16 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the value is clamped to the range of the sample"
    )]
    fn from_normalised(share: f32) -> Self {
        (share.clamp(0.0, 1.0) * 65_535.0 + 0.5) as Self
    }
}

/// The conversion from components to RGB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Matrix {
    kind: MatrixKind,
    range: SampleRange,
}

/// A family of equations.
#[derive(Clone, Copy, Debug, PartialEq)]
enum MatrixKind {
    /// YCbCr with the weights of red and blue in luminance: KR and KB of H.273. The weight of green
    /// is the rest to 1.
    Weights { red: f32, blue: f32 },
    /// YCgCo: the differences are green against red and blue, and red against blue.
    YCgCo,
}

/// Weights of Rec. ITU-R BT.601.
const BT601: MatrixKind = MatrixKind::Weights {
    red: 0.299,
    blue: 0.114,
};

impl Matrix {
    /// BT.601 in the limited range, the only matrix of VP8 (RFC 6386, section 9.2).
    pub(crate) const VP8: Self = Self {
        kind: BT601,
        range: SampleRange {
            bits: 8,
            full: false,
        },
    };

    /// Returns the matrix of a code point (H.273, table 4). Unspecified and unsupported code points
    /// count as BT.601, as in browsers.
    pub(crate) fn from_code_point(code: u8, range: SampleRange) -> Self {
        let kind = match code {
            // BT.709.
            1 => MatrixKind::Weights {
                red: 0.2126,
                blue: 0.0722,
            },
            // FCC, Title 47, section 73.682.
            4 => MatrixKind::Weights {
                red: 0.30,
                blue: 0.11,
            },
            // SMPTE ST 240.
            7 => MatrixKind::Weights {
                red: 0.212,
                blue: 0.087,
            },
            8 => MatrixKind::YCgCo,
            // BT.2020. 10 is its variant with constant luminance, which needs linear light. The
            // common variant, 9, is close to it.
            9 | 10 => MatrixKind::Weights {
                red: 0.2627,
                blue: 0.0593,
            },
            _ => BT601,
        };
        Self { kind, range }
    }

    /// Converts a raster of three interleaved components to RGB in full range.
    pub(crate) fn to_rgb(self, mut raster: Raster) -> Raster {
        match &mut raster.samples {
            Samples::Eight(samples) => self.convert_eight(samples),
            Samples::Sixteen(samples) => self.convert(samples),
        }
        raster
    }

    /// Converts pixels of 8 bits with tables, which is faster than arithmetic.
    ///
    /// A table has the contribution of each value of a component to red, green and blue, as a fixed
    /// point number with 16 fractional bits.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "table values fit 32 bits, and sums are clamped to 8 bits"
    )]
    fn convert_eight(self, samples: &mut [u8]) {
        let (luminance_factor, luminance_offset) = self.range.luminance();
        let (chroma_factor, chroma_offset) = self.range.chroma();
        let equations = Equations::of(self.kind);
        let table = |[a, b, c]: [f32; 3], factor: f32, offset: f32| -> [[i32; 3]; 256] {
            std::array::from_fn(|value| {
                let share = value as f32 * factor + offset;
                [a, b, c].map(|weight| (weight * share * 255.0 * 65_536.0).round() as i32)
            })
        };
        // The offset of half a step makes the shift below round to the nearest value. The three
        // contributions are added, so only one table has it.
        let luminances = table([1.0; 3], luminance_factor, luminance_offset + 0.5 / 255.0);
        let firsts = table(equations.first, chroma_factor, chroma_offset);
        let seconds = table(equations.second, chroma_factor, chroma_offset);
        for pixel in samples.as_chunks_mut::<3>().0 {
            let [luminance, first, second] = pixel.map(usize::from);
            let (a, b, c) = (luminances[luminance], firsts[first], seconds[second]);
            // A contribution is below 2^25, so the sum does not overflow.
            *pixel = std::array::from_fn(|channel| {
                ((a[channel] + b[channel] + c[channel]) >> 16).clamp(0, 255) as u8
            });
        }
    }

    /// Converts interleaved components to RGB in the full range of the sample type.
    pub(crate) fn convert<S: NormalisedSample>(self, samples: &mut [S]) {
        let (luminance_factor, luminance_offset) = self.range.luminance();
        let (chroma_factor, chroma_offset) = self.range.chroma();
        let equations = Equations::of(self.kind);
        for pixel in samples.as_chunks_mut::<3>().0 {
            let [luminance, blue, red] = pixel.map(Into::<f32>::into);
            let luminance = luminance * luminance_factor + luminance_offset;
            let blue = blue * chroma_factor + chroma_offset;
            let red = red * chroma_factor + chroma_offset;
            *pixel = equations.rgb(luminance, blue, red).map(S::from_normalised);
        }
    }
}

/// Contributions of the two colour differences to red, green and blue, per unit. Luminance
/// contributes 1 per unit to each.
struct Equations {
    first: [f32; 3],
    second: [f32; 3],
}

impl Equations {
    /// Solves the equations of a matrix for red, green and blue.
    fn of(kind: MatrixKind) -> Self {
        match kind {
            // H.273 defines Cb = (B − Y) / (2 × (1 − KB)) and Cr = (R − Y) / (2 × (1 − KR)). Green
            // follows from Y = KR × R + KG × G + KB × B.
            MatrixKind::Weights { red, blue } => {
                let green = 1.0 - red - blue;
                let (per_red, per_blue) = (2.0 * (1.0 - red), 2.0 * (1.0 - blue));
                Self {
                    first: [0.0, -per_blue * blue / green, per_blue],
                    second: [per_red, -per_red * red / green, 0.0],
                }
            }
            // R = Y − Cg + Co, G = Y + Cg, B = Y − Cg − Co.
            MatrixKind::YCgCo => Self {
                first: [-1.0, 1.0, -1.0],
                second: [1.0, 0.0, -1.0],
            },
        }
    }

    /// Returns red, green and blue for luminance from 0 to 1 and differences from -0.5 to 0.5.
    fn rgb(&self, luminance: f32, first: f32, second: f32) -> [f32; 3] {
        let [a, b, c] = self.first;
        let [d, e, f] = self.second;
        [
            a * first + d * second,
            b * first + e * second,
            c * first + f * second,
        ]
        .map(|sum| luminance + sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_agree_with_the_equations() {
        let full = SampleRange {
            bits: 8,
            full: true,
        };
        let limited = SampleRange {
            full: false,
            ..full
        };
        for matrix in [
            Matrix::VP8,
            Matrix::from_code_point(1, full),
            Matrix::from_code_point(8, full),
            Matrix::from_code_point(9, limited),
        ] {
            for pixel in [
                [0, 0, 0],
                [255, 255, 255],
                [76, 85, 255],
                [150, 44, 21],
                [29, 255, 107],
            ] {
                let (mut fast, mut exact) = (pixel, pixel);
                matrix.convert_eight(&mut fast);
                matrix.convert(&mut exact);
                let close = fast.iter().zip(exact).all(|(a, b)| a.abs_diff(b) <= 1);
                assert!(close, "{matrix:?} {fast:?} {exact:?}");
            }
        }
    }

    #[test]
    fn limited_range_reaches_black_and_white() {
        let eight = Matrix::from_code_point(
            1,
            SampleRange {
                bits: 8,
                full: false,
            },
        );
        // Black, white and pure red of BT.709.
        let mut pixels = [16, 128, 128, 235, 128, 128, 63, 102, 240_u8];
        eight.convert(&mut pixels);
        let expected = [0, 0, 0, 255, 255, 255, 255, 0, 0_u8];
        assert!(
            pixels.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 1),
            "{pixels:?}"
        );

        let ten = Matrix::from_code_point(
            9,
            SampleRange {
                bits: 10,
                full: false,
            },
        );
        let mut pixels: [u16; 6] = [64, 512, 512, 940, 512, 512].map(|value| value << 6);
        ten.convert(&mut pixels);
        assert_eq!(pixels, [0, 0, 0, 65_535, 65_535, 65_535]);
    }

    #[test]
    fn full_range_of_ten_bits_reaches_white() {
        let mut pixels: [u16; 3] = [1023, 512, 512].map(|value| value << 6);
        Matrix::from_code_point(
            8,
            SampleRange {
                bits: 10,
                full: true,
            },
        )
        .convert(&mut pixels);
        assert_eq!(pixels, [65_535; 3]);
        let mut grey: [u16; 2] = [0, 1023 << 6];
        SampleRange {
            bits: 10,
            full: true,
        }
        .stretch(&mut grey);
        assert_eq!(grey, [0, 65_535]);
    }
}

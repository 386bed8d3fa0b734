//! Conversion of luminance and colour differences to RGB (ITU-T H.273, section 8.3).

use crate::raster::{Raster, Samples};

/// Mapping of sample values to normalised values: luminance and RGB from 0 to 1, colour differences
/// from -0.5 to 0.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SampleRange {
    /// Bits per sample, 8 to 16. Samples of more than 8 bits are stored in the upper bits of 16.
    pub(crate) bits: u8,
    /// Whether all values are used (full range). If not, 8-bit luminance is 16 to 235 and chroma
    /// 16 to 240 (limited range).
    pub(crate) full: bool,
}

impl SampleRange {
    /// Returns factor and offset that normalise a sample of luminance, or of red, green or blue.
    fn luminance(self) -> (f32, f32) {
        if self.full {
            return (1.0 / self.max_sample(), 0.0);
        }
        // 219 = 235 - 16.
        (1.0 / (219.0 * self.step()), -16.0 / 219.0)
    }

    /// Returns factor and offset that normalise a sample of a colour difference.
    fn chroma(self) -> (f32, f32) {
        if self.full {
            let factor = 1.0 / self.max_sample();
            return (factor, -128.0 * self.step() * factor);
        }
        // 224 = 240 - 16. A difference of 0 is stored as 128.
        (1.0 / (224.0 * self.step()), -128.0 / 224.0)
    }

    /// Returns the change of a sample that equals a change of 1 in an 8-bit sample.
    fn step(self) -> f32 {
        if self.bits == 8 { 1.0 } else { 256.0 }
    }

    /// Returns the largest sample value: 2^`bits` - 1, shifted into the upper bits of 16.
    fn max_sample(self) -> f32 {
        if self.bits == 8 {
            255.0
        } else {
            65_536.0 - f32::from(1_u16 << (16 - self.bits.min(16)))
        }
    }

    /// Stretches samples of luminance, or of red, green or blue, to all values of 8 or 16 bits.
    pub(crate) fn to_full_range(self, samples: &mut Samples) {
        match samples {
            // 8-bit samples of full range use all values already. With 10 or 12 bits in 16, white
            // is below 65,535.
            Samples::Eight(_) if self.full => {}
            Samples::Eight(samples) => self.stretch(samples),
            Samples::Sixteen(samples) => self.stretch(samples),
        }
    }

    /// Stretches samples of one type, see [`to_full_range`](Self::to_full_range).
    pub(crate) fn stretch<S: NormalisedSample>(self, samples: &mut [S]) {
        let (factor, offset) = self.luminance();
        for sample in samples {
            *sample = S::from_normalised((*sample).into() * factor + offset);
        }
    }
}

/// A sample type that holds a normalised value in all of its range.
pub(crate) trait NormalisedSample: Copy + Into<f32> {
    /// Converts a value from 0 to 1, rounded to the nearest sample. Other values are clamped.
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

/// A matrix that converts luminance and colour differences to RGB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Matrix {
    kind: MatrixKind,
    range: SampleRange,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum MatrixKind {
    /// Weights of red (Kr) and blue (Kb) in luminance. The weight of green is the rest to 1.
    Weights { red: f32, blue: f32 },
    /// YCgCo: the differences are green to magenta and orange to cyan.
    YCgCo,
}

/// ITU-R BT.601.
const BT601: MatrixKind = MatrixKind::Weights {
    red: 0.299,
    blue: 0.114,
};

impl Matrix {
    /// The matrix of VP8: BT.601 in limited range (RFC 6386, section 9.2).
    pub(crate) const VP8: Self = Self {
        kind: BT601,
        range: SampleRange {
            bits: 8,
            full: false,
        },
    };

    /// Returns the matrix of a `MatrixCoefficients` code point (ITU-T H.273, table 4).
    ///
    /// "Unspecified" and code points that browsers do not support are read as BT.601.
    pub(crate) fn from_code_point(code: u8, range: SampleRange) -> Self {
        let kind = match code {
            // BT.709.
            1 => MatrixKind::Weights {
                red: 0.2126,
                blue: 0.0722,
            },
            // FCC 73.682.
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
            // BT.2020. Constant luminance (10) is approximated by the same equations.
            9 | 10 => MatrixKind::Weights {
                red: 0.2627,
                blue: 0.0593,
            },
            _ => BT601,
        };
        Self { kind, range }
    }

    /// Converts three interleaved components to red, green and blue in full range.
    pub(crate) fn to_rgb(self, mut raster: Raster) -> Raster {
        match &mut raster.samples {
            Samples::Eight(samples) => self.convert_eight(samples),
            Samples::Sixteen(samples) => self.convert(samples),
        }
        raster
    }

    /// Converts 8-bit pixels by tables.
    ///
    /// A table holds what each value of a component adds to red, green and blue, as fixed-point
    /// numbers with 16 bits after the point. This is faster than [`convert`](Self::convert).
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
        // The added half rounds the sum: the shift below only cuts the fraction off.
        let luminances = table([1.0; 3], luminance_factor, luminance_offset + 0.5 / 255.0);
        let firsts = table(equations.first, chroma_factor, chroma_offset);
        let seconds = table(equations.second, chroma_factor, chroma_offset);
        for pixel in samples.as_chunks_mut::<3>().0 {
            let [luminance, first, second] = pixel.map(usize::from);
            let (a, b, c) = (luminances[luminance], firsts[first], seconds[second]);
            *pixel = std::array::from_fn(|channel| {
                ((a[channel] + b[channel] + c[channel]) >> 16).clamp(0, 255) as u8
            });
        }
    }

    /// Converts pixels of three interleaved components with floating-point arithmetic.
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

/// Factors of the two colour differences in red, green and blue. The factor of luminance is 1.
struct Equations {
    first: [f32; 3],
    second: [f32; 3],
}

impl Equations {
    /// Derives the factors (ITU-T H.273, section 8.3).
    fn of(kind: MatrixKind) -> Self {
        match kind {
            MatrixKind::Weights { red, blue } => {
                let green = 1.0 - red - blue;
                let (per_red, per_blue) = (2.0 * (1.0 - red), 2.0 * (1.0 - blue));
                Self {
                    first: [0.0, -per_blue * blue / green, per_blue],
                    second: [per_red, -per_red * red / green, 0.0],
                }
            }
            MatrixKind::YCgCo => Self {
                first: [-1.0, 1.0, -1.0],
                second: [1.0, 0.0, -1.0],
            },
        }
    }

    /// Returns red, green and blue of one pixel. All values are normalised.
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
        // Black, white and pure red at BT.709.
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

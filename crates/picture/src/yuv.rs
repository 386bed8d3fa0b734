//! Luminance and differences of colour, to RGB (ITU-T H.273, section 8.3).

use crate::raster::{Raster, Samples};

/// A matrix by its weights of red and blue, and the range of its samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Matrix {
    red: f32,
    blue: f32,
    full_range: bool,
}

impl Matrix {
    /// BT.601 at full range (JFIF 1.02; H.273 matrix 5 and 6).
    pub(crate) const JFIF: Self = Self {
        red: 0.299,
        blue: 0.114,
        full_range: true,
    };

    /// With the weights of red and blue that H.273, table 4 gives.
    pub(crate) const fn new(red: f32, blue: f32, full_range: bool) -> Self {
        Self {
            red,
            blue,
            full_range,
        }
    }

    /// Turns three interleaved components into red, green and blue.
    pub(crate) fn to_rgb(self, mut raster: Raster) -> Raster {
        match &mut raster.samples {
            Samples::Eight(samples) if self == Self::JFIF => jfif(samples),
            Samples::Eight(samples) => self.convert(samples, 255.0, u8::MAX),
            Samples::Sixteen(samples) => self.convert(samples, 65_535.0, u16::MAX),
        }
        raster
    }

    fn convert<S: Copy + TryFrom<u32>>(self, samples: &mut [S], full: f32, most: S)
    where
        f32: From<S>,
    {
        let coefficients = Coefficients::of(self);
        for pixel in samples.as_chunks_mut::<3>().0 {
            let [luminance, blue, red] = pixel.map(|sample| f32::from(sample) / full);
            *pixel = coefficients.rgb(luminance, blue, red).map(|share| {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a share"
                )]
                let level = (share.clamp(0.0, 1.0) * full + 0.5) as u32;
                S::try_from(level).unwrap_or(most)
            });
        }
    }
}

/// The equations of section 8.3, solved for red, green and blue.
struct Coefficients {
    luminance_offset: f32,
    luminance_scale: f32,
    chroma_offset: f32,
    red_per_red: f32,
    green_per_red: f32,
    green_per_blue: f32,
    blue_per_blue: f32,
}

impl Coefficients {
    fn of(matrix: Matrix) -> Self {
        let green = 1.0 - matrix.red - matrix.blue;
        // Limited range: 16 to 235 and 16 to 240 of 255; full range: chroma about 128 of 255.
        let (luminance_offset, luminance_scale, chroma_scale) = if matrix.full_range {
            (0.0, 1.0, 1.0)
        } else {
            (16.0 / 255.0, 255.0 / 219.0, 255.0 / 224.0)
        };
        let red_per_red = 2.0 * (1.0 - matrix.red) * chroma_scale;
        let blue_per_blue = 2.0 * (1.0 - matrix.blue) * chroma_scale;
        Self {
            luminance_offset,
            luminance_scale,
            chroma_offset: 128.0 / 255.0,
            red_per_red,
            green_per_red: red_per_red * matrix.red / green,
            green_per_blue: blue_per_blue * matrix.blue / green,
            blue_per_blue,
        }
    }

    fn rgb(&self, luminance: f32, blue: f32, red: f32) -> [f32; 3] {
        let luminance = (luminance - self.luminance_offset) * self.luminance_scale;
        let (blue, red) = (blue - self.chroma_offset, red - self.chroma_offset);
        [
            luminance + self.red_per_red * red,
            luminance - self.green_per_blue * blue - self.green_per_red * red,
            luminance + self.blue_per_blue * blue,
        ]
    }
}

/// JFIF in fixed point of 16 bits: the path of nearly every photo.
fn jfif(samples: &mut [u8]) {
    for pixel in samples.as_chunks_mut::<3>().0 {
        let [luminance, blue, red] = pixel.map(i32::from);
        let luminance = (luminance << 16) + (1 << 15);
        let (blue, red) = (blue - 128, red - 128);
        let clamp = |level: i32| u8::try_from((level >> 16).clamp(0, 255)).unwrap_or_default();
        *pixel = [
            clamp(luminance + 91_881 * red),
            clamp(luminance - 22_554 * blue - 46_802 * red),
            clamp(luminance + 116_130 * blue),
        ];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raster::Channels;

    fn eight(matrix: Matrix, pixel: [u8; 3]) -> Vec<u8> {
        let samples = Samples::Eight(pixel.to_vec());
        let raster = Raster {
            width: 1,
            height: 1,
            channels: Channels::Rgb,
            samples,
        };
        match matrix.to_rgb(raster).samples {
            Samples::Eight(samples) => samples,
            Samples::Sixteen(_) => Vec::new(),
        }
    }

    #[test]
    fn fixed_point_agrees_with_the_equations() {
        let exact = Coefficients::of(Matrix::JFIF);
        for pixel in [
            [0, 0, 0],
            [255, 255, 255],
            [76, 85, 255],
            [150, 44, 21],
            [29, 255, 107],
        ] {
            let fixed = eight(Matrix::JFIF, pixel);
            let [y, b, r] = pixel.map(|sample| f32::from(sample) / 255.0);
            for (fixed, share) in fixed.iter().zip(exact.rgb(y, b, r)) {
                assert!(
                    (f32::from(*fixed) - share.clamp(0.0, 1.0) * 255.0).abs() <= 0.51,
                    "{pixel:?}"
                );
            }
        }
    }

    #[test]
    fn limited_range_reaches_black_and_white() {
        let bt709 = Matrix::new(0.2126, 0.0722, false);
        assert_eq!(eight(bt709, [16, 128, 128]), [0, 0, 0]);
        assert_eq!(eight(bt709, [235, 128, 128]), [255, 255, 255]);
        // Pure red at BT.709: 63, 102, 240.
        let red = eight(bt709, [63, 102, 240]);
        assert!(red[0] >= 254 && red[1] <= 1 && red[2] <= 1, "{red:?}");
    }
}

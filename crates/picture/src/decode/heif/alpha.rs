//! Combination of a colour item and an alpha item into pixels.
//!
//! HEIF stores alpha as a separate picture. A picture with alpha cannot be resized plane by plane,
//! because colours must be weighted by alpha.

use super::canvas::Canvas;
use crate::decode::request::DecodeRequest;
use crate::geometry::Square;
use crate::raster::{Channels, CropBox, Raster, Samples};
use crate::reduce::Reducer;
use crate::yuv::{Matrix, NormalisedSample, SampleRange};

/// The decoded colours and the decoded alpha of a picture.
pub(super) struct ColourWithAlpha {
    pub(super) colours: Canvas,
    /// Matrix of the colours; `None` if the planes are green, blue and red.
    pub(super) matrix: Option<Matrix>,
    /// Sample range of the colours.
    pub(super) range: SampleRange,
    pub(super) alpha: Canvas,
    pub(super) alpha_range: SampleRange,
    /// Whether the colours are premultiplied by alpha.
    pub(super) premultiplied: bool,
    /// Requested square, relative to the kept part of the canvases.
    pub(super) square: Square,
}

impl ColourWithAlpha {
    /// Converts the canvases to RGBA of 16 bits with straight alpha, and reduces the square.
    pub(super) fn reduce(&self, request: DecodeRequest<'_>) -> (Raster, CropBox) {
        let mut reducer = Reducer::<u16>::new(self.square, request.side, Channels::Rgba);
        let (width, height) = self.colours.size();
        let mut colours = vec![0; width * 3];
        let mut alphas = vec![0; width];
        let mut pixels = vec![0; width * 4];
        // Row by row, so that the full-size picture never exists in RGBA.
        for y in 0..height {
            self.colour_row(y, &mut colours);
            self.alpha_row(y, &mut alphas);
            let sources = colours.as_chunks::<3>().0.iter().zip(&alphas);
            for (pixel, (&[red, green, blue], &alpha)) in
                pixels.as_chunks_mut::<4>().0.iter_mut().zip(sources)
            {
                // The reducer expects straight alpha and weights the colours itself.
                let colour = |sample| {
                    if self.premultiplied {
                        unpremultiply(sample, alpha)
                    } else {
                        sample
                    }
                };
                *pixel = [colour(red), colour(green), colour(blue), alpha];
            }
            reducer.push(&pixels);
        }
        reducer.finish()
    }

    /// Writes row `y` as red, green and blue of 16 bits, in full range.
    fn colour_row(&self, y: usize, row: &mut [u16]) {
        // Without chroma only plane 0 exists; `convert` copies it to all three channels.
        let planes = if self.colours.layout.has_chroma { 3 } else { 1 };
        if self.range.bits == 8 {
            let mut eight = vec![0_u8; row.len()];
            for plane in 0..planes {
                write_component(
                    &self.colours,
                    plane,
                    y,
                    &mut eight,
                    |samples| match samples {
                        Samples::Eight(samples) => Some(samples),
                        Samples::Sixteen(_) => None,
                    },
                );
            }
            self.convert(&mut eight);
            // 255 × 257 = 65,535: the largest sample of 8 bits becomes the largest of 16.
            for (sample, eight) in row.iter_mut().zip(eight) {
                *sample = u16::from(eight) * 257;
            }
        } else {
            for plane in 0..planes {
                write_component(&self.colours, plane, y, row, sixteen_bit_samples);
            }
            self.convert(row);
        }
    }

    /// Converts interleaved components to red, green and blue in full range.
    fn convert<S: NormalisedSample>(&self, row: &mut [S]) {
        match self.matrix {
            _ if !self.colours.layout.has_chroma => {
                for pixel in row.as_chunks_mut::<3>().0 {
                    *pixel = [pixel[0]; 3];
                }
                self.range.stretch(row);
            }
            Some(matrix) => matrix.convert(row),
            None => {
                row.as_chunks_mut::<3>()
                    .0
                    .iter_mut()
                    .for_each(|pixel| pixel.rotate_right(1));
                self.range.stretch(row);
            }
        }
    }

    /// Writes row `y` of alpha as 16 bits, in full range.
    fn alpha_row(&self, y: usize, row: &mut [u16]) {
        if self.alpha_range.bits == 8 {
            let mut eight = self
                .alpha
                .row(0, y, |samples| match samples {
                    Samples::Eight(samples) => Some(samples.as_slice()),
                    Samples::Sixteen(_) => None,
                })
                .to_vec();
            if !self.alpha_range.full {
                self.alpha_range.stretch(&mut eight);
            }
            for (sample, eight) in row.iter_mut().zip(eight) {
                *sample = u16::from(eight) * 257;
            }
        } else {
            for (sample, &alpha) in row
                .iter_mut()
                .zip(self.alpha.row(0, y, sixteen_bit_samples))
            {
                *sample = alpha;
            }
            // Needed for full range too: shifted to 16 bits, the largest sample of 10 bits is
            // 65,472.
            self.alpha_range.stretch(row);
        }
    }
}

/// Returns samples of 16 bits, or `None` for samples of 8 bits.
fn sixteen_bit_samples(samples: &Samples) -> Option<&[u16]> {
    match samples {
        Samples::Sixteen(samples) => Some(samples),
        Samples::Eight(_) => None,
    }
}

/// Writes a row of plane `plane` as component `plane` of interleaved pixels.
///
/// Subsampled chroma is repeated without interpolation. The reduction and the resize that follow
/// smooth the steps.
fn write_component<S: Copy>(
    canvas: &Canvas,
    plane: usize,
    y: usize,
    row: &mut [S],
    pick: impl Fn(&Samples) -> Option<&[S]>,
) {
    let halved = |axis: bool| usize::from(plane > 0 && axis);
    let source = canvas.row(plane, y >> halved(canvas.layout.subsampling.1), pick);
    let shift = halved(canvas.layout.subsampling.0);
    for (x, pixel) in row.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        if let (Some(target), Some(&sample)) = (pixel.get_mut(plane), source.get(x >> shift)) {
            *target = sample;
        }
    }
}

/// Divides a premultiplied colour by alpha. Both have 16 bits.
fn unpremultiply(sample: u16, alpha: u16) -> u16 {
    // At alpha 0 any colour is correct; 1 avoids a division by zero. A colour above its alpha is
    // invalid and is clamped.
    let alpha = u32::from(alpha).max(1);
    u16::try_from((u32::from(sample) * 65_535 / alpha).min(65_535)).unwrap_or(u16::MAX)
}

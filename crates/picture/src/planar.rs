//! Planar pictures, as codecs store them: one plane per component, chroma possibly subsampled.
//!
//! Each plane is resized on its own. The conversion to RGB comes last, on the few samples of the
//! output.

use crate::error::Error;
use crate::jpeg::ColourModel;
use crate::raster::{Channels, CropBox, Raster, Samples};
use crate::resize;
use crate::yuv;

/// The samples of one component.
#[derive(Clone, Debug)]
pub(crate) struct ComponentPlane {
    /// Samples per row.
    pub(crate) width: u32,
    /// Number of rows.
    pub(crate) height: u32,
    /// `width` × `height` samples in row order. Samples of more than 8 bits are stored in the upper
    /// bits of 16.
    pub(crate) samples: Samples,
    /// Position of the requested square in this plane, in samples of the plane.
    pub(crate) crop_box: CropBox,
}

/// Meaning of the components. All planes of a picture have the same sample depth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum PlanarModel {
    /// One plane: luminance.
    Grey(yuv::SampleRange),
    /// Three planes: red, green and blue.
    Rgb(yuv::SampleRange),
    /// Three planes: luminance and two colour differences.
    Yuv(yuv::Matrix),
    /// The components of a JPEG, with 8-bit samples.
    Jpeg(ColourModel),
}

/// The component planes of a picture.
#[derive(Clone, Debug)]
pub(crate) struct Planar {
    pub(crate) planes: Vec<ComponentPlane>,
    pub(crate) model: PlanarModel,
}

impl Planar {
    /// Resizes the requested square to `side` × `side` interleaved pixels.
    ///
    /// # Errors
    /// [`Error::Encoder`] if the model needs more planes than there are, or resizing fails.
    pub(crate) fn resize(self, side: u32) -> Result<Raster, Error> {
        let Self { planes, model } = self;
        let mut resized = planes.into_iter().map(|plane| plane.resize(side));
        let mut next = || {
            resized.next().unwrap_or(Err(Error::Encoder {
                what: "a component plane is missing",
            }))
        };
        match model {
            PlanarModel::Grey(range) => Ok(to_full_range(next()?, range)),
            PlanarModel::Rgb(range) => Ok(to_full_range(
                interleave_planes([next()?, next()?, next()?]),
                range,
            )),
            PlanarModel::Yuv(matrix) => {
                Ok(matrix.to_rgb(interleave_planes([next()?, next()?, next()?])))
            }
            PlanarModel::Jpeg(model) => {
                combine_jpeg(model, &resized.collect::<Result<Vec<_>, _>>()?)
            }
        }
    }
}

impl ComponentPlane {
    /// Resizes the crop box of this plane to `side` × `side` samples.
    ///
    /// Subsampled chroma is scaled to the same side here, so no separate upsampling is needed.
    fn resize(self, side: u32) -> Result<Raster, Error> {
        let Self {
            width,
            height,
            samples,
            crop_box,
        } = self;
        resize::interleaved(
            &Raster {
                width,
                height,
                channels: Channels::Grey,
                samples,
            },
            crop_box,
            side,
        )
    }
}

/// Combines resized planes of the same size into the pixels of a JPEG.
///
/// # Errors
/// [`Error::Encoder`] if a plane is missing or its samples have 16 bits.
fn combine_jpeg(model: ColourModel, planes: &[Raster]) -> Result<Raster, Error> {
    let failed = Error::Encoder {
        what: "a component plane of the JPEG is missing",
    };
    let samples = planes.iter().filter_map(|plane| match &plane.samples {
        Samples::Eight(samples) => Some(samples.as_slice()),
        Samples::Sixteen(_) => None,
    });
    let (Some(first), samples) = (planes.first(), samples.collect::<Vec<_>>()) else {
        return Err(failed);
    };
    if samples.len() < model.channels() {
        return Err(failed);
    }
    let mut pixels = Vec::new();
    model.combine(&samples, &mut pixels);
    Ok(Raster {
        width: first.width,
        height: first.height,
        channels: match model {
            ColourModel::Grey => Channels::Grey,
            ColourModel::YCbCr | ColourModel::Rgb => Channels::Rgb,
            ColourModel::Cmyk | ColourModel::Ycck => Channels::Cmyk,
        },
        samples: Samples::Eight(pixels),
    })
}

/// Interleaves three planes of the same size. The result has 16 bits if any plane has.
fn interleave_planes(planes: [Raster; 3]) -> Raster {
    let (width, height) = (planes[0].width, planes[0].height);
    let pixels = width as usize * height as usize;
    let samples = match planes.map(|plane| plane.samples) {
        [Samples::Eight(a), Samples::Eight(b), Samples::Eight(c)] => {
            Samples::Eight(interleave([a, b, c], pixels))
        }
        planes => Samples::Sixteen(interleave(planes.map(Samples::into_sixteen), pixels)),
    };
    Raster {
        width,
        height,
        channels: Channels::Rgb,
        samples,
    }
}

/// Interleaves three planes into `pixels` pixels. Missing samples are 0.
fn interleave<S: Copy + Default>([a, b, c]: [Vec<S>; 3], pixels: usize) -> Vec<S> {
    let mut interleaved = vec![S::default(); pixels * 3];
    let samples = a.iter().zip(&b).zip(&c);
    for (pixel, ((&a, &b), &c)) in interleaved.as_chunks_mut().0.iter_mut().zip(samples) {
        *pixel = [a, b, c];
    }
    interleaved
}

/// Stretches samples of `range` to all values of 8 or 16 bits.
fn to_full_range(mut raster: Raster, range: yuv::SampleRange) -> Raster {
    range.to_full_range(&mut raster.samples);
    raster
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Resizes a picture of one pixel: `samples` holds one sample per plane.
    fn square(model: PlanarModel, samples: &[u8]) -> Samples {
        let crop_box = CropBox {
            x: 0.0,
            y: 0.0,
            width: 1.0,
            height: 1.0,
        };
        let plane = |&sample: &u8| ComponentPlane {
            width: 1,
            height: 1,
            samples: Samples::Eight(vec![sample]),
            crop_box,
        };
        Planar {
            planes: samples.iter().map(plane).collect(),
            model,
        }
        .resize(1)
        .unwrap()
        .samples
    }

    #[test]
    fn cmyk_and_ycck_become_ink_amounts() {
        assert_eq!(
            square(PlanarModel::Jpeg(ColourModel::Cmyk), &[255, 200, 100, 0]),
            Samples::Eight(vec![0, 55, 155, 255])
        );
        // YCCK converts the complement of the stored CMY values. So luminance 0 means 255 in CMY,
        // which Adobe files use for no ink.
        assert_eq!(
            square(PlanarModel::Jpeg(ColourModel::Ycck), &[0, 128, 128, 255]),
            Samples::Eight(vec![0; 4])
        );
    }

    #[test]
    fn missing_planes_are_an_encoder_error() {
        for model in [
            PlanarModel::Yuv(yuv::Matrix::VP8),
            PlanarModel::Jpeg(ColourModel::YCbCr),
        ] {
            let planar = Planar {
                planes: Vec::new(),
                model,
            };
            assert!(matches!(planar.resize(1), Err(Error::Encoder { .. })));
        }
    }
}

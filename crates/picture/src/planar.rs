//! Pictures with one plane per component, as video codecs and JPEG store them.
//!
//! Chroma planes may have a lower resolution. Each plane is resized to the output on its own, so
//! chroma is not upsampled first. Colours are converted after the resize, because there are fewer
//! samples then.

use crate::error::Error;
use crate::jpeg::ColourModel;
use crate::raster::{Channels, CropBox, Raster, Samples};
use crate::resize;
use crate::yuv;

/// The plane of one component: `width` × `height` samples, row by row.
#[derive(Clone, Debug)]
pub(crate) struct ComponentPlane {
    /// Samples per row.
    pub(crate) width: u32,
    /// Number of rows.
    pub(crate) height: u32,
    /// Samples as the codec stores them, see [`yuv::SampleRange`].
    pub(crate) samples: Samples,
    /// Requested square, in samples of this plane.
    pub(crate) crop_box: CropBox,
}

/// The meaning of the components. All planes of a picture have the same sample depth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum PlanarModel {
    /// One plane: luminance.
    Grey(yuv::SampleRange),
    /// Three planes: red, green, blue.
    Rgb(yuv::SampleRange),
    /// Three planes: luminance and two colour differences, in the order of the codec.
    Yuv(yuv::Matrix),
    /// The components of a JPEG, of 8 bits.
    Jpeg(ColourModel),
}

/// The component planes of a picture.
#[derive(Clone, Debug)]
pub(crate) struct Planar {
    pub(crate) planes: Vec<ComponentPlane>,
    pub(crate) model: PlanarModel,
}

impl Planar {
    /// Resizes the requested square to `side` × `side` pixels of grey, RGB or CMYK in full range.
    ///
    /// # Errors
    /// [`Error::Encoder`] if planes are missing, or a crop box is not inside its plane.
    pub(crate) fn resize(self, side: u32) -> Result<Raster, Error> {
        let Self { planes, model } = self;
        // The iterator is lazy: each plane is freed after its resize, before the next one.
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
    /// Resizes the crop box to `side` × `side` samples.
    ///
    /// # Errors
    /// [`Error::Encoder`] if the crop box is not inside the plane.
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

/// Converts the resized planes of a JPEG to interleaved pixels.
///
/// # Errors
/// [`Error::Encoder`] if there are fewer planes than components, or samples of 16 bits.
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
        // Those that `ColourModel::combine` writes.
        channels: match model {
            ColourModel::Grey => Channels::Grey,
            ColourModel::YCbCr | ColourModel::Rgb => Channels::Rgb,
            ColourModel::Cmyk | ColourModel::Ycck => Channels::Cmyk,
        },
        samples: Samples::Eight(pixels),
    })
}

/// Interleaves three planes of the same size. The result has 16 bits if any plane has 16 bits.
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

/// Interleaves the samples of three planes to `pixels` pixels.
fn interleave<S: Copy + Default>([a, b, c]: [Vec<S>; 3], pixels: usize) -> Vec<S> {
    // Writes to a buffer of known length have no capacity checks, unlike `flat_map` and `collect`.
    let mut interleaved = vec![S::default(); pixels * 3];
    let samples = a.iter().zip(&b).zip(&c);
    for (pixel, ((&a, &b), &c)) in interleaved.as_chunks_mut().0.iter_mut().zip(samples) {
        *pixel = [a, b, c];
    }
    interleaved
}

/// Stretches grey or RGB samples to the full range of 8 or 16 bits.
fn to_full_range(mut raster: Raster, range: yuv::SampleRange) -> Raster {
    range.to_full_range(&mut raster.samples);
    raster
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Resizes a picture of one pixel, with one sample per plane.
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
    fn inks_have_the_right_polarity() {
        assert_eq!(
            square(PlanarModel::Jpeg(ColourModel::Cmyk), &[255, 200, 100, 0]),
            Samples::Eight(vec![0, 55, 155, 255])
        );
        // Luminance and chroma are those of the amounts of ink, so Y = 0 means no ink. K is stored
        // inverted.
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

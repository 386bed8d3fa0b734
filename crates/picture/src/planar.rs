//! Pictures as codecs store them: one plane per component, chroma at its own resolution. They are
//! resized plane by plane. Colours are converted afterwards, when there are few samples.

use crate::error::Error;
use crate::jpeg::ColourModel;
use crate::raster::{Channels, CropBox, Raster, Samples};
use crate::resize;
use crate::yuv;

/// One component.
#[derive(Clone, Debug)]
pub(crate) struct ComponentPlane {
    /// Samples per row.
    pub(crate) width: u32,
    /// Number of rows.
    pub(crate) height: u32,
    /// Samples of 8 bits, or of 16 bits in their full range.
    pub(crate) samples: Samples,
    /// The requested square in this plane.
    pub(crate) crop_box: CropBox,
}

/// The meaning of the components. Samples of 8 and 16 bits are not mixed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum PlanarModel {
    /// One plane.
    Grey(yuv::SampleRange),
    /// Red, green, blue.
    Rgb(yuv::SampleRange),
    /// Luminance and two colour differences.
    Yuv(yuv::Matrix),
    /// The four components of a CMYK or YCCK JPEG, of 8 bits.
    Jpeg(ColourModel),
}

/// The planes of a picture.
#[derive(Clone, Debug)]
pub(crate) struct Planar {
    pub(crate) planes: Vec<ComponentPlane>,
    pub(crate) model: PlanarModel,
}

impl Planar {
    /// Resizes the requested square to `side` × `side` pixels.
    pub(crate) fn resize(self, side: u32) -> Result<Raster, Error> {
        let Self { planes, model } = self;
        let mut resized = planes.into_iter().map(|plane| plane.resize(side));
        let mut next = || {
            resized
                .next()
                .unwrap_or(Err(Error::Encoder { what: "planes" }))
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

fn combine_jpeg(model: ColourModel, planes: &[Raster]) -> Result<Raster, Error> {
    let failed = Error::Encoder { what: "planes" };
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

/// Interleaves three planes. The pixels have 16 bits if any plane has.
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

fn interleave<S: Copy + Default>([a, b, c]: [Vec<S>; 3], pixels: usize) -> Vec<S> {
    let mut interleaved = vec![S::default(); pixels * 3];
    let samples = a.iter().zip(&b).zip(&c);
    for (pixel, ((&a, &b), &c)) in interleaved.as_chunks_mut().0.iter_mut().zip(samples) {
        *pixel = [a, b, c];
    }
    interleaved
}

fn to_full_range(mut raster: Raster, range: yuv::SampleRange) -> Raster {
    range.to_full_range(&mut raster.samples);
    raster
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Combines one sample of each plane.
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
    fn inks_are_turned_the_right_way() {
        assert_eq!(
            square(PlanarModel::Jpeg(ColourModel::Cmyk), &[255, 200, 100, 0]),
            Samples::Eight(vec![0, 55, 155, 255])
        );
        // The encoder converts the complement of CMYK to luminance, so black means no ink.
        assert_eq!(
            square(PlanarModel::Jpeg(ColourModel::Ycck), &[0, 128, 128, 255]),
            Samples::Eight(vec![0; 4])
        );
    }

    #[test]
    fn a_plane_too_few_is_an_error_of_ours() {
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

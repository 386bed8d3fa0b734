//! Pictures as codecs keep them: a plane a component, chroma at its own resolution. They are
//! resized plane by plane and turned into colours when few samples are left.

use crate::raster::{Channels, Raster, Samples, Window};
use crate::{Error, resize, yuv};

/// One component.
#[derive(Clone, Debug)]
pub(crate) struct Plane {
    /// Samples a row.
    pub(crate) width: u32,
    /// Rows.
    pub(crate) height: u32,
    /// Of 8 bits, or of 16 with all of their range used.
    pub(crate) samples: Samples,
    /// Where in this plane the wanted square lies.
    pub(crate) window: Window,
}

/// What the components mean. Those of 8 and 16 bits are not mixed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Model {
    /// One plane.
    Grey(yuv::Range),
    /// Red, green, blue.
    Rgb(yuv::Range),
    /// Luminance and two differences of colour.
    Yuv(yuv::Matrix),
    /// Cyan, magenta, yellow, black as Adobe stores them: inverted, so that 255 is no ink.
    InvertedCmyk,
    /// As above, its first three turned into luminance and differences as if they were RGB.
    InvertedYcck,
}

/// The components of a picture.
#[derive(Clone, Debug)]
pub(crate) struct Planar {
    pub(crate) planes: Vec<Plane>,
    pub(crate) model: Model,
}

impl Planar {
    /// The wanted square as pixels of `side` × `side`.
    pub(crate) fn square(self, side: u32) -> Result<Raster, Error> {
        let Self { planes, model } = self;
        let mut resized = planes.into_iter().map(|plane| plane.square(side));
        let mut next = || {
            resized
                .next()
                .unwrap_or(Err(Error::Encoder { what: "planes" }))
        };
        Ok(match model {
            Model::Grey(range) => expanded(next()?, range),
            Model::Rgb(range) => expanded(
                interleave([next()?, next()?, next()?], Channels::Rgb),
                range,
            ),
            Model::Yuv(matrix) => {
                matrix.to_rgb(interleave([next()?, next()?, next()?], Channels::Rgb))
            }
            Model::InvertedCmyk => inverted(interleave(
                [next()?, next()?, next()?, next()?],
                Channels::Cmyk,
            )),
            Model::InvertedYcck => {
                let colours = interleave([next()?, next()?, next()?], Channels::Rgb);
                let [red, green, blue] = separate(&yuv::Matrix::JFIF.to_rgb(colours));
                inverted(interleave([red, green, blue, next()?], Channels::Cmyk))
            }
        })
    }
}

impl Plane {
    fn square(self, side: u32) -> Result<Raster, Error> {
        let Self {
            width,
            height,
            samples,
            window,
        } = self;
        resize::interleaved(
            &Raster {
                width,
                height,
                channels: Channels::Grey,
                samples,
            },
            window,
            side,
        )
    }
}

fn interleave<const N: usize>(planes: [Raster; N], channels: Channels) -> Raster {
    let (width, height) = planes
        .first()
        .map_or((0, 0), |plane| (plane.width, plane.height));
    let pixels = width as usize * height as usize;
    let eight = |plane: &Raster| match &plane.samples {
        Samples::Eight(samples) => Some(samples.clone()),
        Samples::Sixteen(_) => None,
    };
    let samples = if planes
        .iter()
        .all(|plane| matches!(plane.samples, Samples::Eight(_)))
    {
        Samples::Eight(weave(
            planes
                .each_ref()
                .map(|plane| eight(plane).unwrap_or_default()),
            pixels,
        ))
    } else {
        Samples::Sixteen(weave(
            planes.map(|plane| plane.samples.into_sixteen()),
            pixels,
        ))
    };
    Raster {
        width,
        height,
        channels,
        samples,
    }
}

fn weave<S: Copy + Default, const N: usize>(planes: [Vec<S>; N], pixels: usize) -> Vec<S> {
    let mut woven = vec![S::default(); pixels * N];
    for (channel, plane) in planes.iter().enumerate() {
        for (pixel, &sample) in woven.as_chunks_mut::<N>().0.iter_mut().zip(plane) {
            pixel[channel] = sample;
        }
    }
    woven
}

fn separate(raster: &Raster) -> [Raster; 3] {
    let plane = |channel: usize| Raster {
        width: raster.width,
        height: raster.height,
        channels: Channels::Grey,
        samples: match &raster.samples {
            Samples::Eight(samples) => {
                Samples::Eight(samples.iter().skip(channel).step_by(3).copied().collect())
            }
            Samples::Sixteen(samples) => {
                Samples::Sixteen(samples.iter().skip(channel).step_by(3).copied().collect())
            }
        },
    };
    [plane(0), plane(1), plane(2)]
}

fn expanded(mut raster: Raster, range: yuv::Range) -> Raster {
    range.expand(&mut raster.samples);
    raster
}

fn inverted(mut raster: Raster) -> Raster {
    match &mut raster.samples {
        Samples::Eight(samples) => samples.iter_mut().for_each(|sample| *sample = !*sample),
        Samples::Sixteen(samples) => samples.iter_mut().for_each(|sample| *sample = !*sample),
    }
    raster
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One sample a plane.
    fn square(model: Model, samples: &[u8]) -> Samples {
        let window = Window {
            x: 0.0,
            y: 0.0,
            width: 1.0,
            height: 1.0,
        };
        let plane = |&sample: &u8| Plane {
            width: 1,
            height: 1,
            samples: Samples::Eight(vec![sample]),
            window,
        };
        Planar {
            planes: samples.iter().map(plane).collect(),
            model,
        }
        .square(1)
        .unwrap()
        .samples
    }

    #[test]
    fn inks_are_turned_the_right_way() {
        assert_eq!(
            square(Model::InvertedCmyk, &[255, 200, 100, 0]),
            Samples::Eight(vec![0, 55, 155, 255])
        );
        // White as luminance is no ink.
        assert_eq!(
            square(Model::InvertedYcck, &[255, 128, 128, 255]),
            Samples::Eight(vec![0; 4])
        );
    }

    #[test]
    fn a_plane_too_few_is_an_error_of_ours() {
        let planar = Planar {
            planes: Vec::new(),
            model: Model::Yuv(yuv::Matrix::JFIF),
        };
        assert!(matches!(planar.square(1), Err(Error::Encoder { .. })));
    }
}

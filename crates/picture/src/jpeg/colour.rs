//! From components to colours, on planes that have been brought to one size.

/// What the components of a picture mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ColourModel {
    /// One component: luminance.
    #[default]
    Grey,
    /// Luminance and two colour differences, as JFIF and ITU-R BT.601 define them.
    YCbCr,
    /// Red, green and blue.
    Rgb,
    /// Four inks, stored inverted as Adobe's programs do: 255 is no ink.
    Cmyk,
    /// As [`Cmyk`](Self::Cmyk), with the first three turned into YCbCr as if they were RGB.
    Ycck,
}

impl ColourModel {
    /// Components in the file, and channels in what [`combine`](Self::combine) gives: 1 for grey, 3
    /// for RGB, 4 for CMYK.
    pub const fn channels(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::YCbCr | Self::Rgb => 3,
            Self::Cmyk | Self::Ycck => 4,
        }
    }

    /// Combines planes, one a component, into pixels: grey, RGB, or the amounts of four inks, of which
    /// 255 is full. `pixels` is cleared first and gets as many as the shortest plane has samples;
    /// nothing if there are fewer planes than [`channels`](Self::channels).
    pub fn combine(self, planes: &[&[u8]], pixels: &mut Vec<u8>) {
        pixels.clear();
        let count = planes.iter().map(|plane| plane.len()).min().unwrap_or(0);
        pixels.resize(count * self.channels(), 0);
        match (self, planes) {
            (Self::Grey, [grey, ..]) => pixels.copy_from_slice(&grey[..count]),
            (Self::Rgb, [r, g, b, ..]) => {
                for (pixel, ((&r, &g), &b)) in pixels
                    .as_chunks_mut()
                    .0
                    .iter_mut()
                    .zip(r.iter().zip(*g).zip(*b))
                {
                    *pixel = [r, g, b];
                }
            }
            (Self::YCbCr, [y, cb, cr, ..]) => {
                let components = y.chunks(RUN).zip(cb.chunks(RUN)).zip(cr.chunks(RUN));
                for (pixels, ((y, cb), cr)) in pixels.chunks_mut(RUN * 3).zip(components) {
                    convert(y, cb, cr, pixels);
                }
            }
            (Self::Cmyk, [c, m, y, k, ..]) => {
                for (pixel, (((&c, &m), &y), &k)) in pixels
                    .as_chunks_mut()
                    .0
                    .iter_mut()
                    .zip(c.iter().zip(*m).zip(*y).zip(*k))
                {
                    *pixel = [c, m, y, k].map(|stored| 255 - stored);
                }
            }
            // YCCK holds 255 − ink as RGB, of which the complement is stored, so the inks are what
            // the conversion to RGB gives; K is merely stored inverted.
            (Self::Ycck, [y, cb, cr, k, ..]) => {
                for (pixel, (((&y, &cb), &cr), &k)) in pixels
                    .as_chunks_mut()
                    .0
                    .iter_mut()
                    .zip(y.iter().zip(*cb).zip(*cr).zip(*k))
                {
                    let [c, m, y] = rgb(y, cb, cr);
                    *pixel = [c, m, y, 255 - k];
                }
            }
            _ => pixels.clear(),
        }
    }
}

/// Turns inks into RGB where no profile tells how: each ink takes its share of the light away.
/// `rgb` is cleared first.
#[expect(clippy::cast_possible_truncation, reason = "255 × 255 / 255 fits")]
pub fn cmyk_to_rgb(inks: &[u8], rgb: &mut Vec<u8>) {
    rgb.clear();
    rgb.extend(
        inks.as_chunks()
            .0
            .iter()
            .flat_map(|&[c, m, y, k]: &[u8; 4]| {
                [c, m, y].map(|ink| {
                    let product = u16::from(255 - ink) * u16::from(255 - k);
                    ((product + 127) / 255) as u8
                })
            }),
    );
}

/// Pixels that are converted before they are interleaved: planes are what vector instructions take.
const RUN: usize = 64;

/// A run of YCbCr as RGB.
fn convert(y: &[u8], cb: &[u8], cr: &[u8], pixels: &mut [u8]) {
    let [mut red, mut green, mut blue] = [[0; RUN]; 3];
    let colours = red.iter_mut().zip(&mut green).zip(&mut blue);
    for (((red, green), blue), ((&y, &cb), &cr)) in colours.zip(y.iter().zip(cb).zip(cr)) {
        [*red, *green, *blue] = rgb(y, cb, cr);
    }
    let colours = red.iter().zip(&green).zip(&blue);
    for (pixel, ((&red, &green), &blue)) in pixels.as_chunks_mut().0.iter_mut().zip(colours) {
        *pixel = [red, green, blue];
    }
}

/// The inverse of JFIF's YCbCr (ITU-T T.871 clause 7), in 16 bits of fraction as libjpeg rounds it.
/// Whole parts are taken out of the factors, so that the rest fits the 16 bits which vectors multiply
/// fastest; the sums are the same.
#[inline(always)]
fn rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    [
        y + cr + ((26345 * cr + HALF) >> 16),
        y - cr + ((-22554 * cb + 18734 * cr + HALF) >> 16),
        y + 2 * cb + ((-14942 * cb + HALF) >> 16),
    ]
    .map(|channel| channel.clamp(0, 255) as u8)
}

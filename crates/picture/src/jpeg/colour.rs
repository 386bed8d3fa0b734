//! Conversion of components to colours, for planes of the same size.

/// Meaning of the components of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ColourModel {
    /// One component: luminance.
    #[default]
    Grey,
    /// Luminance and two colour differences, as in ITU-T T.871 (JFIF) and ITU-R BT.601.
    YCbCr,
    /// Red, green and blue.
    Rgb,
    /// Four inks, stored inverted as in files of Adobe programs: 255 is no ink.
    Cmyk,
    /// [`Cmyk`](Self::Cmyk) whose first three components were converted from RGB to YCbCr.
    Ycck,
}

impl ColourModel {
    /// Returns the number of components in the file: 1, 3 or 4.
    ///
    /// It is also the number of channels that [`combine`](Self::combine) returns.
    pub const fn channels(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::YCbCr | Self::Rgb => 3,
            Self::Cmyk | Self::Ycck => 4,
        }
    }

    /// Combines planes, one per component, into interleaved pixels.
    ///
    /// The pixels are grey, RGB, or the amounts of four inks, where 255 is full ink. `pixels` is
    /// cleared first. It gets one pixel per sample of the shortest plane, or none if there are
    /// fewer planes than [`channels`](Self::channels).
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
            // Before the conversion to YCbCr, an encoder complements the stored C, M and Y. These
            // are 255 − ink, so the RGB values are the amounts of ink. K is stored as 255 − ink
            // without a conversion.
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

/// Converts inks to RGB without a profile: each channel is (255 − ink) · (255 − K) / 255.
///
/// `inks` holds four bytes per pixel, where 255 is full ink. `rgb` is cleared first.
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

/// Number of pixels that are converted at once, before they are interleaved.
///
/// The compiler vectorises the conversion of separate planes, but not of interleaved pixels.
const RUN: usize = 64;

/// Converts at most [`RUN`] pixels from YCbCr planes to interleaved RGB.
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

/// Converts YCbCr to RGB (ITU-T T.871 clause 7), with 16 fractional bits and the rounding of
/// libjpeg.
#[inline(always)]
fn rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    // The factors are 1.402, -0.344136, -0.714136 and 1.772, times 65,536. Multiples of 1 are taken
    // out of them (1.402 = 1 + 0.402, -0.714136 = -1 + 0.285864, 1.772 = 2 - 0.228). The rest fits
    // into 16 bits, which vector instructions multiply fastest, and the sums stay the same.
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    [
        y + cr + ((26345 * cr + HALF) >> 16),
        y - cr + ((-22554 * cb + 18734 * cr + HALF) >> 16),
        y + 2 * cb + ((-14942 * cb + HALF) >> 16),
    ]
    .map(|channel| channel.clamp(0, 255) as u8)
}

//! WebP (RFC 9649): the container read here, the bitstreams by libwebp, scaled where it can.

mod codec;
mod container;

use std::borrow::Cow;

use super::placement::{Placement, compose};
use super::request::{DecodeRequest, Decoded, FormatDecoder};
use crate::colour::ColourSpace;
use crate::error::{Complexity, Error};
use crate::exif;
use crate::format::Format;
use crate::geometry::Square;
use crate::header::Header;
use crate::orientation::Orientation;
use crate::pixels::Pixels;
use crate::planar::{ComponentPlane, Planar, PlanarModel};
use crate::policy::Policy;
use crate::raster::{Channels, CropBox, Raster, Samples};
use crate::reduce::MARGIN;
use crate::yuv::Matrix;
use container::{Container, WebPFrame};

/// Bytes a column of a lossy picture: rows of macroblocks, their contexts, and the scaler's sums.
const ROW_BYTES: u64 = 256;

pub(super) fn header(bytes: &[u8]) -> Result<Header, Error> {
    let (width, height) = container::dimensions(bytes)?;
    let pixels = u64::from(width) * u64::from(height);
    let decoder_bytes = pixels
        .saturating_mul(container::pixel_bytes(bytes))
        .saturating_add(u64::from(width) * ROW_BYTES)
        .saturating_add(bytes.len() as u64);
    Ok(Header::new(Format::WebP, width, height, decoder_bytes))
}

pub(super) struct WebP<'a> {
    container: Container<'a>,
    space: ColourSpace<'a>,
}

impl<'a> WebP<'a> {
    pub(super) fn open(bytes: &'a [u8], policy: &Policy) -> Result<Self, Error> {
        let container = Container::read(bytes, policy)?;
        let space = match container.profile {
            Some(profile) => {
                Error::check_limit(
                    Complexity::ProfileBytes,
                    profile.len() as u64,
                    policy.max_profile_bytes,
                )?;
                ColourSpace::Icc(Cow::Borrowed(profile))
            }
            None => ColourSpace::Srgb,
        };
        Ok(Self { container, space })
    }

    fn first_frame(
        &self,
        frame: &WebPFrame<'_>,
        request: DecodeRequest<'_>,
    ) -> Result<Pixels, Error> {
        let canvas = self.container.canvas;
        let placement = frame.placement(canvas);
        let (width, height) = scaled_size(canvas, request);
        match (placement.covers(), frame.is_lossy, frame.has_alpha) {
            (true, true, false) => {
                decode_planar(&frame.file(), canvas, (width, height), request.square)
            }
            (true, false, has_alpha) => Ok(Pixels::Interleaved(
                Raster {
                    width,
                    height,
                    channels: if has_alpha {
                        Channels::Rgba
                    } else {
                        Channels::Rgb
                    },
                    samples: Samples::Eight(codec::decode(
                        &frame.file(),
                        width,
                        height,
                        has_alpha,
                    )?),
                },
                CropBox::scaled(request.square, canvas, (width, height)),
            )),
            // libwebp scales lossy colours without regard to alpha, and has no canvas.
            _ => {
                let pixels = codec::decode(&frame.file(), frame.width, frame.height, true)?;
                let length = frame.width as usize * 4;
                let (raster, crop_box) = compose(placement, Channels::Rgba, request, |y, row| {
                    let start = y as usize * length;
                    if let Some(pixels) = pixels.get(start..start + length) {
                        row.copy_from_slice(pixels);
                    }
                    Ok(())
                })?;
                Ok(Pixels::Interleaved(raster, crop_box))
            }
        }
    }
}

/// A lossy picture as its planes. Those of colour need no more samples than this, since the outputs
/// keep half of the resolution too.
fn decode_planar(
    file: &[u8],
    canvas: (u32, u32),
    (width, height): (u32, u32),
    square: Square,
) -> Result<Pixels, Error> {
    let [luminance, blue, red] = codec::decode_planes(file, width, height)?;
    let plane = |samples, whole, (width, height)| ComponentPlane {
        width,
        height,
        samples: Samples::Eight(samples),
        crop_box: CropBox::scaled(square, whole, (width, height)),
    };
    // A column or row of colour stands for two of luminance, the last one too where that is odd.
    let even = (canvas.0.next_multiple_of(2), canvas.1.next_multiple_of(2));
    let half = (width.div_ceil(2), height.div_ceil(2));
    Ok(Pixels::Planar(Planar {
        planes: vec![
            plane(luminance, canvas, (width, height)),
            plane(blue, even, half),
            plane(red, even, half),
        ],
        model: PlanarModel::Yuv(Matrix::VP8),
    }))
}

impl<'a> FormatDecoder<'a> for WebP<'a> {
    fn orientation(&self) -> Orientation {
        self.container
            .exif
            .map(exif::orientation)
            .unwrap_or_default()
    }

    fn decode(self: Box<Self>, request: DecodeRequest<'_>) -> Result<Decoded<'a>, Error> {
        let (first, rest) = self
            .container
            .frames
            .split_first()
            .ok_or(Error::damaged("no picture data"))?;
        let pixels = self.first_frame(first, request)?;
        let mut work = first.pixels();
        for frame in rest {
            work = work.saturating_add(frame.pixels());
            Error::check_limit(Complexity::FramePixels, work, request.policy.max_work)?;
            // One pixel is the least that libwebp can be asked for; it decodes all the same.
            codec::decode(&frame.file(), 1, 1, frame.has_alpha)?;
        }
        Ok(Decoded {
            pixels,
            space: self.space,
        })
    }
}

/// The smallest size that keeps the margin.
fn scaled_size((width, height): (u32, u32), request: DecodeRequest<'_>) -> (u32, u32) {
    let scale = (f64::from(request.side) * MARGIN / f64::from(request.square.size)).min(1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most the length"
    )]
    let scaled = |length: u32| ((f64::from(length) * scale).ceil() as u32).clamp(1, length);
    (scaled(width), scaled(height))
}

impl WebPFrame<'_> {
    fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    fn placement(&self, canvas: (u32, u32)) -> Placement {
        Placement {
            canvas,
            x: self.x,
            y: self.y,
            width: self.width,
            height: self.height,
        }
    }
}

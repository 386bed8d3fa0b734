//! WebP (RFC 9649).
//!
//! The container is parsed here. libwebp decodes the bitstreams, and scales them during decoding if
//! the result is correct.

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

/// Bytes per column that libwebp holds: rows of macroblocks, their contexts, and the scaler's sums.
const ROW_BYTES: u64 = 256;

/// Reads the size of the canvas and estimates the memory for decoding.
///
/// # Errors
/// [`Error::Truncated`] or [`Error::Damaged`] if the first chunk is cut or invalid.
pub(super) fn header(bytes: &[u8]) -> Result<Header, Error> {
    let (width, height) = container::dimensions(bytes)?;
    let pixels = u64::from(width) * u64::from(height);
    // `WebPFrame::file` copies the coded data of a frame with an ALPH chunk, hence `bytes.len()`.
    let decoder_bytes = pixels
        .saturating_mul(container::pixel_bytes(bytes))
        .saturating_add(u64::from(width) * ROW_BYTES)
        .saturating_add(bytes.len() as u64);
    Ok(Header::new(Format::WebP, width, height, decoder_bytes))
}

/// A WebP whose container was parsed.
pub(super) struct WebP<'a> {
    container: Container<'a>,
    space: ColourSpace<'a>,
}

impl<'a> WebP<'a> {
    /// Parses the container.
    ///
    /// # Errors
    /// See [`Container::read`]. [`Error::TooComplex`] if the ICC profile exceeds
    /// `max_profile_bytes`.
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

    /// Decodes the first frame, at the smallest size that the outputs need if libwebp can scale it.
    ///
    /// # Errors
    /// See [`codec::decode`].
    fn first_frame(
        &self,
        frame: &WebPFrame<'_>,
        request: DecodeRequest<'_>,
    ) -> Result<Pixels, Error> {
        let canvas = self.container.canvas;
        let placement = frame.placement(canvas);
        let (width, height) = scaled_size(canvas, request);
        match (placement.covers(), frame.is_lossy, frame.has_alpha) {
            // Lossy and opaque: the planes are resized first and converted to RGB afterwards.
            (true, true, false) => {
                decode_planar(&frame.file(), canvas, (width, height), request.square)
            }
            // Lossless: libwebp premultiplies the colours before it scales them, so alpha is
            // correct.
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
            // libwebp scales the colours of a lossy frame without weighting them by alpha, and it
            // cannot place a frame on a canvas. Such a frame is decoded at full size and reduced
            // here.
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

/// Decodes a lossy picture without alpha to three planes: Y at the given size, Cb and Cr at half of
/// it.
///
/// `canvas` is the full size of the picture; `width` × `height` is the scaled size. Half resolution
/// is enough for chroma, because the outputs are lossy WebP with halved chroma too.
///
/// # Errors
/// See [`codec::decode_planes`].
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
    // A chroma sample covers two columns and rows of luma, even if the last column or row of an odd
    // size does not exist. So chroma covers the size rounded up to an even number.
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
            .ok_or(Error::damaged("the animation has no frames"))?;
        let pixels = self.first_frame(first, request)?;
        let mut work = first.pixels();
        for frame in rest {
            work = work.saturating_add(frame.pixels());
            Error::check_limit(Complexity::FramePixels, work, request.policy.max_work)?;
            // Output of 1 × 1 pixel needs least memory. libwebp still decodes the whole bitstream.
            codec::decode(&frame.file(), 1, 1, frame.has_alpha)?;
        }
        Ok(Decoded {
            pixels,
            space: self.space,
        })
    }
}

/// Returns the smallest size of the picture whose requested square is [`MARGIN`] times the largest
/// output. It is at most the original size.
fn scaled_size((width, height): (u32, u32), request: DecodeRequest<'_>) -> (u32, u32) {
    let scale = (f64::from(request.side) * MARGIN / f64::from(request.square.size)).min(1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the result is positive and at most `length`"
    )]
    let scaled = |length: u32| ((f64::from(length) * scale).ceil() as u32).clamp(1, length);
    (scaled(width), scaled(height))
}

impl WebPFrame<'_> {
    /// Returns width × height.
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

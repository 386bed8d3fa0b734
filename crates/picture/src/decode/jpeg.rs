//! JPEG (ITU-T T.81), decoded to planes by the scaled decoder in [`crate::jpeg`].

use std::borrow::Cow;
use std::cell::RefCell;

use super::request::{DecodeRequest, Decoded, FormatDecoder};
use crate::colour::ColourSpace;
use crate::error::Error;
use crate::exif;
use crate::format::Format;
use crate::geometry::Square;
use crate::header::{DecoderMemory, Header};
use crate::jpeg::{self, Decoder, Limits, OpenedJpeg, Plane, Region, Scale};
use crate::orientation::Orientation;
use crate::pixels::Pixels;
use crate::planar::{self, Planar, PlanarModel};
use crate::policy::Policy;
use crate::raster::{CropBox, Samples};

/// Cost of one block of a scan, in pixels of [`Policy::max_work`].
///
/// With the default policy, the limit is 125 million blocks, close to the default of [`Limits`].
const WORK_PER_BLOCK: u64 = 8;

thread_local! {
    /// One decoder per thread. It keeps its buffers, since new pages are a third of the cost of a
    /// decode.
    static DECODER: RefCell<Decoder> = RefCell::default();
}

/// Reads a file up to its first scan.
///
/// # Errors
/// See [`jpeg::read_header`].
pub(super) fn read(bytes: &[u8]) -> Result<OpenedJpeg<'_>, Error> {
    jpeg::open(bytes)
}

/// Returns the general header of a file.
pub(super) fn header(opened: &OpenedJpeg<'_>) -> Header {
    let header = &opened.header;
    Header::new(
        Format::Jpeg,
        header.width,
        header.height,
        DecoderMemory::Scaled(header.footprint()),
    )
}

/// JPEG file that is ready to decode, with its ICC profile.
pub(super) struct Jpeg<'a> {
    opened: OpenedJpeg<'a>,
    profile: Option<Vec<u8>>,
}

impl<'a> Jpeg<'a> {
    /// Joins the ICC profile of the file.
    ///
    /// # Errors
    /// [`Error::TooComplex`] if the profile is longer than the policy allows.
    pub(super) fn open(opened: OpenedJpeg<'a>, policy: &Policy) -> Result<Self, Error> {
        let profile = opened.header.icc_profile(policy.max_profile_bytes)?;
        Ok(Self { opened, profile })
    }
}

impl<'a> FormatDecoder<'a> for Jpeg<'a> {
    fn orientation(&self) -> Orientation {
        let exif = self.opened.header.exif;
        exif.map(exif::orientation).unwrap_or_default()
    }

    fn decode(self: Box<Self>, request: DecodeRequest<'_>) -> Result<Decoded<'a>, Error> {
        let Self { opened, profile } = *self;
        let square = request.square;
        let scale = Scale::for_square(square.size, request.side);
        let region = Region::around_square(square);
        let limits = Limits {
            max_blocks: request.policy.max_work / WORK_PER_BLOCK,
            ..Limits::default()
        };
        let decoded = DECODER.with_borrow_mut(|decoder| {
            decoder.decode_opened(opened, scale, Some(region), &limits)
        })?;
        let planes = decoded
            .planes
            .into_iter()
            .map(|plane| crop_plane(plane, square));
        let pixels = Pixels::Planar(Planar {
            planes: planes.collect(),
            model: PlanarModel::Jpeg(decoded.colour),
        });
        let space = match profile {
            Some(profile) => ColourSpace::Icc(Cow::Owned(profile)),
            // Most programs, browsers included, take untagged files as sRGB.
            None => ColourSpace::Srgb,
        };
        Ok(Decoded { pixels, space })
    }
}

/// Converts a decoded plane, and computes the box of the square in it.
///
/// The rows keep their padding at the right edge of the picture, which is outside the square.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "planes have at most 65,535 samples and padding a side"
)]
fn crop_plane(plane: Plane, square: Square) -> planar::ComponentPlane {
    let (across, down) = plane.samples_per_pixel;
    let x = f64::from(square.x) * across - plane.x as f64;
    let y = f64::from(square.y) * down - plane.y as f64;
    let side = f64::from(square.size);
    // A rounding error in the products must not move the box beyond the picture.
    let crop_box = CropBox {
        x,
        y,
        width: (side * across).min(plane.width as f64 - x),
        height: (side * down).min(plane.height as f64 - y),
    };
    let height = plane.samples.len() / plane.stride;
    planar::ComponentPlane {
        width: plane.stride as u32,
        height: height as u32,
        samples: Samples::Eight(plane.samples),
        crop_box,
    }
}

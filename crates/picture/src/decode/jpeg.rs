//! JPEG (ITU-T T.81).

mod markers;

use std::io::Cursor;

use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::{Decoded, Source, Wanted};
use crate::colour::ColourSpace;
use crate::orientation::Orientation;
use crate::raster::{Channels, Pixels, Raster, Samples};
use crate::{Error, Format, Header, Policy, exif};
use markers::Markers;

pub(super) fn header(bytes: &[u8]) -> Result<Header, Error> {
    let frame = Markers::read(bytes)?.frame;
    // Coefficients of 16 bits, samples, and pixels.
    let pixels = u64::from(frame.width) * u64::from(frame.height);
    let decoder_bytes = pixels * u64::from(frame.components) * 4;
    Ok(Header::new(
        Format::Jpeg,
        frame.width.into(),
        frame.height.into(),
        decoder_bytes,
    ))
}

pub(super) struct Jpeg<'a> {
    bytes: &'a [u8],
    markers: Markers<'a>,
    space: ColourSpace<'a>,
}

impl<'a> Jpeg<'a> {
    pub(super) fn open(bytes: &'a [u8], policy: &Policy) -> Result<Self, Error> {
        let markers = Markers::read(bytes)?;
        markers.find_end(bytes)?;
        let space = markers
            .profile(policy.max_profile_bytes)?
            .map_or(ColourSpace::Srgb, ColourSpace::Icc);
        Ok(Self {
            bytes,
            markers,
            space,
        })
    }
}

impl<'a> Source<'a> for Jpeg<'a> {
    fn orientation(&self) -> Orientation {
        self.markers.exif.map(exif::orientation).unwrap_or_default()
    }

    fn decode(self: Box<Self>, wanted: Wanted<'_>) -> Result<Decoded<'a>, Error> {
        let grey = self.markers.frame.components == 1;
        let (space, channels) = if grey {
            (ColorSpace::Luma, Channels::Grey)
        } else {
            (ColorSpace::RGB, Channels::Rgb)
        };
        let options = DecoderOptions::default()
            .set_strict_mode(true)
            .set_max_width(65_535)
            .set_max_height(65_535)
            .jpeg_set_out_colorspace(space);
        let mut decoder = JpegDecoder::new_with_options(Cursor::new(self.bytes), options);
        let pixels = decoder.decode().map_err(|error| match error {
            DecodeErrors::ExhaustedData | DecodeErrors::IoErrors(_) => Error::CUT,
            _ => Error::damaged("the picture data"),
        })?;
        let (width, height) = (
            self.markers.frame.width.into(),
            self.markers.frame.height.into(),
        );
        let raster = Raster {
            width,
            height,
            channels,
            samples: Samples::Eight(pixels),
        };
        Ok(Decoded {
            pixels: Pixels::Interleaved(raster, wanted.square.into()),
            space: self.space,
        })
    }
}

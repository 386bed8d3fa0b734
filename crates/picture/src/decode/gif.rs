//! GIF (GIF89a): the first frame on its screen; the rest walked to the trailer.

use gif::{ColorOutput, DecodeOptions, DecodingError, MemoryLimit};

use super::canvas::{self, Placement};
use super::{Decoded, Source, Wanted};
use crate::bytes::Bytes;
use crate::colour::ColourSpace;
use crate::orientation::Orientation;
use crate::raster::Channels;
use crate::{Error, Format, Header};

/// The size: that of the screen (section 18), or of the first frame where that is larger, as
/// browsers have it.
pub(super) fn header(bytes: &[u8]) -> Result<Header, Error> {
    let (Some(width), Some(height)) = (bytes.le16(6), bytes.le16(8)) else {
        return Err(Error::CUT);
    };
    Ok(Header {
        format: Format::Gif,
        width: width.into(),
        height: height.into(),
    })
}

pub(super) struct Gif<'a> {
    bytes: &'a [u8],
    screen: (u32, u32),
}

impl<'a> Gif<'a> {
    pub(super) fn open(bytes: &'a [u8], header: &Header) -> Self {
        Self {
            bytes,
            screen: (header.width, header.height),
        }
    }
}

impl<'a> Source<'a> for Gif<'a> {
    fn orientation(&self) -> Orientation {
        Orientation::default()
    }

    fn decode(self: Box<Self>, wanted: Wanted<'_>) -> Result<Decoded<'a>, Error> {
        let mut options = DecodeOptions::new();
        options.set_color_output(ColorOutput::Indexed);
        options.set_memory_limit(MemoryLimit::Unlimited);
        let mut decoder = options
            .read_info(self.bytes)
            .map_err(|error| refusal(&error))?;
        let frame = decoder.next_frame_info().map_err(|error| refusal(&error))?;
        let frame = frame.ok_or(Error::damaged("no frame"))?;
        let placement = Placement {
            canvas: self.screen,
            x: frame.left.into(),
            y: frame.top.into(),
            width: frame.width.into(),
            height: frame.height.into(),
        };
        let clear = frame.transparent;
        let mut pixels = vec![0; decoder.buffer_size()];
        decoder
            .read_into_buffer(&mut pixels)
            .map_err(|error| refusal(&error))?;
        let colours = decoder.palette().map_err(|error| refusal(&error))?;
        let mut palette = [[0, 0, 0, u8::MAX]; 256];
        for (entry, &[red, green, blue]) in palette.iter_mut().zip(colours.as_chunks().0) {
            *entry = [red, green, blue, u8::MAX];
        }
        if let Some(clear) = clear {
            palette[usize::from(clear)] = [0; 4];
        }
        let width = placement.width as usize;
        let (raster, window) = canvas::compose(placement, Channels::Rgba, wanted, |y, row| {
            let start = y as usize * width;
            let indices = pixels.get(start..start + width).unwrap_or_default();
            for (pixel, &index) in row.as_chunks_mut::<4>().0.iter_mut().zip(indices) {
                *pixel = palette[usize::from(index)];
            }
        });
        let mut frames = 1;
        while decoder
            .next_frame_info()
            .map_err(|error| refusal(&error))?
            .is_some()
        {
            frames += 1;
            Error::complexity("frames", frames, wanted.policy.max_frames.into())?;
        }
        Ok(Decoded {
            raster,
            window,
            space: ColourSpace::Srgb,
        })
    }
}

fn refusal(error: &DecodingError) -> Error {
    match error {
        DecodingError::UnexpectedEof | DecodingError::Io(_) => Error::CUT,
        _ => Error::damaged("the picture data"),
    }
}

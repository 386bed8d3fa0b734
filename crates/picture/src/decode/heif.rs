//! HEIF (ISO/IEC 23008-12): AVIF (AV1 Image File Format 1.1), and HEIC where it is built in. The
//! container is read here, the AV1 by rav1d, the HEVC by libde265.
//!
//! Of a sequence the primary item is shown, which is its first frame.

mod av1;
mod boxes;
mod budget;
mod canvas;
mod frame;
#[cfg(feature = "heic")]
mod hevc;
mod meta;
mod opacity;
mod properties;
#[cfg(feature = "heic")]
mod sps;

use std::borrow::Cow;

use super::{Decoded, Source, Wanted};
use crate::bytes::Bytes;
use crate::colour::{CodePoints, ColourSpace};
use crate::crop::{Rectangle, Square};
use crate::orientation::Orientation;
use crate::planar::{Model, Planar};
use crate::raster::Pixels;
use crate::yuv::{Matrix, Range};
use crate::{Complexity, Error, Format, Header, Policy};
use boxes::Reader;
use budget::Budget;
use canvas::Canvas;
use frame::{Frame, Layout, Signal};
use meta::{Item, Meta};

/// Matrix code point of components that are green, blue and red themselves.
const IDENTITY: u8 = 0;

/// Copies that are held at once of a frame, or of a tile of a grid: the frame, one with film grain,
/// and what the codec keeps of each block.
const FRAME_COPIES: u64 = 3;
/// Copies of the whole picture: the canvas, and its bytes for the resizer.
const CANVAS_COPIES: u64 = 2;

pub(super) fn header(bytes: &[u8], format: Format) -> Result<Header, Error> {
    let meta = Meta::read(bytes)?;
    let primary = meta.primary()?;
    let (width, height) = size(primary)?;
    let visible = primary.properties.visible(width, height);
    let alpha = meta.alpha(primary.id).map(|(alpha, _)| alpha);
    let items = [Some(primary), alpha];
    // Of whole pairs of pixels, which chroma shares.
    let held = items.into_iter().flatten().map(|item| {
        let tile = first_tile(&meta, item);
        let pair = tile.properties.pixel_pair_bytes();
        let frame = pixels(padded(tile.properties.size.unwrap_or_default()));
        let canvas = pixels(padded((width, height)));
        frame
            .saturating_mul(FRAME_COPIES)
            .saturating_add(canvas.saturating_mul(CANVAS_COPIES))
            .saturating_mul(pair)
            / 2
    });
    let decoder_bytes = held
        .fold(0, u64::saturating_add)
        .saturating_add((bytes.len() as u64).saturating_mul(2));
    Ok(Header::new(
        format,
        visible.width,
        visible.height,
        decoder_bytes,
    ))
}

/// What a grid is made of, which the grid itself says nothing of; any other item is its own.
fn first_tile<'a, 'm>(meta: &'m Meta<'a>, item: &'m Item<'a>) -> &'m Item<'a> {
    let tiles = meta.referred(item.id, *b"dimg");
    tiles.first().and_then(|id| meta.item(*id)).unwrap_or(item)
}

/// Whole superblocks, which codecs keep (AV1 Bitstream specification, section 3: 128 × 128).
fn padded((width, height): (u32, u32)) -> (u32, u32) {
    let up = |length: u32| length.checked_next_multiple_of(128).unwrap_or(u32::MAX);
    (up(width), up(height))
}

/// The size of an item, which it must state (section 6.5.3 of ISO/IEC 23008-12).
fn size(item: &Item<'_>) -> Result<(u32, u32), Error> {
    item.properties
        .size
        .ok_or(Error::damaged("an item without a size"))
}

/// What decodes the coded items of a file.
#[derive(Clone, Copy)]
enum Codec {
    Av1,
    #[cfg(feature = "heic")]
    Hevc,
}

impl Codec {
    fn of(format: Format) -> Self {
        match format {
            #[cfg(feature = "heic")]
            Format::Heic => Self::Hevc,
            _ => Self::Av1,
        }
    }

    /// The type of the items that it decodes.
    fn kind(self) -> &'static [u8; 4] {
        match self {
            Self::Av1 => b"av01",
            #[cfg(feature = "heic")]
            Self::Hevc => b"hvc1",
        }
    }
}

pub(super) struct Heif<'a> {
    codec: Codec,
    meta: Meta<'a>,
    orientation: Orientation,
    visible: Rectangle,
}

impl<'a> Heif<'a> {
    pub(super) fn open(bytes: &'a [u8], format: Format, policy: &Policy) -> Result<Self, Error> {
        let meta = Meta::read(bytes)?;
        let primary = meta.primary()?;
        let (width, height) = size(primary)?;
        if u64::from(width) * u64::from(height) > policy.max_pixels {
            return Err(Error::TooManyPixels {
                width,
                height,
                limit: policy.max_pixels,
            });
        }
        let profile = primary.properties.profile.unwrap_or_default();
        Error::complexity(
            Complexity::ProfileBytes,
            profile.len() as u64,
            policy.max_profile_bytes,
        )?;
        let orientation = primary.properties.orientation();
        let visible = primary.properties.visible(width, height);
        Ok(Self {
            codec: Codec::of(format),
            meta,
            orientation,
            visible,
        })
    }

    /// Decodes an item, or the tiles of one.
    fn canvas(
        &self,
        item: &Item<'a>,
        square: Square,
        budget: &mut Budget,
    ) -> Result<(Canvas, Signal), Error> {
        match &item.kind {
            b"grid" => self.grid(item, square, budget),
            kind if kind == self.codec.kind() => self.frame(item, square, budget),
            _ => Err(Error::UnsupportedFormat {
                what: "this kind of HEIF item",
            }),
        }
    }

    fn frame(
        &self,
        item: &Item<'a>,
        square: Square,
        budget: &mut Budget,
    ) -> Result<(Canvas, Signal), Error> {
        let size = size(item)?;
        self.decode_item(item, budget, |frame| {
            let mut canvas = Canvas::new(size, frame.layout(), square);
            canvas.lay(frame, 0, 0);
            Ok((canvas, frame.signal()))
        })
    }

    /// Decodes a coded item, and lends its frame to `take`.
    fn decode_item<T>(
        &self,
        item: &Item<'a>,
        budget: &mut Budget,
        take: impl FnOnce(&dyn Frame) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let size = size(item)?;
        let data = self.meta.data(item)?;
        let take = |frame: &dyn Frame| frame.check_size(size).and_then(|()| take(frame));
        match self.codec {
            Codec::Av1 => {
                budget.spend(data.len(), budget::av1_frames(&data), pixels(size))?;
                av1::decode(&data, pixels(size), take)
            }
            #[cfg(feature = "heic")]
            Codec::Hevc => {
                budget.spend(data.len(), budget::hevc_frames(&data), pixels(size))?;
                let missing = Error::damaged("an item without a configuration");
                let coded = hevc::Coded {
                    size,
                    configuration: item.properties.hevc.ok_or(missing)?,
                    data: &data,
                };
                hevc::decode(&coded, take)
            }
        }
    }

    /// A grid of tiles (section 6.6.2.3 of ISO/IEC 23008-12), row by row.
    fn grid(
        &self,
        item: &Item<'a>,
        square: Square,
        budget: &mut Budget,
    ) -> Result<(Canvas, Signal), Error> {
        const DAMAGED: Error = Error::damaged("the grid");
        let whole = size(item)?;
        let (rows, columns, stated) = read_grid(&self.meta.data(item)?).ok_or(DAMAGED)?;
        let tiles = self.meta.referred(item.id, *b"dimg");
        if whole != stated || tiles.len() as u64 != u64::from(rows) * u64::from(columns) {
            return Err(DAMAGED);
        }
        let mut laid: Option<(Canvas, Signal, (u32, u32))> = None;
        for (number, id) in (0_u32..).zip(tiles) {
            let tile = self
                .meta
                .item(*id)
                .filter(|tile| &tile.kind == self.codec.kind())
                .ok_or(DAMAGED)?;
            let size = size(tile)?;
            if laid.as_ref().is_some_and(|(_, _, first)| *first != size)
                || !covers(size, (columns, rows), whole)
            {
                return Err(DAMAGED);
            }
            self.decode_item(tile, budget, |frame| {
                let (canvas, ..) = laid.get_or_insert_with(|| {
                    let canvas = Canvas::new(whole, frame.layout(), square);
                    (canvas, frame.signal(), size)
                });
                let alike = Layout {
                    width: whole.0,
                    height: whole.1,
                    ..frame.layout()
                } == canvas.layout;
                if !alike {
                    return Err(Error::damaged("tiles that differ"));
                }
                canvas.lay(frame, number % columns * size.0, number / columns * size.1);
                Ok(())
            })?;
        }
        laid.map(|(canvas, signal, _)| (canvas, signal))
            .ok_or(DAMAGED)
    }
}

fn pixels((width, height): (u32, u32)) -> u64 {
    u64::from(width) * u64::from(height)
}

/// Rows, columns and size of a grid.
fn read_grid(data: &[u8]) -> Option<(u32, u32, (u32, u32))> {
    let [_version, flags, rows, columns] = data.array(0)?;
    let length = if flags & 1 == 1 { 4 } else { 2 };
    let mut numbers = Reader(data.get(4..)?);
    let size = (numbers.short(length)?, numbers.short(length)?);
    Some((u32::from(rows) + 1, u32::from(columns) + 1, size))
}

/// Whether tiles fill the picture without one too many, and lie at even pixels.
fn covers(tile: (u32, u32), count: (u32, u32), whole: (u32, u32)) -> bool {
    let fits = |tile: u32, count: u32, whole: u32| {
        let (tile, before_last) = (u64::from(tile), u64::from(tile) * u64::from(count - 1));
        before_last < whole.into()
            && before_last + tile >= whole.into()
            && (count == 1 || tile % 2 == 0)
    };
    fits(tile.0, count.0, whole.0) && fits(tile.1, count.1, whole.1)
}

impl<'a> Source<'a> for Heif<'a> {
    fn orientation(&self) -> Orientation {
        self.orientation
    }

    fn decode(self: Box<Self>, wanted: Wanted<'_>) -> Result<Decoded<'a>, Error> {
        let primary = self.meta.primary()?;
        let square = Square {
            x: wanted.square.x + self.visible.x,
            y: wanted.square.y + self.visible.y,
            ..wanted.square
        };
        let mut budget = Budget::new(self.meta.length(), wanted.policy);
        let (colours, coded) = self.canvas(primary, square, &mut budget)?;
        let signal = primary.properties.signal.unwrap_or(coded);
        let space = match primary.properties.profile {
            Some(profile) => ColourSpace::Icc(Cow::Borrowed(profile)),
            None => ColourSpace::Coded(CodePoints {
                primaries: signal.primaries,
                transfer: signal.transfer,
            }),
        };
        let range = Range {
            bits: colours.layout.bits,
            full: signal.full_range,
        };
        let matrix = Matrix::coded(signal.matrix, range);
        let is_rgb = colours.layout.has_chroma && signal.matrix == IDENTITY;

        let Some((alpha, premultiplied)) = self.meta.alpha(primary.id) else {
            let has_chroma = colours.layout.has_chroma;
            let mut planes = colours.into_planes(square);
            let model = if is_rgb {
                planes.rotate_right(1);
                Model::Rgb(range)
            } else if has_chroma {
                Model::Yuv(matrix)
            } else {
                Model::Grey(range)
            };
            return Ok(Decoded {
                pixels: Pixels::Planar(Planar { planes, model }),
                space,
            });
        };
        if size(alpha)? != size(primary)? {
            return Err(Error::damaged("alpha of another size"));
        }
        let (opacity, coded) = self.canvas(alpha, square, &mut budget)?;
        let full = alpha.properties.signal.unwrap_or(coded).full_range;
        let joint = opacity::Joint {
            place: colours.place(square),
            matrix: (!is_rgb).then_some(matrix),
            range,
            colours,
            range_of_opacity: Range {
                bits: opacity.layout.bits,
                full,
            },
            opacity,
            premultiplied,
        };
        let (raster, window) = joint.reduce(wanted);
        Ok(Decoded {
            pixels: Pixels::Interleaved(raster, window),
            space,
        })
    }
}

//! HEIF (ISO/IEC 23008-12): AVIF (AV1 Image File Format 1.1), and HEIC where it is built in. The
//! container is read here, the AV1 by rav1d, the HEVC by libde265.
//!
//! Of a sequence the primary item is shown, which is its first frame.

mod alpha;
mod av1;
mod boxes;
mod budget;
mod canvas;
mod frame;
#[cfg(feature = "heic")]
mod hevc;
mod meta;
mod properties;
#[cfg(feature = "heic")]
mod sps;

use std::borrow::Cow;

use super::request::{DecodeRequest, Decoded, FormatDecoder};
use crate::bytes::Bytes;
use crate::colour::{CodePoints, ColourSpace};
use crate::error::{Complexity, Error};
use crate::format::Format;
use crate::geometry::{Rectangle, Square};
use crate::header::Header;
use crate::orientation::Orientation;
use crate::pixels::Pixels;
use crate::planar::{Planar, PlanarModel};
use crate::policy::Policy;
use crate::yuv::{Matrix, SampleRange};
use boxes::NumberReader;
use budget::Budget;
use canvas::Canvas;
use frame::{Cicp, Frame, FrameLayout};
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
    let memory = items.into_iter().flatten().map(|item| {
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
    let decoder_bytes = memory
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
    let tiles = meta.reference_targets(item.id, *b"dimg");
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
        Error::check_limit(
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
    ) -> Result<(Canvas, Cicp), Error> {
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
    ) -> Result<(Canvas, Cicp), Error> {
        let size = size(item)?;
        self.decode_item(item, budget, |frame| {
            let mut canvas = Canvas::new(size, frame.layout(), square);
            canvas.blit(frame, 0, 0);
            Ok((canvas, frame.cicp()))
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
                let coded = hevc::HevcItem {
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
    ) -> Result<(Canvas, Cicp), Error> {
        const DAMAGED: Error = Error::damaged("the grid");
        let grid_size = size(item)?;
        let (rows, columns, stated_size) = read_grid(&self.meta.data(item)?).ok_or(DAMAGED)?;
        let tiles = self.meta.reference_targets(item.id, *b"dimg");
        if grid_size != stated_size || tiles.len() as u64 != u64::from(rows) * u64::from(columns) {
            return Err(DAMAGED);
        }
        let mut composed: Option<(Canvas, Cicp, (u32, u32))> = None;
        for (number, id) in (0_u32..).zip(tiles) {
            let tile = self
                .meta
                .item(*id)
                .filter(|tile| &tile.kind == self.codec.kind())
                .ok_or(DAMAGED)?;
            let size = size(tile)?;
            if composed
                .as_ref()
                .is_some_and(|(_, _, first)| *first != size)
                || !grid_covers(size, (columns, rows), grid_size)
            {
                return Err(DAMAGED);
            }
            self.decode_item(tile, budget, |frame| {
                let (canvas, ..) = composed.get_or_insert_with(|| {
                    let canvas = Canvas::new(grid_size, frame.layout(), square);
                    (canvas, frame.cicp(), size)
                });
                let same_layout = FrameLayout {
                    width: grid_size.0,
                    height: grid_size.1,
                    ..frame.layout()
                } == canvas.layout;
                if !same_layout {
                    return Err(Error::damaged("tiles that differ"));
                }
                canvas.blit(frame, number % columns * size.0, number / columns * size.1);
                Ok(())
            })?;
        }
        composed
            .map(|(canvas, cicp, _)| (canvas, cicp))
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
    let mut numbers = NumberReader(data.get(4..)?);
    let size = (numbers.read_u32(length)?, numbers.read_u32(length)?);
    Some((u32::from(rows) + 1, u32::from(columns) + 1, size))
}

/// Whether tiles fill the picture without one too many, and lie at even pixels.
fn grid_covers(tile: (u32, u32), count: (u32, u32), grid_size: (u32, u32)) -> bool {
    let fits = |tile: u32, count: u32, grid_size: u32| {
        let (tile, before_last) = (u64::from(tile), u64::from(tile) * u64::from(count - 1));
        before_last < grid_size.into()
            && before_last + tile >= grid_size.into()
            && (count == 1 || tile % 2 == 0)
    };
    fits(tile.0, count.0, grid_size.0) && fits(tile.1, count.1, grid_size.1)
}

impl<'a> FormatDecoder<'a> for Heif<'a> {
    fn orientation(&self) -> Orientation {
        self.orientation
    }

    fn decode(self: Box<Self>, request: DecodeRequest<'_>) -> Result<Decoded<'a>, Error> {
        let primary = self.meta.primary()?;
        let square = Square {
            x: request.square.x + self.visible.x,
            y: request.square.y + self.visible.y,
            ..request.square
        };
        let mut budget = Budget::new(self.meta.length(), request.policy);
        let (colours, coded) = self.canvas(primary, square, &mut budget)?;
        let cicp = primary.properties.cicp.unwrap_or(coded);
        let space = match primary.properties.profile {
            Some(profile) => ColourSpace::Icc(Cow::Borrowed(profile)),
            None => ColourSpace::CodePoints(CodePoints {
                primaries: cicp.primaries,
                transfer: cicp.transfer,
            }),
        };
        let range = SampleRange {
            bits: colours.layout.bits,
            full: cicp.full_range,
        };
        let matrix = Matrix::from_code_point(cicp.matrix, range);
        let is_rgb = colours.layout.has_chroma && cicp.matrix == IDENTITY;

        let Some((alpha, premultiplied)) = self.meta.alpha(primary.id) else {
            let has_chroma = colours.layout.has_chroma;
            let mut planes = colours.into_planes(square);
            let model = if is_rgb {
                planes.rotate_right(1);
                PlanarModel::Rgb(range)
            } else if has_chroma {
                PlanarModel::Yuv(matrix)
            } else {
                PlanarModel::Grey(range)
            };
            return Ok(Decoded {
                pixels: Pixels::Planar(Planar { planes, model }),
                space,
            });
        };
        if size(alpha)? != size(primary)? {
            return Err(Error::damaged("alpha of another size"));
        }
        let (alpha_canvas, coded) = self.canvas(alpha, square, &mut budget)?;
        let full = alpha.properties.cicp.unwrap_or(coded).full_range;
        let colour_with_alpha = alpha::ColourWithAlpha {
            square: colours.square_in_kept(square),
            matrix: (!is_rgb).then_some(matrix),
            range,
            colours,
            alpha_range: SampleRange {
                bits: alpha_canvas.layout.bits,
                full,
            },
            alpha: alpha_canvas,
            premultiplied,
        };
        let (raster, crop_box) = colour_with_alpha.reduce(request);
        Ok(Decoded {
            pixels: Pixels::Interleaved(raster, crop_box),
            space,
        })
    }
}

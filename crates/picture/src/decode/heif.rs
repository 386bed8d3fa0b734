//! HEIF (ISO/IEC 23008-12): AVIF (AV1 Image File Format 1.1), and HEIC with the feature `heic`.
//!
//! The container is parsed here. rav1d decodes AV1, and libde265 decodes HEVC. Of an image sequence
//! only the primary item is decoded.

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

/// Matrix code point of planes that hold green, blue and red (ITU-T H.273, table 4).
const IDENTITY: u8 = 0;

/// Copies of a frame, or of a tile of a grid, that are held at once: the decoded frame, the frame
/// with film grain, and the codec's state per block.
const FRAME_COPIES: u64 = 3;
/// Copies of the whole picture that are held at once: the canvas and the input of the resizer.
const CANVAS_COPIES: u64 = 2;

/// Reads the visible size of the primary item and estimates the memory for decoding.
///
/// # Errors
/// Those of [`Meta::read`] and [`Meta::primary`]. [`Error::Damaged`] if the item states no size.
pub(super) fn header(bytes: &[u8], format: Format) -> Result<Header, Error> {
    let meta = Meta::read(bytes)?;
    let primary = meta.primary()?;
    let (width, height) = size(primary)?;
    let visible = primary.properties.visible(width, height);
    let alpha = meta.alpha(primary.id).map(|(alpha, _)| alpha);
    let items = [Some(primary), alpha];
    // Bytes are counted per two pixels, because halved chroma takes a fraction of a sample per
    // pixel.
    let memory = items.into_iter().flatten().map(|item| {
        let tile = first_tile(&meta, item);
        let pair_bytes = tile.properties.pixel_pair_bytes();
        let frame = pixels(padded(tile.properties.size.unwrap_or_default()));
        let canvas = pixels(padded((width, height)));
        frame
            .saturating_mul(FRAME_COPIES)
            .saturating_add(canvas.saturating_mul(CANVAS_COPIES))
            .saturating_mul(pair_bytes)
            / 2
    });
    // The data of an item, at most the length of the file, is copied here and again by the codec.
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

/// Returns the first tile of a grid, or the item itself if it is not a grid.
///
/// The configuration of the codec is a property of the tiles, not of the grid.
fn first_tile<'a, 'm>(meta: &'m Meta<'a>, item: &'m Item<'a>) -> &'m Item<'a> {
    let tiles = meta.reference_targets(item.id, *b"dimg");
    tiles.first().and_then(|id| meta.item(*id)).unwrap_or(item)
}

/// Rounds a size up to whole superblocks, which codecs allocate (AV1 Bitstream specification,
/// section 3: at most 128 × 128 pixels).
fn padded((width, height): (u32, u32)) -> (u32, u32) {
    let up = |length: u32| length.checked_next_multiple_of(128).unwrap_or(u32::MAX);
    (up(width), up(height))
}

/// Returns the size of an item in pixels, from its `ispe` property (ISO/IEC 23008-12, section
/// 6.5.3).
///
/// # Errors
/// [`Error::Damaged`] if the item does not have this mandatory property.
fn size(item: &Item<'_>) -> Result<(u32, u32), Error> {
    item.properties
        .size
        .ok_or(Error::damaged("an item has no ispe property"))
}

/// The codec of the coded items of a file.
#[derive(Clone, Copy)]
enum Codec {
    Av1,
    #[cfg(feature = "heic")]
    Hevc,
}

impl Codec {
    /// Returns the codec of a format.
    fn of(format: Format) -> Self {
        match format {
            #[cfg(feature = "heic")]
            Format::Heic => Self::Hevc,
            _ => Self::Av1,
        }
    }

    /// Returns the type of the items that this codec decodes.
    fn kind(self) -> &'static [u8; 4] {
        match self {
            Self::Av1 => b"av01",
            #[cfg(feature = "heic")]
            Self::Hevc => b"hvc1",
        }
    }
}

/// A HEIF file whose item tables were parsed.
pub(super) struct Heif<'a> {
    codec: Codec,
    meta: Meta<'a>,
    orientation: Orientation,
    /// Part of the primary item inside its clean aperture.
    visible: Rectangle,
}

impl<'a> Heif<'a> {
    /// Parses the item tables and checks the primary item against the policy.
    ///
    /// # Errors
    /// Those of [`Meta::read`] and [`Meta::primary`]. [`Error::TooManyPixels`] if the item is too
    /// large, [`Error::TooComplex`] if its ICC profile exceeds `max_profile_bytes`.
    pub(super) fn open(bytes: &'a [u8], format: Format, policy: &Policy) -> Result<Self, Error> {
        let meta = Meta::read(bytes)?;
        let primary = meta.primary()?;
        let (width, height) = size(primary)?;
        // The header states the clean aperture. The whole item is decoded, so it has to be checked
        // too.
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

    /// Decodes a coded item or a grid, and keeps the part around `square`.
    ///
    /// # Errors
    /// [`Error::UnsupportedFormat`] for other item types, such as overlays. Otherwise the errors of
    /// [`frame`](Self::frame) and [`grid`](Self::grid).
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
                what: "this type of HEIF item",
            }),
        }
    }

    /// Decodes a coded item and keeps the part around `square`.
    ///
    /// # Errors
    /// See [`decode_item`](Self::decode_item).
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

    /// Decodes a coded item and passes a borrow of its frame to `take`.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the item has no size, its frame has another size, or its data is
    /// invalid. [`Error::Truncated`] if its data is outside the file. [`Error::TooComplex`] if
    /// `budget` is exceeded. Errors of `take` are passed on.
    fn decode_item<T>(
        &self,
        item: &Item<'a>,
        budget: &mut Budget,
        take: impl FnOnce(&dyn Frame) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let size = size(item)?;
        let data = self.meta.data(item)?;
        // Memory and budget are calculated from the stated size, so the frame must have that size.
        let take = |frame: &dyn Frame| frame.check_size(size).and_then(|()| take(frame));
        match self.codec {
            Codec::Av1 => {
                budget.spend(data.len(), budget::av1_frames(&data), pixels(size))?;
                av1::decode(&data, pixels(size), take)
            }
            #[cfg(feature = "heic")]
            Codec::Hevc => {
                budget.spend(data.len(), budget::hevc_frames(&data), pixels(size))?;
                let missing = Error::damaged("an HEVC item has no hvcC property");
                let coded = hevc::HevcItem {
                    size,
                    configuration: item.properties.hevc.ok_or(missing)?,
                    data: &data,
                };
                hevc::decode(&coded, take)
            }
        }
    }

    /// Decodes a grid of tiles (ISO/IEC 23008-12, section 6.6.2.3), row by row.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the grid is invalid: its size differs from its `ispe` property, the
    /// number of tiles is wrong, they do not cover it, or they differ in type, size or layout.
    /// Otherwise the errors of [`decode_item`](Self::decode_item).
    fn grid(
        &self,
        item: &Item<'a>,
        square: Square,
        budget: &mut Budget,
    ) -> Result<(Canvas, Cicp), Error> {
        const DAMAGED: Error = Error::damaged("the grid is invalid");
        let grid_size = size(item)?;
        let (rows, columns, stated_size) = read_grid(&self.meta.data(item)?).ok_or(DAMAGED)?;
        let tiles = self.meta.reference_targets(item.id, *b"dimg");
        if grid_size != stated_size || tiles.len() as u64 != u64::from(rows) * u64::from(columns) {
            return Err(DAMAGED);
        }
        // The layout of the canvas is known only when the first tile is decoded.
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
                    return Err(Error::damaged(
                        "the tiles of the grid have different bit depths or chroma formats",
                    ));
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

/// Returns width × height.
fn pixels((width, height): (u32, u32)) -> u64 {
    u64::from(width) * u64::from(height)
}

/// Parses the numbers of rows and columns and the size of a grid (ISO/IEC 23008-12, section
/// 6.6.2.3).
fn read_grid(data: &[u8]) -> Option<(u32, u32, (u32, u32))> {
    let [_version, flags, rows, columns] = data.array(0)?;
    // Flag 1 selects sizes of 32 bits. Rows and columns are stored minus 1.
    let length = if flags & 1 == 1 { 4 } else { 2 };
    let mut numbers = NumberReader(data.get(4..)?);
    let size = (numbers.read_u32(length)?, numbers.read_u32(length)?);
    Some((u32::from(rows) + 1, u32::from(columns) + 1, size))
}

/// Whether `count` tiles cover the grid without a redundant row or column, and start at even
/// pixels.
///
/// `tile` and `grid_size` are width and height in pixels; `count` is columns and rows.
fn grid_covers(tile: (u32, u32), count: (u32, u32), grid_size: (u32, u32)) -> bool {
    let fits = |tile: u32, count: u32, grid_size: u32| {
        let (tile, before_last) = (u64::from(tile), u64::from(tile) * u64::from(count - 1));
        before_last < grid_size.into()
            && before_last + tile >= grid_size.into()
            // At an odd position, halved chroma samples would belong to two tiles.
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
        // The request is relative to the clean aperture, the canvas to the whole item.
        let square = Square {
            x: request.square.x + self.visible.x,
            y: request.square.y + self.visible.y,
            ..request.square
        };
        let mut budget = Budget::new(self.meta.length(), request.policy);
        let (colours, coded) = self.canvas(primary, square, &mut budget)?;
        // `colr` has precedence over the bitstream (ISO/IEC 23008-12, section 6.5.5).
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
                // H.273 stores green, blue, red. The rotation makes it red, green, blue.
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
            return Err(Error::damaged(
                "the alpha item has another size than the picture",
            ));
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

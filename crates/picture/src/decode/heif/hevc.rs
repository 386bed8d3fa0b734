//! HEVC by the system's libheif: the only place that calls it. The container, grids, turns, alpha and
//! colours are read here as for AV1; it decodes single coded items.

use libheif_rs::{Chroma, ColorSpace, DecodingOptions, HeifContext, Image, LibHeif, Plane, Planes};

use super::frame::{Frame, Layout, Row, Signal};
use crate::Error;

const FAILED: Error = Error::Encoder { what: "libheif" };
const DAMAGED: Error = Error::damaged("the picture data");

/// What libheif is told of a coded item.
pub(super) struct Coded<'a> {
    /// The content of its `hvcC` property.
    pub(super) configuration: &'a [u8],
    /// The chroma format (ITU-T H.265, table 6-1): none, 4:2:0, 4:2:2, 4:4:4.
    pub(super) chroma: u8,
    pub(super) size: (u32, u32),
    pub(super) data: &'a [u8],
}

/// Decodes an item as it is stored, and lends it to `take`.
pub(super) fn decode<T>(
    item: &Coded<'_>,
    take: impl FnOnce(&dyn Frame) -> Result<T, Error>,
) -> Result<T, Error> {
    let library = LibHeif::new_checked().map_err(|_| FAILED)?;
    let file = file(item).ok_or(DAMAGED)?;
    let context = HeifContext::read_from_bytes(&file).map_err(|_| DAMAGED)?;
    let handle = context.primary_image_handle().map_err(|_| DAMAGED)?;
    let mut options = DecodingOptions::new().ok_or(FAILED)?;
    options.set_ignore_transformations(true);
    options.set_strict_decoding(true);
    // Left to itself libheif converts.
    let space = match item.chroma {
        0 => ColorSpace::Monochrome,
        1 => ColorSpace::YCbCr(Chroma::C420),
        2 => ColorSpace::YCbCr(Chroma::C422),
        _ => ColorSpace::YCbCr(Chroma::C444),
    };
    let image = library
        .decode(&handle, space, Some(options))
        .map_err(|_| DAMAGED)?;
    take(&Lent::new(&image)?)
}

/// A file of this item alone (ISO/IEC 23008-12): libheif sees no container but ours, and hands out
/// tiles and alpha no other way.
fn file(item: &Coded<'_>) -> Option<Vec<u8>> {
    let length = u32::try_from(item.data.len()).ok()?;
    let kind = container(b"ftyp", &[b"heic\0\0\0\0mif1heic"])?;
    let handler = container(b"hdlr", &[&[0; 8], b"pict", &[0; 13]])?;
    let primary = container(b"pitm", &[&[0, 0, 0, 0, 0, 1]])?;
    let entry = container(b"infe", &[&[2, 0, 0, 0, 0, 1, 0, 0], b"hvc1\0"])?;
    let information = container(b"iinf", &[&[0, 0, 0, 0, 0, 1], &entry])?;
    let configuration = container(b"hvcC", &[item.configuration])?;
    let (width, height) = (item.size.0.to_be_bytes(), item.size.1.to_be_bytes());
    let size = container(b"ispe", &[&[0; 4], &width, &height])?;
    let properties = container(b"ipco", &[&configuration, &size])?;
    // One item with two properties, the first of them essential.
    let association = container(b"ipma", &[&[0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 2, 0x81, 2]])?;
    let properties = container(b"iprp", &[&properties, &association])?;
    let whole = |offset: u32| {
        // Offsets and lengths of four bytes; one item of one extent.
        let place = [offset, length].map(u32::to_be_bytes).concat();
        let counts = [0, 0, 0, 0, 0x44, 0, 0, 1, 0, 1, 0, 0, 0, 1];
        let location = container(b"iloc", &[&counts, &place])?;
        container(
            b"meta",
            &[
                &[0; 4],
                &handler,
                &primary,
                &location,
                &information,
                &properties,
            ],
        )
    };
    let before = kind.len() + whole(0)?.len() + 8;
    let meta = whole(u32::try_from(before).ok()?)?;
    Some([kind, meta, container(b"mdat", &[item.data])?].concat())
}

/// A box.
fn container(kind: &[u8; 4], content: &[&[u8]]) -> Option<Vec<u8>> {
    let content = content.concat();
    let length = u32::try_from(content.len().checked_add(8)?).ok()?;
    Some([&length.to_be_bytes(), kind.as_slice(), &content].concat())
}

struct Lent<'a> {
    planes: [Option<Plane<&'a [u8]>>; 3],
    layout: Layout,
    signal: Signal,
}

impl<'a> Lent<'a> {
    fn new(image: &'a Image) -> Result<Self, Error> {
        let Planes { y, cb, cr, .. } = image.planes();
        let luminance = y.ok_or(DAMAGED)?;
        let halved = |chroma: &Plane<&[u8]>| {
            (
                chroma.width < luminance.width,
                chroma.height < luminance.height,
            )
        };
        let layout = Layout {
            width: luminance.width,
            height: luminance.height,
            bits: luminance.bits_per_pixel,
            has_chroma: cb.is_some() && cr.is_some(),
            subsampling: cb.as_ref().map(halved).unwrap_or_default(),
        };
        let planes = [Some(luminance), cb, cr];
        let alike = |(index, plane): (usize, &Option<Plane<&[u8]>>)| {
            plane.as_ref().is_none_or(|plane| {
                plane.bits_per_pixel == layout.bits
                    && (plane.width, plane.height) == layout.plane(index)
            })
        };
        if !(8..=16).contains(&layout.bits) || !planes.iter().enumerate().all(alike) {
            return Err(DAMAGED);
        }
        Ok(Self {
            planes,
            layout,
            signal: signal(image),
        })
    }
}

/// Of the bitstream, which says nothing where libheif has no profile of code points: then it is
/// what most writers mean (BT.601, full range, sRGB).
fn signal(image: &Image) -> Signal {
    image.color_profile_nclx().map_or(
        Signal {
            primaries: 1,
            transfer: 13,
            matrix: 6,
            full_range: true,
        },
        |profile| Signal {
            primaries: profile.color_primaries() as u8,
            transfer: profile.transfer_characteristics() as u8,
            matrix: profile.matrix_coefficients() as u8,
            full_range: profile.full_range_flag() != 0,
        },
    )
}

impl Frame for Lent<'_> {
    fn layout(&self) -> Layout {
        self.layout
    }

    fn signal(&self) -> Signal {
        self.signal
    }

    fn row(&self, plane: usize, y: u32) -> Option<Row<'_>> {
        let plane = self.planes.get(plane)?.as_ref()?;
        let bytes = plane.data.get(plane.stride.checked_mul(y as usize)?..)?;
        let width = plane.width as usize;
        if self.layout.bits == 8 {
            return bytes.get(..width).map(Row::Eight);
        }
        let pairs = bytes.get(..width.checked_mul(2)?)?;
        Some(Row::Pairs(pairs.as_chunks().0))
    }
}

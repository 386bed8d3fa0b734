//! HEVC by the system's libheif: the only place that calls it. The container, grids, turns, alpha and
//! colours are read here as for AV1; it decodes single coded items.

use libheif_rs::{ColorSpace, DecodingOptions, HeifContext, Image, LibHeif, Plane, Planes};

use super::frame::{Frame, Layout, Row, Signal};
use crate::Error;

const FAILED: Error = Error::Encoder { what: "libheif" };
const DAMAGED: Error = Error::damaged("the picture data");

/// A file that libheif has read too.
pub(super) struct Library<'a> {
    // Dropped before the library is.
    context: HeifContext<'a>,
    library: LibHeif,
}

impl<'a> Library<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Error> {
        let library = LibHeif::new_checked().map_err(|_| FAILED)?;
        let mut context = HeifContext::read_from_bytes(bytes)
            .map_err(|_| Error::damaged("the table of items"))?;
        context.set_max_decoding_threads(0);
        Ok(Self { context, library })
    }

    /// Decodes a coded item as it is stored, and lends it to `take`.
    pub(super) fn decode<T>(
        &self,
        id: u32,
        take: impl FnOnce(&dyn Frame) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let handle = self.context.image_handle(id).map_err(|_| DAMAGED)?;
        let mut options = DecodingOptions::new().ok_or(FAILED)?;
        options.set_ignore_transformations(true);
        options.set_strict_decoding(true);
        let image = self
            .library
            .decode(&handle, ColorSpace::Undefined, Some(options))
            .map_err(|_| DAMAGED)?;
        take(&Lent::new(&image)?)
    }
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

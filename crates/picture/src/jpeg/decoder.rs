//! Public decoder, with the buffers that it reuses.

use super::dispatch::Processor;
use super::frame_decoder::{FrameDecoder, Received};
use super::header::{self, OpenedJpeg};
use super::limits::{Limits, WorkSpent};
use super::planes::{BlockRect, Plane, Planes, Region, Scale};
use super::progression::Progression;
use super::progressive::CoefficientStore;
use super::window::{WINDOW, Window};
use crate::error::Error;

/// Maximum number of bytes that a [`Decoder`] keeps between two decodes, besides its window of 32
/// KiB.
///
/// A photo of 12 megapixels needs 5 MiB.
pub const RETAINED: usize = 6 << 20;

/// Decoder of JPEG files. It reuses its buffers for the next file.
pub struct Decoder {
    processor: Processor,
    window: Box<Window>,
    /// Coefficients of progressive files, one store per component.
    stores: Vec<CoefficientStore>,
    /// Buffers of planes that were recycled.
    spare_planes: Vec<Vec<u8>>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::with_processor(Processor::detect())
    }
}

impl Decoder {
    /// Returns a decoder that uses only the CPU features that the build requires.
    ///
    /// It is slower, with the same results.
    pub fn portable() -> Self {
        Self::with_processor(Processor::portable())
    }

    fn with_processor(processor: Processor) -> Self {
        let window = Box::new([0; WINDOW + 8]);
        Self {
            processor,
            window,
            stores: Vec::new(),
            spare_planes: Vec::new(),
        }
    }

    /// Decodes a file at `scale`.
    ///
    /// Only the MCUs that intersect `region` are transformed and returned. The entropy-coded data
    /// of the whole picture is still parsed and checked.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the data ends before the picture is complete, [`Error::Damaged`] if
    /// it is invalid, [`Error::TooComplex`] if it exceeds `limits`. [`Error::UnsupportedFormat`]
    /// for arithmetic-coded, lossless and hierarchical files, for samples of other than 8 bits, and
    /// for other than 1, 3 or 4 components. [`Error::Empty`] or [`Error::NotAnImage`] if `bytes` is
    /// no JPEG.
    pub fn decode(
        &mut self,
        bytes: &[u8],
        scale: Scale,
        region: Option<Region>,
        limits: &Limits,
    ) -> Result<Planes, Error> {
        self.decode_opened(header::open(bytes)?, scale, region, limits)
    }

    /// Decodes a file whose header was parsed. See [`decode`](Self::decode).
    ///
    /// # Errors
    /// See [`decode`](Self::decode).
    pub(crate) fn decode_opened(
        &mut self,
        opened: OpenedJpeg<'_>,
        scale: Scale,
        region: Option<Region>,
        limits: &Limits,
    ) -> Result<Planes, Error> {
        // N is a constant in each copy of the decoder, so the loops over its samples are unrolled
        // and the number of kept coefficients is known at compile time.
        let result = match scale {
            Scale::Eighth => self.run::<1>(opened, scale, region, limits),
            Scale::Quarter => self.run::<2>(opened, scale, region, limits),
            Scale::ThreeEighths => self.run::<3>(opened, scale, region, limits),
            Scale::Half => self.run::<4>(opened, scale, region, limits),
            Scale::Full => self.run::<8>(opened, scale, region, limits),
        };
        self.trim();
        result
    }

    /// Takes the buffers of planes that are no longer needed, for the next decode.
    pub fn recycle(&mut self, planes: Planes) {
        self.spare_planes = planes
            .planes
            .into_iter()
            .map(|plane| plane.samples)
            .collect();
        self.trim();
    }

    /// Frees buffers until at most [`RETAINED`] bytes are kept.
    fn trim(&mut self) {
        let mut remaining = RETAINED;
        for store in &mut self.stores {
            remaining -= store.shrink(remaining);
        }
        self.spare_planes.retain(|plane| {
            let fits = plane.capacity() <= remaining;
            remaining -= if fits { plane.capacity() } else { 0 };
            fits
        });
    }

    /// Decodes a file at the scale `N`/8.
    fn run<const N: usize>(
        &mut self,
        opened: OpenedJpeg<'_>,
        scale: Scale,
        region: Option<Region>,
        limits: &Limits,
    ) -> Result<Planes, Error> {
        let OpenedJpeg {
            header,
            tables,
            scan,
            markers,
        } = opened;
        let frame = &header.frame;
        let mut spent = WorkSpent::default();
        spent.add_scan(scan.block_count(), limits)?;
        let mcus = BlockRect::of_mcus(frame, region);
        let planes = (0..frame.components.len())
            .map(|index| {
                let spare = self.spare_planes.pop().unwrap_or_default();
                Plane::new(frame, index, mcus, scale, spare)
            })
            .collect();
        let mut frame_decoder = FrameDecoder::<N> {
            processor: self.processor,
            frame,
            mcus,
            tables,
            markers,
            window: &mut self.window,
            stores: &mut self.stores,
            planes,
            steps: vec![None; frame.components.len()],
            progression: Progression::new(frame.components.len()),
            received: Received::default(),
        };
        frame_decoder.prepare();
        frame_decoder.scans(scan, spent, limits)?;
        frame_decoder.finish();
        Ok(Planes {
            planes: frame_decoder.planes,
            colour: header.colour,
        })
    }
}

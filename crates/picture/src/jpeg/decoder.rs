//! The decoder as its users see it: its settings and its buffers.

use super::dispatch::Processor;
use super::frame_decoder::{FrameDecoder, Received};
use super::header::{self, OpenedJpeg};
use super::limits::{Limits, WorkSpent};
use super::planes::{BlockRect, Plane, Planes, Region, Scale};
use super::progression::Progression;
use super::progressive::CoefficientStore;
use super::window::{WINDOW, Window};
use crate::error::Error;

/// Most bytes that a [`Decoder`] holds on to between two decodes, besides its 32 KiB window: a photo of
/// 12 MP needs 5 MiB.
pub const RETAINED: usize = 6 << 20;

/// Decodes JPEG files, and keeps its buffers from one to the next.
pub struct Decoder {
    processor: Processor,
    window: Box<Window>,
    stores: Vec<CoefficientStore>,
    spare_planes: Vec<Vec<u8>>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::with_processor(Processor::detect())
    }
}

impl Decoder {
    /// A decoder that makes no use of what the processor has beyond the build's target. Slower; its
    /// results are the same.
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
    /// Only blocks that touch `region` are transformed and returned, in whole MCUs; the file is
    /// verified as a whole all the same.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the data ends before the picture does, [`Error::Damaged`] if it breaks
    /// the coding's rules, [`Error::UnsupportedFormat`] for arithmetic-coded, lossless, hierarchical
    /// and other than 8-bit files, [`Error::TooComplex`] beyond `limits`.
    pub fn decode(
        &mut self,
        bytes: &[u8],
        scale: Scale,
        region: Option<Region>,
        limits: &Limits,
    ) -> Result<Planes, Error> {
        self.decode_opened(header::open(bytes)?, scale, region, limits)
    }

    /// As [`decode`](Self::decode), of a file whose header was parsed.
    pub(crate) fn decode_opened(
        &mut self,
        opened: OpenedJpeg<'_>,
        scale: Scale,
        region: Option<Region>,
        limits: &Limits,
    ) -> Result<Planes, Error> {
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

    /// Takes planes back that are no longer needed, so that the next decode uses their memory.
    pub fn recycle(&mut self, planes: Planes) {
        self.spare_planes = planes
            .planes
            .into_iter()
            .map(|plane| plane.samples)
            .collect();
        self.trim();
    }

    /// Gives back what exceeds [`RETAINED`].
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

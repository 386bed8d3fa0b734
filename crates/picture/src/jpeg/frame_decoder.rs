//! Decoder of all scans of a file into planes.

use super::baseline::{AcDecoder, ComponentDecoder, DcDecoder, ScanError};
use super::bits::BitReader;
use super::dispatch::Processor;
use super::frame_header::FrameHeader;
use super::header;
use super::idct::{QuantisationSteps, position};
use super::limits::{Limits, WorkSpent};
use super::markers::{MarkerReader, code, damaged};
use super::planes::{BlockRect, Plane};
use super::progression::Progression;
use super::progressive::{self, CoefficientStore, DcComponentDecoder};
use super::scan_header::ScanHeader;
use super::source::{EntropySource, Fault};
use super::tables::{HuffmanSpecification, QuantisationTable, Tables};
use super::window::Window;
use crate::error::Error;

/// State of one decode.
pub(super) struct FrameDecoder<'d, 's, const N: usize> {
    pub(super) processor: Processor,
    pub(super) frame: &'s FrameHeader,
    /// MCUs to transform.
    pub(super) mcus: BlockRect,
    /// Tables that are valid for the next scan.
    pub(super) tables: Tables,
    pub(super) markers: MarkerReader<'d>,
    pub(super) window: &'s mut Window,
    /// Coefficients of a progressive file, one store per component.
    pub(super) stores: &'s mut Vec<CoefficientStore>,
    /// Output, one plane per component.
    pub(super) planes: Vec<Plane>,
    /// Quantisation steps of each component: those defined before its first scan.
    pub(super) steps: Vec<Option<QuantisationSteps>>,
    pub(super) progression: Progression,
    /// Part of the picture that the scans so far contain, including the current one.
    pub(super) received: Received,
}

impl<const N: usize> FrameDecoder<'_, '_, N> {
    /// Prepares the coefficient stores, or the default Huffman tables.
    pub(super) fn prepare(&mut self) {
        if self.frame.progressive {
            self.stores
                .resize_with(self.frame.components.len(), CoefficientStore::default);
            for (store, component) in self.stores.iter_mut().zip(&self.frame.components) {
                let blocks = self.mcus.blocks(component.sampling);
                store.reset::<N>(component.padded_blocks, blocks);
            }
        } else {
            // Motion JPEG is sequential, so only sequential files may omit their tables.
            self.tables.define_default_huffman();
        }
    }

    /// Decodes scans until the picture is complete.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the file ends before, [`Error::Damaged`] if a segment or a scan is
    /// invalid, [`Error::TooComplex`] if the scans exceed `limits`.
    pub(super) fn scans(
        &mut self,
        mut scan: ScanHeader,
        mut spent: WorkSpent,
        limits: &Limits,
    ) -> Result<(), Error> {
        loop {
            self.scan(&scan)?;
            // Bytes after the last bit of the picture are ignored. A missing EOI marker is
            // harmless, and some phones append a video.
            if self.progression.is_complete() {
                return Ok(());
            }
            match self.next_scan()? {
                None => break,
                Some(next) => scan = next,
            }
            spent.add_scan(scan.block_count(), limits)?;
        }
        // EOI before the picture is complete. T.81 does not require a progressive file to code
        // every coefficient to the last bit, but each component must have its DC scan.
        if self.progression.has_all_components() {
            Ok(())
        } else {
            Err(self.received.truncated())
        }
    }

    /// Parses segments up to the next scan header. Returns `None` at EOI.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the file ends before, [`Error::Damaged`] if a segment is invalid.
    fn next_scan(&mut self) -> Result<Option<ScanHeader>, Error> {
        while let Some(segment) = self.markers.next()? {
            match segment.code {
                code::DQT => self.tables.define_quantisation(&segment)?,
                code::DHT => self.tables.define_huffman(&segment)?,
                code::DRI => self.tables.define_restart_interval(&segment)?,
                code::SOS => return ScanHeader::parse(&segment, self.frame).map(Some),
                code::EOI => return Ok(None),
                _ if header::is_frame_header(segment.code) => {
                    return Err(segment.damaged("second frame header"));
                }
                _ => header::skip(&segment)?,
            }
        }
        Err(self.received.truncated())
    }

    /// Decodes the scan that follows its header, and moves the marker reader behind it.
    fn scan(&mut self, scan: &ScanHeader) -> Result<(), Error> {
        let start = self.markers.position();
        self.latch_quantisation(scan, start)?;
        let end = if self.frame.progressive {
            self.progression
                .record(scan)
                .map_err(|what| damaged(start, what))?;
            if scan.band.0 == 0 {
                self.progressive_dc(scan, start)?
            } else {
                self.progressive_ac(scan, start)?
            }
        } else {
            self.progression.record_sequential(scan);
            // Each block of a sequential file is coded once, so the share of blocks is the share of
            // the picture.
            self.received.whole = self.frame.block_count();
            self.received.before = self.received.after;
            self.received.after += scan.block_count();
            self.sequential(scan, start)?
        };
        self.markers.resume_at(end);
        Ok(())
    }

    /// Decodes a sequential scan. Returns the offset in the file of its end.
    fn sequential(&mut self, scan: &ScanHeader, start: usize) -> Result<usize, Error> {
        let mut dc: [Option<DcDecoder>; 4] = Default::default();
        let mut ac: [Option<AcDecoder>; 4] = Default::default();
        for component in &scan.components {
            build_decoder(
                &mut dc,
                &self.tables.dc,
                component.dc,
                DcDecoder::new,
                start,
            )?;
            build_decoder(
                &mut ac,
                &self.tables.ac,
                component.ac,
                AcDecoder::new,
                start,
            )?;
        }
        // `take` splits the mutable borrow of the planes. A scan names each component once, because
        // `ScanHeader::parse` checks it.
        let mut planes: Vec<_> = self.planes.iter_mut().map(Some).collect();
        let mut components = Vec::with_capacity(scan.components.len());
        for component in &scan.components {
            let (Some(dc), Some(ac), Some(steps), Some(plane)) = (
                dc.get(component.dc).and_then(Option::as_ref),
                ac.get(component.ac).and_then(Option::as_ref),
                self.steps[component.index],
                planes[component.index].take(),
            ) else {
                return Err(damaged(start, "scan uses an undefined table"));
            };
            let blocks = self
                .mcus
                .blocks(self.frame.components[component.index].sampling);
            components.push(ComponentDecoder {
                dc,
                ac,
                steps,
                blocks_per_mcu: component.blocks_per_mcu,
                blocks,
                plane,
            });
        }
        // In a scan of one component an MCU is one block (T.81 A.2.2).
        let mcus = match scan.components.as_slice() {
            [component] => self
                .mcus
                .blocks(self.frame.components[component.index].sampling),
            _ => self.mcus,
        };
        let mut source = EntropySource::new(self.markers.data(), start, self.window);
        let interval = self.tables.restart_interval;
        let result =
            self.processor
                .sequential::<N>(&mut source, scan, &mut components, mcus, interval);
        finish_scan(source, result, scan, &self.received)
    }

    /// Decodes a DC scan. Returns the offset in the file of its end.
    fn progressive_dc(&mut self, scan: &ScanHeader, start: usize) -> Result<usize, Error> {
        let refines = scan.approximation.0 != 0;
        let mut decoders: [Option<DcDecoder>; 4] = Default::default();
        // A refinement of DC coefficients has one bit per block and no Huffman codes (G.1.2.1).
        if !refines {
            for component in &scan.components {
                build_decoder(
                    &mut decoders,
                    &self.tables.dc,
                    component.dc,
                    DcDecoder::new,
                    start,
                )?;
            }
        }
        let mut stores: Vec<_> = self.stores.iter_mut().map(Some).collect();
        let mut components = Vec::with_capacity(scan.components.len());
        for component in &scan.components {
            let Some(store) = stores[component.index].take() else {
                return Err(damaged(start, "invalid scan header"));
            };
            let decoder = decoders.get(component.dc).and_then(Option::as_ref);
            components.push(DcComponentDecoder {
                decoder,
                blocks_per_mcu: component.blocks_per_mcu,
                store,
            });
        }
        let mut source = EntropySource::new(self.markers.data(), start, self.window);
        let interval = self.tables.restart_interval;
        let result =
            self.processor
                .progressive_dc::<N>(&mut source, scan, &mut components, interval);
        finish_scan(source, result, scan, &self.received)
    }

    /// Decodes an AC scan. Returns the offset in the file of its end.
    fn progressive_ac(&mut self, scan: &ScanHeader, start: usize) -> Result<usize, Error> {
        let [component] = scan.components.as_slice() else {
            return Err(damaged(start, "invalid scan header"));
        };
        let refines = scan.approximation.0 != 0;
        let new = if refines {
            progressive::ProgressiveAcDecoder::refinement
        } else {
            progressive::ProgressiveAcDecoder::first
        };
        let mut decoders = Default::default();
        build_decoder(&mut decoders, &self.tables.ac, component.ac, new, start)?;
        let (Some(decoder), Some(store)) = (
            &decoders[component.ac],
            self.stores.get_mut(component.index),
        ) else {
            return Err(damaged(start, "scan uses an undefined Huffman table"));
        };
        let mut source = EntropySource::new(self.markers.data(), start, self.window);
        let interval = self.tables.restart_interval;
        let result =
            self.processor
                .progressive_ac::<N>(&mut source, scan, decoder, store, interval);
        finish_scan(source, result, scan, &self.received)
    }

    /// Copies the quantisation steps of components whose first scan this is.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the table is not defined.
    fn latch_quantisation(&mut self, scan: &ScanHeader, start: usize) -> Result<(), Error> {
        for component in &scan.components {
            let slot = self.frame.components[component.index].quantisation;
            // A file may redefine a table between the scans of two components. The definition at
            // the first scan of a component is used for all its scans, as in libjpeg.
            if self.steps[component.index].is_none() {
                let table = self.tables.quantisation.get(slot).and_then(Option::as_ref);
                let table = table
                    .ok_or_else(|| damaged(start, "scan uses an undefined quantisation table"))?;
                self.steps[component.index] = Some(reorder::<N>(table));
            }
        }
        Ok(())
    }

    /// Transforms the coefficients of a progressive file into samples.
    pub(super) fn finish(&mut self) {
        if self.frame.progressive {
            for ((store, plane), steps) in self
                .stores
                .iter()
                .zip(&mut self.planes)
                .zip(self.steps.iter().flatten())
            {
                store.transform::<N>(steps, plane);
            }
        }
    }
}

/// Builds the decoder of the Huffman table in `slot`, unless it exists already.
///
/// # Errors
/// [`Error::Damaged`] if the slot is above 3, or the table is undefined or invalid.
fn build_decoder<T>(
    decoders: &mut [Option<T>; 4],
    specifications: &[Option<HuffmanSpecification>; 4],
    slot: usize,
    new: fn(&HuffmanSpecification) -> Option<T>,
    start: usize,
) -> Result<(), Error> {
    let missing = || damaged(start, "scan uses an undefined Huffman table");
    let decoder = decoders.get_mut(slot).ok_or_else(missing)?;
    if decoder.is_none() {
        let specification = specifications[slot].as_ref().ok_or_else(missing)?;
        *decoder = Some(new(specification).ok_or_else(|| damaged(start, "invalid Huffman table"))?);
    }
    Ok(())
}

/// Ends a scan. Returns the offset in the file of the next marker, or of the end of the file.
///
/// # Errors
/// [`Error::Truncated`] if the data ends too early at the end of the picture. [`Error::Damaged`] if
/// it ends too early at another marker, or is invalid.
fn finish_scan(
    mut source: EntropySource<'_, '_>,
    result: Result<BitReader, ScanError>,
    scan: &ScanHeader,
    received: &Received,
) -> Result<usize, Error> {
    let total = scan.mcu_count();
    // A reader may pass the end of the data in its last step, after which no other check follows.
    // Then the last MCU is incomplete.
    let outcome = result.and_then(|bits| {
        source.finish(bits).map_err(|fault| ScanError {
            fault,
            bits,
            mcus: total - 1,
        })
    });
    let ScanError { fault, bits, mcus } = match outcome {
        Ok(end) => return Ok(end),
        Err(error) => error,
    };
    // Zeros follow the end of the data. They may decode to an invalid code before the end is
    // detected, so the end has priority as the cause.
    let is_exhausted = fault == Fault::Exhausted || source.is_overrun(&bits);
    if is_exhausted && source.ends_the_picture() {
        return Err(received.truncated_at(mcus, total));
    }
    let what = match fault {
        Fault::Corrupt(what) if !is_exhausted => what,
        _ => "entropy-coded data ends before its scan",
    };
    Err(damaged(source.offset(&bits), what))
}

/// Part of the picture that the file contains, in blocks.
///
/// For a progressive file all numbers stay 0, which means unknown. Its header does not state the
/// number of scans.
#[derive(Default)]
pub(super) struct Received {
    /// Blocks in the scans before the current one.
    before: u64,
    /// Blocks in all scans, including the current one.
    after: u64,
    /// Blocks in the picture.
    whole: u64,
}

impl Received {
    /// Returns the error for a file that ends between scans.
    fn truncated(&self) -> Error {
        Error::truncated(self.after, self.whole)
    }

    /// Returns the error for a file that ends after `mcus` of the `total` MCUs of a scan.
    fn truncated_at(&self, mcus: usize, total: usize) -> Error {
        let scan = self.after.saturating_sub(self.before);
        let done = scan.saturating_mul(mcus as u64) / (total as u64).max(1);
        Error::truncated(self.before + done, self.whole)
    }
}

/// Converts a table from zigzag order to the order of the coefficients.
fn reorder<const N: usize>(table: &QuantisationTable) -> QuantisationSteps {
    let mut steps = [0; 64];
    for (index, &step) in table.iter().enumerate() {
        steps[position::<N>(index)] = i32::from(step);
    }
    steps
}

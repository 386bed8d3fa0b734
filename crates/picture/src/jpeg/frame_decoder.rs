//! The scans of a file, one after the other, into planes.

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

/// One decode.
pub(super) struct FrameDecoder<'d, 's, const N: usize> {
    pub(super) processor: Processor,
    pub(super) frame: &'s FrameHeader,
    /// The MCUs to transform.
    pub(super) mcus: BlockRect,
    pub(super) tables: Tables,
    pub(super) markers: MarkerReader<'d>,
    pub(super) window: &'s mut Window,
    pub(super) stores: &'s mut Vec<CoefficientStore>,
    pub(super) planes: Vec<Plane>,
    /// Each component's quantisation steps: those in force at its first scan.
    pub(super) steps: Vec<Option<QuantisationSteps>>,
    pub(super) progression: Progression,
    /// How much of the picture the scans behind us and the one at hand bring.
    pub(super) received: Received,
}

impl<const N: usize> FrameDecoder<'_, '_, N> {
    /// Makes room for what scans bring.
    pub(super) fn prepare(&mut self) {
        if self.frame.progressive {
            self.stores
                .resize_with(self.frame.components.len(), CoefficientStore::default);
            for (store, component) in self.stores.iter_mut().zip(&self.frame.components) {
                let blocks = self.mcus.blocks(component.sampling);
                store.reset::<N>(component.padded_blocks, blocks);
            }
        } else {
            self.tables.define_default_huffman();
        }
    }

    /// Decodes scans until the picture is complete.
    pub(super) fn scans(
        &mut self,
        mut scan: ScanHeader,
        mut spent: WorkSpent,
        limits: &Limits,
    ) -> Result<(), Error> {
        loop {
            self.scan(&scan)?;
            // What follows the last bit of the picture does not matter: an end marker, a film, nothing.
            if self.progression.is_complete() {
                return Ok(());
            }
            match self.next_scan()? {
                None => break,
                Some(next) => scan = next,
            }
            spent.add_scan(scan.block_count(), limits)?;
        }
        // Encoders may leave out the last bits of a progressive picture.
        if self.progression.has_all_components() {
            Ok(())
        } else {
            Err(self.received.truncated())
        }
    }

    /// Reads on to the next scan header; `None` at the end of the image.
    fn next_scan(&mut self) -> Result<Option<ScanHeader>, Error> {
        while let Some(segment) = self.markers.next()? {
            match segment.code {
                code::DQT => self.tables.define_quantisation(&segment)?,
                code::DHT => self.tables.define_huffman(&segment)?,
                code::DRI => self.tables.define_restart_interval(&segment)?,
                code::SOS => return ScanHeader::parse(&segment, self.frame).map(Some),
                code::EOI => return Ok(None),
                _ if header::is_frame_header(segment.code) => {
                    return Err(segment.damaged("a second frame header"));
                }
                _ => header::skip(&segment)?,
            }
        }
        Err(self.received.truncated())
    }

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
            self.received.whole = self.frame.block_count();
            self.received.before = self.received.after;
            self.received.after += scan.block_count();
            self.sequential(scan, start)?
        };
        self.markers.resume_at(end);
        Ok(())
    }

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
        let mut planes: Vec<_> = self.planes.iter_mut().map(Some).collect();
        let mut components = Vec::with_capacity(scan.components.len());
        for component in &scan.components {
            let (Some(dc), Some(ac), Some(steps), Some(plane)) = (
                dc.get(component.dc).and_then(Option::as_ref),
                ac.get(component.ac).and_then(Option::as_ref),
                self.steps[component.index],
                planes[component.index].take(),
            ) else {
                return Err(damaged(start, "scan without a table"));
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
        let mcus = match scan.components.as_slice() {
            [alone] => self
                .mcus
                .blocks(self.frame.components[alone.index].sampling),
            _ => self.mcus,
        };
        let mut source = EntropySource::new(self.markers.data(), start, self.window);
        let interval = self.tables.restart_interval;
        let result =
            self.processor
                .sequential::<N>(&mut source, scan, &mut components, mcus, interval);
        finish_scan(source, result, scan, &self.received)
    }

    fn progressive_dc(&mut self, scan: &ScanHeader, start: usize) -> Result<usize, Error> {
        let refines = scan.approximation.0 != 0;
        let mut decoders: [Option<DcDecoder>; 4] = Default::default();
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
                return Err(damaged(start, "scan header"));
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

    fn progressive_ac(&mut self, scan: &ScanHeader, start: usize) -> Result<usize, Error> {
        let [component] = scan.components.as_slice() else {
            return Err(damaged(start, "scan header"));
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
            return Err(damaged(start, "scan without a table"));
        };
        let mut source = EntropySource::new(self.markers.data(), start, self.window);
        let interval = self.tables.restart_interval;
        let result =
            self.processor
                .progressive_ac::<N>(&mut source, scan, decoder, store, interval);
        finish_scan(source, result, scan, &self.received)
    }

    fn latch_quantisation(&mut self, scan: &ScanHeader, start: usize) -> Result<(), Error> {
        for component in &scan.components {
            let slot = self.frame.components[component.index].quantisation;
            if self.steps[component.index].is_none() {
                let table = self.tables.quantisation.get(slot).and_then(Option::as_ref);
                let table = table.ok_or_else(|| damaged(start, "scan without a table"))?;
                self.steps[component.index] = Some(reorder::<N>(table));
            }
        }
        Ok(())
    }

    /// Transforms what progressive scans have gathered.
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

/// Makes a decoder of the Huffman table in `slot`, unless it has been made.
fn build_decoder<T>(
    decoders: &mut [Option<T>; 4],
    specifications: &[Option<HuffmanSpecification>; 4],
    slot: usize,
    new: fn(&HuffmanSpecification) -> Option<T>,
    start: usize,
) -> Result<(), Error> {
    let missing = || damaged(start, "scan without a table");
    let decoder = decoders.get_mut(slot).ok_or_else(missing)?;
    if decoder.is_none() {
        let specification = specifications[slot].as_ref().ok_or_else(missing)?;
        *decoder = Some(new(specification).ok_or_else(|| damaged(start, "Huffman table"))?);
    }
    Ok(())
}

/// Ends a scan's data; returns the offset in the file of what follows it.
fn finish_scan(
    mut source: EntropySource<'_, '_>,
    result: Result<BitReader, ScanError>,
    scan: &ScanHeader,
    received: &Received,
) -> Result<usize, Error> {
    let total = scan.mcu_count();
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
    // Zeros stand in for data beyond the end, and may look corrupt before the end is noticed.
    let is_exhausted = fault == Fault::Exhausted || source.is_overrun(&bits);
    if is_exhausted && source.ends_the_picture() {
        return Err(received.truncated_at(mcus, total));
    }
    let what = match fault {
        Fault::Corrupt(what) if !is_exhausted => what,
        _ => "a scan's data ends before the scan does",
    };
    Err(damaged(source.offset(&bits), what))
}

/// How much of the picture is there, in blocks. It stays 0 of 0, which is unknown, of a progressive
/// picture: no header tells how many scans there are, nor what they are to bring.
#[derive(Default)]
pub(super) struct Received {
    before: u64,
    after: u64,
    whole: u64,
}

impl Received {
    /// The error for a file that ends between scans.
    fn truncated(&self) -> Error {
        Error::truncated(self.after, self.whole)
    }

    /// The error for a file that ends after so many of a scan's MCUs.
    fn truncated_at(&self, mcus: usize, total: usize) -> Error {
        let scan = self.after.saturating_sub(self.before);
        let done = scan.saturating_mul(mcus as u64) / (total as u64).max(1);
        Error::truncated(self.before + done, self.whole)
    }
}

fn reorder<const N: usize>(table: &QuantisationTable) -> QuantisationSteps {
    let mut steps = [0; 64];
    for (index, &step) in table.iter().enumerate() {
        steps[position::<N>(index)] = i32::from(step);
    }
    steps
}

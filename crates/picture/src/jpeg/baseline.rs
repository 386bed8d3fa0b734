//! Sequential scans, baseline and extended: ITU-T T.81 F.2.
//!
//! Every bit is parsed, which is what proves the data whole, but a block's coefficients are only
//! looked at as far as its N × N samples need them: up to [`last_kept`] symbol by symbol, from there
//! on several symbols a look-up. Blocks outside the region are passed over from the start.

use super::bits::{BitReader, extend};
use super::huffman::HuffmanCode;
use super::idct::{Coefficients, QuantisationSteps, last_kept, position, transform, wrap};
use super::lookup::{Coding, SKIP_BITS, SkipEntry, SkipTable, VALUE_BITS, ValueTable};
use super::planes::{BlockRect, Plane};
use super::scan_header::ScanHeader;
use super::source::{EntropySource, Fault};
use super::tables::HuffmanSpecification;
use super::window::Window;

/// A DC table, ready to decode.
pub(super) struct DcDecoder {
    code: HuffmanCode,
    values: ValueTable,
}

/// An AC table, ready to decode.
pub(super) struct AcDecoder {
    code: HuffmanCode,
    values: ValueTable,
    skips: SkipTable,
}

/// What a component brings to a scan.
pub(super) struct ComponentDecoder<'t, 'p> {
    pub(super) dc: &'t DcDecoder,
    pub(super) ac: &'t AcDecoder,
    pub(super) steps: QuantisationSteps,
    pub(super) blocks_per_mcu: (usize, usize),
    /// The blocks that `plane` has room for.
    pub(super) blocks: BlockRect,
    pub(super) plane: &'p mut Plane,
}

/// Where and why a scan stopped early.
pub(super) struct ScanError {
    pub(super) fault: Fault,
    /// The reader where it stopped.
    pub(super) bits: BitReader,
    /// MCUs decoded.
    pub(super) mcus: usize,
}

const BAD_CODE: Fault = Fault::Corrupt("no such Huffman code");
const BAD_SYMBOL: Fault = Fault::Corrupt("Huffman symbol without meaning");
const OVERLONG: Fault = Fault::Corrupt("more than 64 coefficients in a block");

impl DcDecoder {
    pub(super) fn new(specification: &HuffmanSpecification) -> Option<Self> {
        if specification.symbols.iter().any(|&size| size > 15) {
            return None;
        }
        let code = HuffmanCode::new(specification)?;
        let values = ValueTable::new(&code, Coding::Dc)?;
        Some(Self { code, values })
    }

    /// The difference to the previous block's DC coefficient: F.2.2.1.
    #[inline(always)]
    pub(super) fn difference(&self, bits: &mut BitReader, window: &Window) -> Result<i32, Fault> {
        bits.refill(window);
        let entry = self.values.entry(bits.peek::<VALUE_BITS>());
        if entry.is_complete() {
            bits.consume(entry.length());
            return Ok(i32::from(entry.value()));
        }
        let (length, size) = if entry.has_symbol() {
            (entry.length(), entry.size())
        } else {
            let (length, symbol) = self.code.decode(bits.buffer).ok_or(BAD_CODE)?;
            (length, u32::from(symbol))
        };
        bits.consume(length);
        Ok(extend(bits.take(size), size))
    }
}

impl AcDecoder {
    pub(super) fn new(specification: &HuffmanSpecification) -> Option<Self> {
        let code = HuffmanCode::new(specification)?;
        let values = ValueTable::new(&code, Coding::Ac)?;
        let skips = SkipTable::new(&code, 15)?;
        Some(Self {
            code,
            values,
            skips,
        })
    }

    /// The AC coefficients of a block (F.2.2.2), of which those that N × N samples need are stored.
    #[inline(always)]
    fn coefficients<const N: usize>(
        &self,
        bits: &mut BitReader,
        window: &Window,
        coefficients: &mut Coefficients,
    ) -> Result<(), Fault> {
        let mut next = 1;
        while next <= last_kept::<N>() {
            bits.refill(window);
            let entry = self.values.entry(bits.peek::<VALUE_BITS>());
            if entry.is_complete() {
                bits.consume(entry.length());
                next += entry.steps();
                if next > 64 {
                    return if entry.is_end() {
                        Ok(())
                    } else {
                        Err(OVERLONG)
                    };
                }
                // ZRL stores the zero that it ends with.
                coefficients[position::<N>(next - 1)] = entry.value();
            } else {
                let (length, steps, size) = if entry.has_symbol() {
                    (entry.length(), entry.steps(), entry.size())
                } else {
                    let (length, symbol) = self.code.decode(bits.buffer).ok_or(BAD_CODE)?;
                    match (symbol >> 4, symbol & 15) {
                        (0, 0) => {
                            bits.consume(length);
                            return Ok(());
                        }
                        (1..15, 0) => {
                            bits.consume(length);
                            return Err(BAD_SYMBOL);
                        }
                        (run, size) => (length, usize::from(run) + 1, u32::from(size)),
                    }
                };
                bits.consume(length);
                let value = extend(bits.take(size), size);
                next += steps;
                if next > 64 {
                    return Err(OVERLONG);
                }
                coefficients[position::<N>(next - 1)] = wrap(value);
            }
        }
        if N < 8 {
            self.skip(bits, window, next)
        } else {
            Ok(())
        }
    }

    /// Passes over the AC coefficients of a block from number `next` on.
    #[inline(always)]
    fn skip(&self, bits: &mut BitReader, window: &Window, mut next: usize) -> Result<(), Fault> {
        const END: usize = SkipEntry::END as usize;
        const { assert!(2 * SkipEntry::MAX_LENGTH <= BitReader::REFILLED) };
        while next < 64 {
            bits.refill(window);
            let mut is_unresolved = false;
            for _ in 0..2 {
                let entry = self.skips.entry(bits.peek::<SKIP_BITS>());
                let after = next + entry.steps() as usize;
                if entry.length() != 0 && after < 64 {
                    bits.consume(entry.length());
                    next = after;
                } else if (END..END + 64).contains(&after) {
                    bits.consume(entry.length());
                    return Ok(());
                } else {
                    is_unresolved = true;
                    break;
                }
            }
            if is_unresolved {
                bits.refill(window);
                let (length, symbol) = self.code.decode(bits.buffer).ok_or(BAD_CODE)?;
                let size = u32::from(symbol & 15);
                bits.consume(length + size);
                match (symbol >> 4, size) {
                    (0, 0) => return Ok(()),
                    (1..15, 0) => return Err(BAD_SYMBOL),
                    (run, _) => next += usize::from(run) + 1,
                }
                if next > 64 {
                    return Err(OVERLONG);
                }
            }
        }
        Ok(())
    }
}

/// Decodes a scan into the planes of its components.
///
/// `units` are the MCUs to transform; `interval` is the number of MCUs between restart markers, 0 for
/// none.
#[inline(always)]
pub(super) fn decode<const N: usize>(
    source: &mut EntropySource<'_, '_>,
    scan: &ScanHeader,
    components: &mut [ComponentDecoder<'_, '_>],
    mcus: BlockRect,
    interval: usize,
) -> Result<BitReader, ScanError> {
    let mut bits = BitReader::default();
    let mut predictors = [0_i32; 4];
    let mut until_restart = if interval == 0 { usize::MAX } else { interval };
    let mut restarts = 0_u8;
    let (columns, rows) = scan.mcus;
    for y in 0..rows {
        for x in 0..columns {
            let scan_error = |fault, bits| ScanError {
                fault,
                bits,
                mcus: y * columns + x,
            };
            if until_restart == 0 {
                bits = source
                    .restart(bits, restarts & 7)
                    .map_err(|fault| scan_error(fault, bits))?;
                restarts = restarts.wrapping_add(1);
                until_restart = interval;
                predictors = [0; 4];
            }
            until_restart -= 1;
            if source.is_low(&bits) {
                bits = source
                    .top_up(bits)
                    .map_err(|fault| scan_error(fault, bits))?;
            }
            let is_kept = mcus.index_of(x, y).is_some();
            let window = source.window();
            for (component, predictor) in components.iter_mut().zip(&mut predictors) {
                if let Err(fault) =
                    decode_mcu::<N>(&mut bits, window, component, predictor, is_kept, (x, y))
                {
                    return Err(scan_error(fault, bits));
                }
            }
        }
    }
    Ok(bits)
}

/// Decodes a component's blocks of the MCU in column and row `place`.
#[inline(always)]
fn decode_mcu<const N: usize>(
    bits: &mut BitReader,
    window: &Window,
    component: &mut ComponentDecoder<'_, '_>,
    predictor: &mut i32,
    is_kept: bool,
    mcu: (usize, usize),
) -> Result<(), Fault> {
    let (across, down) = component.blocks_per_mcu;
    for row in 0..down {
        for column in 0..across {
            let difference = component.dc.difference(bits, window)?;
            *predictor = predictor.wrapping_add(difference);
            if !is_kept {
                component.ac.skip(bits, window, 1)?;
                continue;
            }
            let mut coefficients = [0; 64];
            coefficients[0] = wrap(*predictor);
            component
                .ac
                .coefficients::<N>(bits, window, &mut coefficients)?;
            let x = (mcu.0 * across + column - component.blocks.x) * N;
            let y = (mcu.1 * down + row - component.blocks.y) * N;
            let stride = component.plane.stride;
            if let Some(output) = component.plane.samples.get_mut(y * stride + x..) {
                transform::<N>(&coefficients, &component.steps, output, stride);
            }
        }
    }
    Ok(())
}

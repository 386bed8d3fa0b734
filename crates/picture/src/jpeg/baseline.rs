//! Decoder of sequential scans, baseline and extended: ITU-T T.81 F.2.
//!
//! Every bit is parsed, so truncated and invalid data is detected. Coefficients up to [`last_kept`]
//! are decoded symbol by symbol, because the N × N samples of the block need their values. Later
//! coefficients are skipped with [`SkipTable`], several symbols per look-up. In blocks outside the
//! requested region all AC coefficients are skipped.

use super::bits::{BitReader, extend};
use super::huffman::HuffmanCode;
use super::idct::{Coefficients, QuantisationSteps, last_kept, position, transform, wrap};
use super::lookup::{Coding, SKIP_BITS, SkipEntry, SkipTable, VALUE_BITS, ValueTable};
use super::planes::{BlockRect, Plane};
use super::scan_header::ScanHeader;
use super::source::{EntropySource, Fault};
use super::tables::HuffmanSpecification;
use super::window::Window;

/// Decoding tables of a DC Huffman table.
pub(super) struct DcDecoder {
    code: HuffmanCode,
    values: ValueTable,
}

/// Decoding tables of an AC Huffman table.
pub(super) struct AcDecoder {
    code: HuffmanCode,
    values: ValueTable,
    skips: SkipTable,
}

/// Tables and output of one component in a sequential scan.
pub(super) struct ComponentDecoder<'t, 'p> {
    pub(super) dc: &'t DcDecoder,
    pub(super) ac: &'t AcDecoder,
    pub(super) steps: QuantisationSteps,
    /// Columns and rows of blocks per MCU.
    pub(super) blocks_per_mcu: (usize, usize),
    /// Blocks of the component that `plane` stores.
    pub(super) blocks: BlockRect,
    pub(super) plane: &'p mut Plane,
}

/// Failure of a scan, with the position of the reader.
pub(super) struct ScanError {
    pub(super) fault: Fault,
    /// State of the reader when the fault was found.
    pub(super) bits: BitReader,
    /// Number of MCUs decoded completely.
    pub(super) mcus: usize,
}

const BAD_CODE: Fault = Fault::Corrupt("bits that match no Huffman code");
const BAD_SYMBOL: Fault = Fault::Corrupt("invalid Huffman symbol");
const OVERLONG: Fault = Fault::Corrupt("more than 64 coefficients in a block");

impl DcDecoder {
    /// Builds the tables. Returns `None` if the specification is invalid.
    pub(super) fn new(specification: &HuffmanSpecification) -> Option<Self> {
        // A DC symbol is the number of value bits: up to 11 for samples of 8 bits (T.81 F.1.2.1),
        // up to 15 for samples of 12 bits (F.1.5). libjpeg also accepts up to 15.
        if specification.symbols.iter().any(|&size| size > 15) {
            return None;
        }
        let code = HuffmanCode::new(specification)?;
        let values = ValueTable::new(&code, Coding::Dc)?;
        Some(Self { code, values })
    }

    /// Decodes the difference to the DC coefficient of the previous block: F.2.2.1.
    #[inline(always)]
    pub(super) fn difference(&self, bits: &mut BitReader, window: &Window) -> Result<i32, Fault> {
        // One refill is enough for the symbol: 16 bits of code and 15 of value, of 56 available.
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
    /// Builds the tables. Returns `None` if the specification is invalid.
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

    /// Decodes the AC coefficients of a block (F.2.2.2).
    ///
    /// Stores the coefficients up to [`last_kept`] and skips the others.
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
                // An end of block has 128 steps, so one comparison detects both the end of the
                // block and a run beyond it.
                if next > 64 {
                    return if entry.is_end() {
                        Ok(())
                    } else {
                        Err(OVERLONG)
                    };
                }
                // ZRL (16 zeros) stores its last zero here. The block is zeroed already, so a test
                // for ZRL would only cost time.
                coefficients[position::<N>(next - 1)] = entry.value();
            } else {
                let (length, steps, size) = if entry.has_symbol() {
                    (entry.length(), entry.steps(), entry.size())
                } else {
                    let (length, symbol) = self.code.decode(bits.buffer).ok_or(BAD_CODE)?;
                    match (symbol >> 4, symbol & 15) {
                        // EOB: all further coefficients are zero.
                        (0, 0) => {
                            bits.consume(length);
                            return Ok(());
                        }
                        // T.81 F.1.2.2.1 leaves 0x10 to 0xE0 undefined. Only progressive scans use
                        // them, as EOBn.
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

    /// Skips the AC coefficients of a block from zigzag index `next` on.
    #[inline(always)]
    fn skip(&self, bits: &mut BitReader, window: &Window, mut next: usize) -> Result<(), Fault> {
        const END: usize = SkipEntry::END as usize;
        // The loop uses two entries per refill. Two of the longest have 52 bits, a refilled buffer
        // has at least 56. A buffer of 32 bits would need two refills.
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
                    // The entry is empty, or it passes the last coefficient. No EOB follows
                    // coefficient 63, so its last codes may belong to the next block. Decode one
                    // symbol at a time.
                    is_unresolved = true;
                    break;
                }
            }
            if is_unresolved {
                // The first of the two entries may have been consumed already.
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
/// `mcus` is the rectangle of MCUs to transform. `interval` is the number of MCUs between restart
/// markers, or 0 if there are none.
///
/// # Errors
/// [`Fault::Exhausted`] if the data ends before the scan, [`Fault::Corrupt`] if a code, a symbol, a
/// run or a restart marker is invalid.
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
            // The window is checked once per MCU, not once per read. It always holds the bytes of
            // a whole MCU, and zeros behind the end of the data.
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

/// Decodes the blocks of a component in the MCU at column and row `mcu`.
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
            // DC values are coded as differences, so the DC of skipped blocks is needed too.
            // Invalid data can overflow the sum; it wraps, and `wrap` keeps 16 bits.
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

//! Scans of AC coefficients: ITU-T T.81 G.1.2.2 and G.1.2.3.
//!
//! Values that are kept are parsed one by one. After them, a first scan skips several symbols per
//! table look-up. A refinement can do so only if the block has no earlier coefficients left,
//! because each of those has a correction bit among the symbols. Before that, a symbol's run
//! selects a zero coefficient, and the correction bits on the way are counted and skipped.

use super::restarts::Restarts;
use super::store::CoefficientStore;
use crate::jpeg::baseline::ScanError;
use crate::jpeg::bits::{BitReader, extend};
use crate::jpeg::huffman::HuffmanCode;
use crate::jpeg::idct::{last_kept, position, wrap};
use crate::jpeg::lookup::{SKIP_BITS, SkipEntry, SkipTable};
use crate::jpeg::scan_header::ScanHeader;
use crate::jpeg::select::Select;
use crate::jpeg::source::{EntropySource, Fault};
use crate::jpeg::tables::HuffmanSpecification;
use crate::jpeg::window::Window;

const BAD_CODE: Fault = Fault::Corrupt("bits that match no Huffman code");
const OVERLONG: Fault = Fault::Corrupt("coefficient outside the spectral band of the scan");
const BAD_REFINEMENT: Fault = Fault::Corrupt("refinement that adds more than one bit");
const BAD_RUN: Fault = Fault::Corrupt("end-of-band run beyond the scan or its restart interval");

/// Decoding tables of an AC Huffman table in a progressive scan.
pub(in crate::jpeg) struct ProgressiveAcDecoder {
    code: HuffmanCode,
    skips: SkipTable,
    /// Maximum number of bits of a value.
    max_size: u32,
}

impl ProgressiveAcDecoder {
    /// Makes a decoder for the first scan of a band. Returns `None` if the specification is
    /// invalid.
    pub(in crate::jpeg) fn first(specification: &HuffmanSpecification) -> Option<Self> {
        Self::new(specification, 15)
    }

    /// Makes a decoder for a refinement. Returns `None` if the specification is invalid.
    ///
    /// The new coefficients of a refinement are 1 or -1, so their values have one bit.
    pub(in crate::jpeg) fn refinement(specification: &HuffmanSpecification) -> Option<Self> {
        Self::new(specification, 1)
    }

    fn new(specification: &HuffmanSpecification, max_size: u32) -> Option<Self> {
        let code = HuffmanCode::new(specification)?;
        let skips = SkipTable::new(&code, max_size)?;
        Some(Self {
            code,
            skips,
            max_size,
        })
    }

    /// Reads the run and size of the next symbol. At least 40 bits are left in the buffer, because
    /// a code has at most 16.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] if no code matches, or the size is too large.
    #[inline(always)]
    fn symbol(&self, bits: &mut BitReader, window: &Window) -> Result<(u32, u32), Fault> {
        bits.refill(window);
        let (length, symbol) = self.code.decode(bits.buffer).ok_or(BAD_CODE)?;
        bits.consume(length);
        let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        if size > self.max_size {
            Err(BAD_REFINEMENT)
        } else {
            Ok((run, size))
        }
    }
}

/// Decodes a scan of AC coefficients, which has one component (G.1.2.2 and G.1.2.3).
///
/// `interval` is the number of blocks between restart markers, or 0 if there are none.
///
/// # Errors
/// [`Fault::Exhausted`] if the data ends before the scan, [`Fault::Corrupt`] if it is invalid.
#[inline(always)]
pub(in crate::jpeg) fn decode_ac<const N: usize>(
    source: &mut EntropySource<'_, '_>,
    scan: &ScanHeader,
    decoder: &ProgressiveAcDecoder,
    store: &mut CoefficientStore,
    interval: usize,
    select: impl Select,
) -> Result<BitReader, ScanError> {
    let mut bits = BitReader::default();
    let mut restarts = Restarts::new(interval);
    let mut band = Band::new(scan);
    let refines = scan.approximation.0 != 0;
    let (columns, rows) = scan.mcus;
    for y in 0..rows {
        for x in 0..columns {
            let scan_error = |fault, bits| ScanError {
                fault,
                bits,
                mcus: y * columns + x,
            };
            let is_restart = restarts
                .step(source, &mut bits)
                .map_err(|fault| scan_error(fault, bits))?;
            // A restart interval can be decoded on its own, so no run may reach into the next one.
            if is_restart && band.ended_blocks != 0 {
                return Err(scan_error(BAD_RUN, bits));
            }
            let index = y * store.columns + x;
            // The mask is copied, so that the loop can keep it in a register.
            let mut mask = store.masks[index];
            let values = store.values_of::<N>(x, y);
            let window = source.window();
            let result = if refines {
                band.refine::<N>(&mut bits, window, decoder, &mut mask, values, select)
            } else {
                band.begin::<N>(&mut bits, window, decoder, &mut mask, values)
            };
            if let Err(fault) = result {
                return Err(scan_error(fault, bits));
            }
            store.masks[index] = mask;
        }
    }
    if band.ended_blocks != 0 {
        return Err(ScanError {
            fault: BAD_RUN,
            bits,
            mcus: columns * rows,
        });
    }
    Ok(bits)
}

/// Spectral band of a scan, and its state between two blocks.
struct Band {
    /// First coefficient, as a zigzag index: Ss in T.81.
    first: usize,
    /// Last coefficient: Se in T.81.
    last: usize,
    /// One bit per coefficient of the band.
    mask: u64,
    /// Bit position that the scan codes: Al in T.81.
    low: u32,
    /// Number of following blocks without (more) new coefficients: EOBRUN in T.81.
    ended_blocks: u32,
}

impl Band {
    fn new(scan: &ScanHeader) -> Self {
        let (first, last) = scan.band;
        Self {
            first,
            last,
            mask: u64::MAX << first & u64::MAX >> (63 - last),
            low: scan.approximation.1,
            ended_blocks: 0,
        }
    }

    /// Decodes a block in the first scan of the band (figure G.3).
    #[inline(always)]
    fn begin<const N: usize>(
        &mut self,
        bits: &mut BitReader,
        window: &Window,
        decoder: &ProgressiveAcDecoder,
        mask: &mut u64,
        values: &mut [i16],
    ) -> Result<(), Fault> {
        if self.ended_blocks > 0 {
            self.ended_blocks -= 1;
            return Ok(());
        }
        let mut next = self.first;
        while next <= self.last.min(last_kept::<N>()) {
            let (run, size) = decoder.symbol(bits, window)?;
            if size == 0 && run < 15 {
                self.end_blocks(bits, run);
                return Ok(());
            }
            // ZRL (run 15, size 0) passes here too: 15 zeros, and one more at `next`.
            let value = extend(bits.take(size), size) << self.low;
            next += run as usize;
            if next > self.last {
                return Err(OVERLONG);
            }
            if size != 0 {
                *mask |= 1 << next;
                keep::<N>(values, next, value);
            }
            next += 1;
        }
        self.skip(bits, window, decoder, mask, next)
    }

    /// Decodes one more bit of each coefficient of a block (figure G.7).
    ///
    /// `history` is the mask of coefficients that were nonzero before this scan. Each of them has
    /// one correction bit. The runs of the symbols count only the others.
    #[inline(always)]
    fn refine<const N: usize>(
        &mut self,
        bits: &mut BitReader,
        window: &Window,
        decoder: &ProgressiveAcDecoder,
        mask: &mut u64,
        values: &mut [i16],
        select: impl Select,
    ) -> Result<(), Fault> {
        let history = *mask & self.mask;
        if self.ended_blocks > 0 {
            self.ended_blocks -= 1;
            bits.refill(window);
            correct::<N>(bits, window, history, values, self.low);
            return Ok(());
        }
        let zeros = self.mask & !history;
        let kept = kept_mask::<N>();
        // The loops clear the bits of decoded coefficients. The first loop stores values. The
        // second one only counts the correction bits. After it, no coefficient with history is
        // left.
        let mut remaining = self.mask;
        while remaining & kept != 0 {
            let (run, size) = decoder.symbol(bits, window)?;
            if size == 0 && run < 15 {
                self.end_blocks(bits, run);
                correct::<N>(bits, window, history & remaining, values, self.low);
                return Ok(());
            }
            // The sign bit of the new coefficient precedes the correction bits of those before it.
            let is_positive = size != 0 && bits.take_bit();
            // The run ends at the zero with this index. `passed` is its bit and all lower ones.
            // With fewer zeros, `target` is 0 and `passed` has all bits.
            let target = select.nth_set_bit(zeros & remaining, run);
            let passed = target ^ target.wrapping_sub(1);
            correct::<N>(bits, window, history & remaining & passed, values, self.low);
            if target == 0 {
                return Err(OVERLONG);
            }
            remaining &= !passed;
            if size != 0 {
                *mask |= target;
                let value = if is_positive {
                    1 << self.low
                } else {
                    -1 << self.low
                };
                keep::<N>(values, target.trailing_zeros() as usize, value);
            }
        }
        while history & remaining != 0 {
            let (run, size) = decoder.symbol(bits, window)?;
            if size == 0 && run < 15 {
                self.end_blocks(bits, run);
                skip_bits(bits, window, (history & remaining).count_ones());
                return Ok(());
            }
            let target = select.nth_set_bit(zeros & remaining, run);
            let passed = target ^ target.wrapping_sub(1);
            skip_bits(
                bits,
                window,
                size + (history & remaining & passed).count_ones(),
            );
            if target == 0 {
                return Err(OVERLONG);
            }
            remaining &= !passed;
            *mask |= if size != 0 { target } else { 0 };
        }
        if remaining == 0 {
            return Ok(());
        }
        self.skip(
            bits,
            window,
            decoder,
            mask,
            remaining.trailing_zeros() as usize,
        )
    }

    /// Skips the coefficients of a block from zigzag index `next` on.
    ///
    /// None of them was nonzero before, and the value of none is kept. The mask is still updated,
    /// because later refinements need it.
    #[inline(always)]
    fn skip(
        &mut self,
        bits: &mut BitReader,
        window: &Window,
        decoder: &ProgressiveAcDecoder,
        mask: &mut u64,
        mut next: usize,
    ) -> Result<(), Fault> {
        while next <= self.last {
            bits.refill(window);
            let mut is_unresolved = false;
            // Two entries per refill, as in sequential scans.
            for _ in 0..2 {
                let entry = decoder.skips.entry(bits.peek::<SKIP_BITS>());
                let after = next + (entry.steps() & !SkipEntry::END) as usize;
                let ends = entry.steps() & SkipEntry::END != 0;
                // Without an end of block, an entry may end exactly after the band. With one, the
                // band must have a coefficient left. Other entries may contain codes of the next
                // block.
                if entry.length() == 0 || after > self.last + usize::from(!ends) {
                    is_unresolved = true;
                    break;
                }
                bits.consume(entry.length());
                *mask |= entry.pattern() << next;
                if ends || after > self.last {
                    return Ok(());
                }
                next = after;
            }
            if is_unresolved {
                let (run, size) = decoder.symbol(bits, window)?;
                if size == 0 && run < 15 {
                    self.end_blocks(bits, run);
                    return Ok(());
                }
                bits.consume(size);
                next += run as usize;
                if next > self.last {
                    return Err(OVERLONG);
                }
                *mask |= u64::from(size != 0) << next;
                next += 1;
            }
        }
        Ok(())
    }

    /// Ends this block, and starts the run of ended blocks of EOBn with n = `run` (G.1.2.2).
    ///
    /// The run has 2^n blocks plus the value of the next n bits. It includes this block.
    #[inline(always)]
    fn end_blocks(&mut self, bits: &mut BitReader, run: u32) {
        self.ended_blocks = (1 << run) - 1 + bits.take(run);
    }
}

/// Returns the mask of the coefficients whose values are kept.
const fn kept_mask<const N: usize>() -> u64 {
    u64::MAX >> (63 - last_kept::<N>())
}

/// Stores a coefficient if its value is kept.
#[inline(always)]
fn keep<const N: usize>(values: &mut [i16], index: usize, value: i32) {
    if let Some(kept) = values.get_mut(position::<N>(index)) {
        *kept = wrap(value);
    }
}

/// Reads a correction bit for each coefficient in `history` (G.1.2.3).
///
/// A bit of 1 increases the magnitude of the coefficient by 1 at the bit position `low`.
#[inline(always)]
fn correct<const N: usize>(
    bits: &mut BitReader,
    window: &Window,
    history: u64,
    values: &mut [i16],
    low: u32,
) {
    // The kept coefficients have the lowest zigzag indices, so their bits come first.
    let mut kept = history & kept_mask::<N>();
    while kept != 0 {
        bits.refill(window);
        let index = kept.trailing_zeros() as usize;
        kept &= kept - 1;
        if bits.take_bit()
            && let Some(value) = values.get_mut(position::<N>(index))
        {
            let step = 1_i16.wrapping_shl(low);
            *value = if *value < 0 {
                value.wrapping_sub(step)
            } else {
                value.wrapping_add(step)
            };
        }
    }
    skip_bits(bits, window, (history & !kept_mask::<N>()).count_ones());
}

/// Skips `count` bits, at most 64.
///
/// The caller guarantees that [`BitReader::REFILLED`] − 32 = 24 bits are available. A symbol and
/// its value or run need at most 31 bits after a refill.
#[inline(always)]
fn skip_bits(bits: &mut BitReader, window: &Window, count: u32) {
    const AVAILABLE: u32 = BitReader::REFILLED - 32;
    if count <= AVAILABLE {
        bits.consume(count);
    } else {
        // 64 bits exceed one refill, so the bits are consumed in two parts: 24, then at most 40.
        bits.refill(window);
        bits.consume(AVAILABLE);
        bits.refill(window);
        bits.consume(count - AVAILABLE);
    }
}

//! Scans of DC coefficients: ITU-T T.81 G.1.2.1.

use super::restarts::Restarts;
use super::store::CoefficientStore;
use crate::jpeg::baseline::{DcDecoder, ScanError};
use crate::jpeg::bits::BitReader;
use crate::jpeg::idct::wrap;
use crate::jpeg::scan_header::ScanHeader;
use crate::jpeg::source::{EntropySource, Fault};
use crate::jpeg::window::Window;

/// Decoder and output of one component in a DC scan.
pub(in crate::jpeg) struct DcComponentDecoder<'t, 's> {
    /// Huffman table, or `None` in a refinement, which has no codes.
    pub(in crate::jpeg) decoder: Option<&'t DcDecoder>,
    /// Columns and rows of blocks per MCU.
    pub(in crate::jpeg) blocks_per_mcu: (usize, usize),
    pub(in crate::jpeg) store: &'s mut CoefficientStore,
}

/// Decodes a scan of DC coefficients (G.1.2.1).
///
/// `interval` is the number of MCUs between restart markers, or 0 if there are none.
///
/// # Errors
/// [`Fault::Exhausted`] if the data ends before the scan, [`Fault::Corrupt`] if it is invalid.
#[inline(always)]
pub(in crate::jpeg) fn decode_dc<const N: usize>(
    source: &mut EntropySource<'_, '_>,
    scan: &ScanHeader,
    components: &mut [DcComponentDecoder<'_, '_>],
    interval: usize,
) -> Result<BitReader, ScanError> {
    let mut bits = BitReader::default();
    let mut restarts = Restarts::new(interval);
    let mut predictors = [0_i32; 4];
    let (columns, rows) = scan.mcus;
    let low = scan.approximation.1;
    for y in 0..rows {
        for x in 0..columns {
            let scan_error = |fault, bits| ScanError {
                fault,
                bits,
                mcus: y * columns + x,
            };
            match restarts.step(source, &mut bits) {
                Err(fault) => return Err(scan_error(fault, bits)),
                Ok(true) => predictors = [0; 4],
                Ok(false) => {}
            }
            let window = source.window();
            for (component, predictor) in components.iter_mut().zip(&mut predictors) {
                if let Err(fault) =
                    decode_dc_mcu::<N>(&mut bits, window, component, predictor, (x, y), low)
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
fn decode_dc_mcu<const N: usize>(
    bits: &mut BitReader,
    window: &Window,
    component: &mut DcComponentDecoder<'_, '_>,
    predictor: &mut i32,
    mcu: (usize, usize),
    low: u32,
) -> Result<(), Fault> {
    let (across, down) = component.blocks_per_mcu;
    for row in 0..down {
        for column in 0..across {
            let values = component
                .store
                .values_of::<N>(mcu.0 * across + column, mcu.1 * down + row);
            if let Some(decoder) = component.decoder {
                *predictor = predictor.wrapping_add(decoder.difference(bits, window)?);
                // The point transform of DC is a shift, so the difference is scaled after the sum.
                values[0] = wrap(*predictor << low);
            } else {
                // A refinement sets one bit of the two's complement value, also of negative ones.
                bits.refill(window);
                values[0] |= i16::from(bits.take_bit()) << low;
            }
        }
    }
    Ok(())
}

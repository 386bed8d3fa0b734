//! Scans of DC coefficients: ITU-T T.81 G.1.2.1.

use super::restarts::Restarts;
use super::store::Store;
use crate::jpeg::baseline::{DcDecoder, Stop};
use crate::jpeg::bits::BitReader;
use crate::jpeg::idct::wrap;
use crate::jpeg::scan::Scan;
use crate::jpeg::source::{EntropySource, Fault};
use crate::jpeg::window::Window;

/// A component's part in a DC scan.
pub(in crate::jpeg) struct DcPart<'t, 's> {
    /// `None` in a refinement, which has no codes.
    pub(in crate::jpeg) decoder: Option<&'t DcDecoder>,
    pub(in crate::jpeg) unit_blocks: (usize, usize),
    pub(in crate::jpeg) store: &'s mut Store,
}

/// Decodes a scan of DC coefficients: G.1.2.1.
#[inline(always)]
pub(in crate::jpeg) fn decode_dc<const N: usize>(
    source: &mut EntropySource<'_, '_>,
    scan: &Scan,
    parts: &mut [DcPart<'_, '_>],
    interval: usize,
) -> Result<BitReader, Stop> {
    let mut bits = BitReader::default();
    let mut restarts = Restarts::new(interval);
    let mut predictors = [0_i32; 4];
    let (columns, rows) = scan.units;
    let low = scan.approximation.1;
    for y in 0..rows {
        for x in 0..columns {
            let stop = |fault, bits| Stop {
                fault,
                bits,
                units: y * columns + x,
            };
            match restarts.step(source, &mut bits) {
                Err(fault) => return Err(stop(fault, bits)),
                Ok(true) => predictors = [0; 4],
                Ok(false) => {}
            }
            let window = source.window();
            for (part, predictor) in parts.iter_mut().zip(&mut predictors) {
                if let Err(fault) = dc_unit::<N>(&mut bits, window, part, predictor, (x, y), low) {
                    return Err(stop(fault, bits));
                }
            }
        }
    }
    Ok(bits)
}

#[inline(always)]
fn dc_unit<const N: usize>(
    bits: &mut BitReader,
    window: &Window,
    part: &mut DcPart<'_, '_>,
    predictor: &mut i32,
    place: (usize, usize),
    low: u32,
) -> Result<(), Fault> {
    let (across, down) = part.unit_blocks;
    for row in 0..down {
        for column in 0..across {
            let values = part
                .store
                .values_of::<N>(place.0 * across + column, place.1 * down + row);
            if let Some(decoder) = part.decoder {
                *predictor = predictor.wrapping_add(decoder.difference(bits, window)?);
                values[0] = wrap(*predictor << low);
            } else {
                bits.refill(window);
                values[0] |= i16::from(bits.take_bit()) << low;
            }
        }
    }
    Ok(())
}

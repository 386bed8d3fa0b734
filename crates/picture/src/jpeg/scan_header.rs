//! The scan header: ITU-T T.81 B.2.3.

use super::frame_header::FrameHeader;
use super::markers::Segment;
use crate::error::Error;

/// Most blocks an MCU of an interleaved scan may hold (B.2.3).
pub(super) const MAX_BLOCKS_PER_MCU: usize = 10;

/// A scan header.
#[derive(Clone, Debug)]
pub(super) struct ScanHeader {
    pub(super) components: Vec<ScanComponent>,
    /// First and last coefficient coded, in zigzag order: Ss and Se in T.81.
    pub(super) band: (usize, usize),
    /// The bit position that earlier scans reached, and the one this scan reaches: Ah and Al.
    pub(super) approximation: (u32, u32),
    /// Columns and rows of MCUs.
    pub(super) mcus: (usize, usize),
}

/// A component's part in a scan.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScanComponent {
    /// Index in [`FrameHeader::components`].
    pub(super) index: usize,
    /// Slots of the Huffman tables.
    pub(super) dc: usize,
    pub(super) ac: usize,
    /// Columns and rows of this component's blocks in an MCU: 1 × 1 unless the scan is interleaved.
    pub(super) blocks_per_mcu: (usize, usize),
}

impl ScanHeader {
    /// Reads an SOS segment.
    pub(super) fn parse(segment: &Segment<'_>, frame: &FrameHeader) -> Result<Self, Error> {
        let damaged = |what| segment.damaged(what);
        let [count, rest @ ..] = segment.payload else {
            return Err(damaged("scan header"));
        };
        let count = usize::from(*count);
        if !(1..=4).contains(&count) || rest.len() != 2 * count + 3 {
            return Err(damaged("scan header"));
        }
        let (selectors, parameters) = rest.split_at(2 * count);
        let &[start, end, approximation] = parameters else {
            return Err(damaged("scan header"));
        };

        let mut components: Vec<ScanComponent> = Vec::with_capacity(count);
        for &[selector, slots] in selectors.as_chunks::<2>().0 {
            // Some files give two components one identifier; the first that the scan has not named
            // yet is meant.
            let index = frame
                .components
                .iter()
                .enumerate()
                .position(|(index, component)| {
                    component.identifier == selector
                        && components.iter().all(|named| named.index != index)
                })
                .ok_or_else(|| damaged("scan of an unknown component"))?;
            let blocks_per_mcu = if count == 1 {
                (1, 1)
            } else {
                frame.components[index].sampling
            };
            components.push(ScanComponent {
                index,
                dc: usize::from(slots >> 4),
                ac: usize::from(slots & 15),
                blocks_per_mcu,
            });
        }
        let blocks_in_mcu: usize = components
            .iter()
            .map(|component| component.blocks_per_mcu.0 * component.blocks_per_mcu.1)
            .sum();
        if blocks_in_mcu > MAX_BLOCKS_PER_MCU {
            return Err(damaged("more than 10 blocks in an MCU"));
        }
        let mcus = match components.as_slice() {
            [alone] => frame.components[alone.index].blocks,
            _ => frame.interleaved_mcus(),
        };
        Ok(Self {
            components,
            band: (usize::from(start), usize::from(end)),
            approximation: (u32::from(approximation >> 4), u32::from(approximation & 15)),
            mcus,
        })
    }

    /// MCUs in the scan.
    pub(super) fn mcu_count(&self) -> usize {
        self.mcus.0 * self.mcus.1
    }

    /// Blocks in the scan.
    pub(super) fn block_count(&self) -> u64 {
        let blocks_in_mcu: usize = self
            .components
            .iter()
            .map(|component| component.blocks_per_mcu.0 * component.blocks_per_mcu.1)
            .sum();
        self.mcu_count() as u64 * blocks_in_mcu as u64
    }
}

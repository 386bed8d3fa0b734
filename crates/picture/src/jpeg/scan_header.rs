//! Parser of the scan header: ITU-T T.81 B.2.3.

use super::frame_header::FrameHeader;
use super::markers::Segment;
use crate::error::Error;

/// Maximum number of blocks in an MCU of an interleaved scan (B.2.3).
pub(super) const MAX_BLOCKS_PER_MCU: usize = 10;

/// Parsed scan header.
#[derive(Clone, Debug)]
pub(super) struct ScanHeader {
    pub(super) components: Vec<ScanComponent>,
    /// First and last coefficient of the spectral band, as zigzag indices: Ss and Se in T.81.
    pub(super) band: (usize, usize),
    /// Successive approximation: the bit position of the previous scan of the band (0 for a first
    /// scan), and that of this scan. Ah and Al in T.81.
    pub(super) approximation: (u32, u32),
    /// Columns and rows of MCUs in the scan.
    pub(super) mcus: (usize, usize),
}

/// Parameters of one component in a scan.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScanComponent {
    /// Index in [`FrameHeader::components`].
    pub(super) index: usize,
    /// Slot of the DC Huffman table: Td in T.81. Not yet checked to be below 4.
    pub(super) dc: usize,
    /// Slot of the AC Huffman table: Ta in T.81. Not yet checked to be below 4.
    pub(super) ac: usize,
    /// Columns and rows of blocks per MCU: 1 × 1 unless the scan is interleaved (A.2).
    pub(super) blocks_per_mcu: (usize, usize),
}

impl ScanHeader {
    /// Parses an SOS segment.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the segment has the wrong length, names a component that the frame
    /// does not have, or has more than [`MAX_BLOCKS_PER_MCU`] blocks per MCU.
    pub(super) fn parse(segment: &Segment<'_>, frame: &FrameHeader) -> Result<Self, Error> {
        let damaged = |what| segment.damaged(what);
        let [count, rest @ ..] = segment.payload else {
            return Err(damaged("invalid scan header"));
        };
        let count = usize::from(*count);
        if !(1..=4).contains(&count) || rest.len() != 2 * count + 3 {
            return Err(damaged("invalid scan header"));
        }
        let (selectors, parameters) = rest.split_at(2 * count);
        let &[start, end, approximation] = parameters else {
            return Err(damaged("invalid scan header"));
        };

        let mut components: Vec<ScanComponent> = Vec::with_capacity(count);
        for &[selector, slots] in selectors.as_chunks::<2>().0 {
            // Some files give several components the same identifier. Each selector then means
            // the first of them that the scan does not contain yet.
            let index = frame
                .components
                .iter()
                .enumerate()
                .position(|(index, component)| {
                    component.identifier == selector
                        && components.iter().all(|named| named.index != index)
                })
                .ok_or_else(|| damaged("scan names an unknown component"))?;
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
        // In a scan of one component an MCU is one block, and the blocks that only pad interleaved
        // MCUs are not coded (A.2.2).
        let mcus = match components.as_slice() {
            [component] => frame.components[component.index].blocks,
            _ => frame.interleaved_mcus(),
        };
        Ok(Self {
            components,
            band: (usize::from(start), usize::from(end)),
            approximation: (u32::from(approximation >> 4), u32::from(approximation & 15)),
            mcus,
        })
    }

    /// Number of MCUs in the scan.
    pub(super) fn mcu_count(&self) -> usize {
        self.mcus.0 * self.mcus.1
    }

    /// Number of blocks in the scan, over all components.
    pub(super) fn block_count(&self) -> u64 {
        let blocks_in_mcu: usize = self
            .components
            .iter()
            .map(|component| component.blocks_per_mcu.0 * component.blocks_per_mcu.1)
            .sum();
        self.mcu_count() as u64 * blocks_in_mcu as u64
    }
}

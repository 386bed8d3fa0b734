//! Entropy-coded segments: ITU-T T.81 B.1.1.5 and F.1.2.3.
//!
//! Within a scan's data every 0xFF is followed by a stuffed 0x00, and any other pair is a marker. The
//! source takes the stuffing out ahead of the bit reader, a window at a time, so that reading bits
//! needs no special cases and costs no memory that grows with the file.

use memchr::memchr;

use super::bits::BitReader;
use super::markers::code;
use super::window::{WINDOW, Window};

/// Bytes that one step of a scan (an MCU of at most 10 blocks, or a block of a progressive scan) can
/// consume at most: 64 symbols of 16 bits with 15 more for the value are 248 bytes a block. The reader
/// loads 8 bytes ahead of what it has consumed.
const SLACK: usize = 10 * 248 + 16;

/// Most unstuffed bytes in a window. The rest is zeros behind the end of a segment, so that one step
/// may run over the end and be caught afterwards.
const CAPACITY: usize = WINDOW - SLACK;

/// Bytes kept in front of the reader when the window moves on; its bit buffer came from them.
const HISTORY: usize = 8;

/// Why entropy-coded data can not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The data ends before the scan does.
    Exhausted,
    /// The data breaks a rule of its coding.
    Corrupt(&'static str),
}

/// The entropy-coded segments of one scan.
pub(super) struct EntropySource<'d, 'w> {
    data: &'d [u8],
    /// Offset in the file of the first byte that is not in the window.
    next: usize,
    window: &'w mut Window,
    filled: usize,
    /// The window holds all that is left of the segment: `next` is at a marker or the end of the file.
    ended: bool,
    /// A reader beyond this position needs [`EntropySource::top_up`] before its next step.
    threshold: usize,
}

impl<'d, 'w> EntropySource<'d, 'w> {
    /// Starts a scan whose data begins at `start` in the file.
    pub(super) fn new(data: &'d [u8], start: usize, window: &'w mut Window) -> Self {
        let mut source = Self {
            data,
            next: start,
            window,
            filled: 0,
            ended: false,
            threshold: 0,
        };
        source.fill();
        source
    }

    /// The bytes a reader of this source takes its bits from.
    #[inline(always)]
    pub(super) fn window(&self) -> &Window {
        self.window
    }

    /// Whether `bits` must be topped up before it may take another step.
    #[inline(always)]
    pub(super) fn is_low(&self, bits: &BitReader) -> bool {
        bits.position > self.threshold
    }

    /// Moves the window on, or finds that the reader has passed the end of the segment.
    ///
    /// By value: a reader whose address escapes to a call can not live in registers.
    #[cold]
    #[inline(never)]
    pub(super) fn top_up(&mut self, mut bits: BitReader) -> Result<BitReader, Fault> {
        if self.ended {
            return if self.is_overrun(&bits) {
                Err(Fault::Exhausted)
            } else {
                Ok(bits)
            };
        }
        let keep_from = bits.position.saturating_sub(HISTORY);
        self.window.copy_within(keep_from..self.filled, 0);
        self.filled -= keep_from;
        bits.position -= keep_from;
        self.fill();
        Ok(bits)
    }

    /// Ends a restart interval and starts the next, behind the marker RST`number` (F.2.2.5).
    pub(super) fn restart(&mut self, bits: BitReader, number: u8) -> Result<BitReader, Fault> {
        self.drain(bits)?;
        match self.marker() {
            None => Err(Fault::Exhausted),
            Some(found) if found == code::RST_FIRST + number => {
                self.next += 2;
                self.filled = 0;
                self.fill();
                Ok(BitReader::default())
            }
            Some(code::EOI) => Err(Fault::Exhausted),
            Some(_) => Err(Fault::Corrupt("restart marker missing or out of order")),
        }
    }

    /// Ends the scan; returns the offset in the file of the marker behind it, or of the file's end.
    pub(super) fn finish(&mut self, bits: BitReader) -> Result<usize, Fault> {
        self.drain(bits)?;
        Ok(self.next)
    }

    /// Whether the segment ends at the end of the file or at EOI, not at some marker in its midst.
    pub(super) fn ends_the_picture(&self) -> bool {
        self.ended && matches!(self.marker(), None | Some(code::EOI))
    }

    /// Whether the reader has taken bits that the segment does not have.
    pub(super) fn is_overrun(&self, bits: &BitReader) -> bool {
        self.ended && bits.unread(self.filled) < 0
    }

    /// The offset in the file that the reader has come to.
    pub(super) fn offset(&self, bits: &BitReader) -> usize {
        let unread = usize::try_from(bits.unread(self.filled) / 8)
            .unwrap_or(0)
            .min(self.filled);
        let ahead = &self.window[self.filled - unread..self.filled];
        let stuffed = memchr::memchr_iter(0xFF, ahead).count();
        self.next.saturating_sub(unread + stuffed)
    }

    /// Passes over what a segment holds behind its last MCU: pad bits, and the stray bytes that some
    /// encoders leave.
    fn drain(&mut self, bits: BitReader) -> Result<(), Fault> {
        if self.is_overrun(&bits) {
            return Err(Fault::Exhausted);
        }
        while !self.ended {
            self.filled = 0;
            self.fill();
        }
        Ok(())
    }

    fn marker(&self) -> Option<u8> {
        self.data.get(self.next + 1).copied()
    }

    fn fill(&mut self) {
        self.ended = false;
        while self.filled < CAPACITY && !self.ended {
            let rest = &self.data[self.next..];
            let room = rest.len().min(CAPACITY - self.filled);
            let plain = memchr(0xFF, &rest[..room]).unwrap_or(room);
            self.window[self.filled..self.filled + plain].copy_from_slice(&rest[..plain]);
            self.filled += plain;
            self.next += plain;
            if plain == rest.len() {
                self.ended = true;
            } else if plain < room {
                self.consume_escape();
            }
        }
        self.threshold = if self.ended {
            self.window[self.filled..self.filled + SLACK].fill(0);
            self.filled
        } else {
            self.filled - SLACK
        };
    }

    /// Takes the pair at `next`, which starts with 0xFF: a stuffed byte or a marker. Fill bytes may
    /// stand between the two.
    fn consume_escape(&mut self) {
        let mut second = self.next + 1;
        while self.data.get(second) == Some(&0xFF) {
            second += 1;
        }
        match self.data.get(second) {
            Some(0) => {
                self.window[self.filled] = 0xFF;
                self.filled += 1;
                self.next = second + 1;
            }
            Some(_) => {
                self.next = second - 1;
                self.ended = true;
            }
            None => {
                self.next = self.data.len();
                self.ended = true;
            }
        }
    }
}

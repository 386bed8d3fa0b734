//! Source of entropy-coded segments: ITU-T T.81 B.1.1.5 and F.1.2.3.
//!
//! In the data of a scan, the encoder inserts a zero byte after every byte 0xFF. 0xFF before
//! another byte starts a marker. The source removes the inserted bytes before the bit reader sees
//! the data. It works window by window, so its memory does not grow with the file.

use memchr::memchr;

use super::bits::BitReader;
use super::markers::code;
use super::window::{WINDOW, Window};

/// Maximum number of bytes that one step of a scan needs.
///
/// A step is an MCU of at most 10 blocks, or one block of a progressive AC scan. A block has at
/// most 64 symbols of 16 + 15 bits, which is 248 bytes. The reader loads 8 bytes ahead of those
/// consumed; the sum is rounded up to 16.
const SLACK: usize = 10 * 248 + 16;

/// Maximum number of unstuffed bytes in a window.
///
/// The rest is filled with zeros behind the end of a segment. So a step can read beyond the end
/// without a check per read; the next check between two steps detects it.
const CAPACITY: usize = WINDOW - SLACK;

/// Number of bytes kept before the reader when the window moves.
///
/// Up to 63 bits of them are unread in its bit buffer. [`EntropySource::offset`] needs the bytes.
const HISTORY: usize = 8;

/// Fault of entropy-coded data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The data ends before the scan does.
    Exhausted,
    /// The data is invalid, for the reason given.
    Corrupt(&'static str),
}

/// Entropy-coded segments of one scan, with the window that holds a part of them.
pub(super) struct EntropySource<'d, 'w> {
    data: &'d [u8],
    /// Offset in the file of the first byte that has not been copied to the window.
    next: usize,
    window: &'w mut Window,
    /// Number of unstuffed bytes in the window.
    filled: usize,
    /// Whether the window holds the rest of the segment. `next` is then the offset of a marker or
    /// of the end of the file.
    ended: bool,
    /// Position in the window. A reader beyond it needs [`EntropySource::top_up`] before its next
    /// step.
    threshold: usize,
}

impl<'d, 'w> EntropySource<'d, 'w> {
    /// Starts a scan whose data begins at the offset `start` in the file.
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

    /// Returns the window that a reader of this source reads from.
    #[inline(always)]
    pub(super) fn window(&self) -> &Window {
        self.window
    }

    /// Whether the reader needs [`top_up`](Self::top_up) before its next step.
    #[inline(always)]
    pub(super) fn is_low(&self, bits: &BitReader) -> bool {
        bits.position > self.threshold
    }

    /// Moves the window forward and fills it.
    ///
    /// # Errors
    /// [`Fault::Exhausted`] if the reader has passed the end of the segment.
    // The reader is passed by value: a reference to it would force the compiler to keep it in
    // memory instead of registers.
    #[cold]
    #[inline(never)]
    pub(super) fn top_up(&mut self, mut bits: BitReader) -> Result<BitReader, Fault> {
        if self.ended {
            // A reader beyond the threshold has loaded zeros, but need not have consumed them.
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

    /// Ends a restart interval and starts the next one after the marker RST`number` (E.2.4).
    ///
    /// # Errors
    /// [`Fault::Exhausted`] if the data ends before the marker, [`Fault::Corrupt`] if another
    /// marker follows.
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

    /// Ends the scan. Returns the offset in the file of the next marker, or of the end of the file.
    ///
    /// # Errors
    /// [`Fault::Exhausted`] if the reader has passed the end of the data.
    pub(super) fn finish(&mut self, bits: BitReader) -> Result<usize, Fault> {
        self.drain(bits)?;
        Ok(self.next)
    }

    /// Whether the segment ends at the end of the file or at EOI, and not at another marker.
    pub(super) fn ends_the_picture(&self) -> bool {
        self.ended && matches!(self.marker(), None | Some(code::EOI))
    }

    /// Whether the reader has consumed more bits than the segment has.
    pub(super) fn is_overrun(&self, bits: &BitReader) -> bool {
        self.ended && bits.unread(self.filled) < 0
    }

    /// Returns the offset in the file of the first unread byte, for error messages.
    pub(super) fn offset(&self, bits: &BitReader) -> usize {
        let unread = usize::try_from(bits.unread(self.filled) / 8)
            .unwrap_or(0)
            .min(self.filled);
        // Each 0xFF in the window stands for two bytes in the file.
        let ahead = &self.window[self.filled - unread..self.filled];
        let stuffed = memchr::memchr_iter(0xFF, ahead).count();
        self.next.saturating_sub(unread + stuffed)
    }

    /// Skips the rest of a segment after its last MCU: padding bits, and stray bytes of some
    /// encoders.
    ///
    /// # Errors
    /// [`Fault::Exhausted`] if the reader has passed the end of the segment.
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

    /// Returns the code of the marker at `next`, or `None` at the end of the file.
    fn marker(&self) -> Option<u8> {
        self.data.get(self.next + 1).copied()
    }

    /// Copies bytes to the window, without stuffing, until it is full or the segment ends.
    fn fill(&mut self) {
        self.ended = false;
        // Roughly one byte in 256 is 0xFF. `memchr` finds it with vector
        // instructions, and the bytes before it are copied at once. A test of each byte in the bit
        // reader would prevent its 8-byte loads.
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
        // Before the end, a whole step must fit behind the threshold. At the end, zeros follow, and
        // the threshold is where the reader starts to load them.
        self.threshold = if self.ended {
            self.window[self.filled..self.filled + SLACK].fill(0);
            self.filled
        } else {
            self.filled - SLACK
        };
    }

    /// Handles the byte 0xFF at `next`: copies it if a zero byte follows, ends the segment if a
    /// marker follows.
    fn consume_escape(&mut self) {
        // Any number of fill bytes 0xFF may precede a marker code (B.1.1.2). libjpeg also accepts
        // them before a stuffed zero byte.
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

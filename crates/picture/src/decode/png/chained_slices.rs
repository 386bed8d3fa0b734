//! Slices of the input that are read as one continuous file, without copying them.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

/// A reader over five slices, in order: the parts of a PNG without unneeded chunks.
pub(super) struct ChainedSlices<'a> {
    /// Unread rest of each slice. A slice becomes empty when it is read.
    slices: [&'a [u8]; 5],
}

impl<'a> ChainedSlices<'a> {
    pub(super) fn new(slices: [&'a [u8]; 5]) -> Self {
        Self { slices }
    }
}

impl BufRead for ChainedSlices<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        // An empty result means end of file to callers of `BufRead`, so empty slices are skipped.
        Ok(self
            .slices
            .iter()
            .copied()
            .find(|piece| !piece.is_empty())
            .unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        if let Some(piece) = self.slices.iter_mut().find(|piece| !piece.is_empty()) {
            *piece = piece.get(amount..).unwrap_or_default();
        }
    }
}

impl Read for ChainedSlices<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(target)?;
        self.consume(read);
        Ok(read)
    }
}

/// A reader that implements `Seek` only to satisfy the bounds of the `png` crate.
///
/// The crate does not seek while it decodes. Every call to [`seek`](Seek::seek) returns an error.
pub(super) struct NoSeek<R>(pub(super) R);

impl<R: BufRead> BufRead for NoSeek<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.0.consume(amount);
    }
}

impl<R: Read> Read for NoSeek<R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        self.0.read(target)
    }
}

impl<R> Seek for NoSeek<R> {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

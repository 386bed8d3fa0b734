//! Parts of the input, read as if they were one file.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

pub(super) struct ChainedSlices<'a> {
    slices: [&'a [u8]; 5],
}

impl<'a> ChainedSlices<'a> {
    pub(super) fn new(slices: [&'a [u8]; 5]) -> Self {
        Self { slices }
    }
}

impl BufRead for ChainedSlices<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
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

/// A reader with the seeking that the codec's signatures ask for and that it never does.
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

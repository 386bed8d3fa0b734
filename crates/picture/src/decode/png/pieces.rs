//! Parts of the input, read as if they were one file.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

pub(super) struct Pieces<'a> {
    pieces: [&'a [u8]; 5],
}

impl<'a> Pieces<'a> {
    pub(super) fn new(pieces: [&'a [u8]; 5]) -> Self {
        Self { pieces }
    }
}

impl BufRead for Pieces<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self
            .pieces
            .iter()
            .copied()
            .find(|piece| !piece.is_empty())
            .unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        if let Some(piece) = self.pieces.iter_mut().find(|piece| !piece.is_empty()) {
            *piece = piece.get(amount..).unwrap_or_default();
        }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(target)?;
        self.consume(read);
        Ok(read)
    }
}

/// Asked for by the codec's signatures, and never called by it.
impl Seek for Pieces<'_> {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

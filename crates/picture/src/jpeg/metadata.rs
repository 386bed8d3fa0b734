//! Parser of metadata in application segments: EXIF (CIPA DC-008 4.7.2), ICC profiles (ICC.1 B.4).

use crate::error::{Complexity, Error};

const EXIF: &[u8] = b"Exif\0\0";
const ICC: &[u8] = b"ICC_PROFILE\0";

/// Chunk of an ICC profile. A profile is split because a segment holds at most 65,533 bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct IccChunk<'d> {
    /// Position in the profile, counted from 1.
    number: u8,
    /// Number of chunks in the profile, the same in every chunk.
    count: u8,
    bytes: &'d [u8],
}

/// Returns the TIFF structure of an APP1 segment, or `None` if it is not an EXIF segment.
pub(super) fn exif(payload: &[u8]) -> Option<&[u8]> {
    payload.strip_prefix(EXIF)
}

/// Returns the ICC chunk of an APP2 segment, or `None` if it has none.
pub(super) fn icc_chunk(payload: &[u8]) -> Option<IccChunk<'_>> {
    match payload.strip_prefix(ICC)? {
        [number, count, bytes @ ..] => Some(IccChunk {
            number: *number,
            count: *count,
            bytes,
        }),
        _ => None,
    }
}

/// Joins the chunks of an ICC profile in the order of their numbers.
///
/// Returns `None` if there are no chunks, or if chunks are missing, repeated or counted wrongly.
///
/// # Errors
/// [`Error::TooComplex`] if the profile is longer than `limit` bytes.
pub(super) fn icc_profile(chunks: &[IccChunk<'_>], limit: u64) -> Result<Option<Vec<u8>>, Error> {
    let mut chunks: Vec<_> = chunks.iter().collect();
    chunks.sort_by_key(|chunk| chunk.number);
    // Sorted numbers must be 1, 2, 3, …, and every chunk must state the number of chunks found.
    let is_whole = chunks.iter().zip(1..).all(|(chunk, number): (_, usize)| {
        usize::from(chunk.number) == number && usize::from(chunk.count) == chunks.len()
    });
    if chunks.is_empty() || !is_whole {
        return Ok(None);
    }
    let size: usize = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
    if size as u64 > limit {
        return Err(Error::TooComplex {
            what: Complexity::ProfileBytes,
            value: size as u64,
            limit,
        });
    }
    Ok(Some(
        chunks
            .into_iter()
            .flat_map(|chunk| chunk.bytes)
            .copied()
            .collect(),
    ))
}

//! Chunks of a PNG (W3C PNG specification, third edition, section 5).
//!
//! All chunks are parsed once before the codec gets any data. The codec then gets only the chunks
//! that it needs, so no other chunk can make it allocate memory.

use std::io::{self, BufRead, Read};

use crate::bytes::Bytes;
use crate::error::{Complexity, Error};
use crate::policy::Policy;

use super::chained_slices::ChainedSlices;
use super::colour_chunks::ColourChunks;

/// Length in bytes of the signature before the first chunk (section 5.2).
pub(super) const SIGNATURE_LENGTH: usize = 8;
/// Largest length of the data of a chunk in bytes (section 5.3: 2³¹ − 1).
const MAX_LENGTH: u32 = 0x7FFF_FFFF;

/// Byte position of the width in the file: the first field of IHDR (section 11.2.1).
const WIDTH_AT: usize = SIGNATURE_LENGTH + 8;
/// Byte position of the height in the file.
const HEIGHT_AT: usize = WIDTH_AT + 4;

/// A chunk: 4 bytes of length, 4 of type, the data, and 4 of checksum (section 5.3).
#[derive(Clone, Copy)]
struct PngChunk<'a> {
    kind: [u8; 4],
    /// The data without length, type and checksum.
    content: &'a [u8],
    /// The complete chunk as stored in the file.
    raw: &'a [u8],
    /// Byte position of the chunk in the file.
    offset: usize,
}

impl PngChunk<'_> {
    /// Whether the stored CRC-32 matches the type and the data (section 5.5).
    fn crc_matches(&self) -> bool {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.kind);
        crc.update(self.content);
        self.raw.be32(8 + self.content.len()) == Some(crc.finalize())
    }

    /// Whether a decoder must understand the chunk (section 5.4).
    fn is_critical(&self) -> bool {
        // Bit 5 of the first byte is the ancillary bit. In ASCII this bit is set in lower case.
        self.kind[0].is_ascii_uppercase()
    }
}

/// The chunks of a PNG that the decoder uses.
#[derive(Default)]
pub(super) struct PngChunks<'a> {
    /// Signature and IHDR.
    header: &'a [u8],
    /// PLTE; empty if absent.
    palette: &'a [u8],
    /// tRNS; empty if absent.
    transparency: &'a [u8],
    /// All IDAT chunks, which are adjacent in the file.
    data: &'a [u8],
    /// IEND; empty if the file is truncated.
    end: &'a [u8],
    /// Frames of an animation, without the default image.
    pub(super) frames: Vec<ApngFrame>,
    /// Data of the eXIf chunk: a TIFF header and its directories.
    pub(super) exif: Option<&'a [u8]>,
    pub(super) colour: ColourChunks<'a>,
    /// Whether the file ends before the end of IEND.
    pub(super) is_truncated: bool,
}

impl<'a> PngChunks<'a> {
    /// Parses all chunks up to IEND.
    ///
    /// A file that ends inside or after its image data is not an error here. It sets
    /// `is_truncated`, and the codec finds the number of complete rows.
    ///
    /// # Errors
    /// [`Error::Damaged`] for a wrong checksum, an unknown critical chunk, image data that is
    /// missing or not contiguous, or invalid animation chunks. [`Error::Truncated`] if the file
    /// ends before its image data. [`Error::TooComplex`] if the animation has too many frames or
    /// pixels.
    pub(super) fn read(bytes: &'a [u8], policy: &Policy) -> Result<Self, Error> {
        let mut chunks = Self::default();
        let mut animation = Animation::default();
        let mut offset = SIGNATURE_LENGTH;
        let mut data = None;
        loop {
            let Some(chunk) = next(bytes, offset)? else {
                chunks.is_truncated = true;
                // An incomplete last IDAT chunk goes to the codec too: its rows count towards the
                // percentage in the error.
                if bytes.array(offset + 4) == Some(*b"IDAT") {
                    data.get_or_insert(offset..offset).end = bytes.len();
                }
                break;
            };
            // The codec checks the checksums of IDAT. Checking them here would read the data twice.
            let crc_matches = &chunk.kind == b"IDAT" || chunk.crc_matches();
            // Other ancillary chunks with a wrong checksum are ignored: the picture shows without
            // them.
            if !crc_matches
                && (chunk.is_critical() || matches!(&chunk.kind, b"acTL" | b"fcTL" | b"fdAT"))
            {
                return Err(Error::damaged_at(
                    offset,
                    "the checksum of a chunk is wrong",
                ));
            }
            let range = offset..offset + chunk.raw.len();
            offset = range.end;
            match &chunk.kind {
                b"IHDR" => chunks.header = bytes.get(..offset).unwrap_or_default(),
                b"PLTE" => chunks.palette = chunk.raw,
                b"IDAT" => {
                    let data = data.get_or_insert(range.start..range.start);
                    // IDAT chunks must be consecutive (section 5.6), so one slice holds them all.
                    if data.end != range.start {
                        return Err(Error::damaged_at(
                            chunk.offset,
                            "the IDAT chunks are not consecutive",
                        ));
                    }
                    data.end = range.end;
                }
                b"IEND" => {
                    chunks.end = chunk.raw;
                    break;
                }
                // tRNS and the colour chunks must precede IDAT (section 5.6). Later ones are
                // ignored.
                b"tRNS" if crc_matches && data.is_none() => chunks.transparency = chunk.raw,
                b"eXIf" if crc_matches => chunks.exif = Some(chunk.content),
                _ if crc_matches
                    && data.is_none()
                    && chunks.colour.take(chunk.kind, chunk.content) => {}
                b"acTL" | b"fcTL" | b"fdAT" => animation.take(&chunk, chunks.size(), policy)?,
                _ if chunk.is_critical() => {
                    return Err(Error::damaged_at(
                        chunk.offset,
                        "a critical chunk has an unknown type",
                    ));
                }
                _ => {}
            }
        }
        chunks.frames = animation.finish(policy)?;
        chunks.data = data.and_then(|data| bytes.get(data)).unwrap_or_default();
        match chunks.data {
            [] if chunks.is_truncated => Err(Error::truncated(0, 1)),
            [] => Err(Error::damaged("the IDAT chunk is missing")),
            _ => Ok(chunks),
        }
    }

    /// Returns width and height from IHDR, in pixels.
    fn size(&self) -> (u32, u32) {
        let number = |offset| self.header.be32(offset).unwrap_or_default();
        (number(WIDTH_AT), number(HEIGHT_AT))
    }

    /// Returns the default image as a PNG without ancillary chunks except tRNS.
    pub(super) fn picture(&self) -> ChainedSlices<'a> {
        ChainedSlices::new([
            self.header,
            self.palette,
            self.transparency,
            self.data,
            self.end,
        ])
    }

    /// Builds the start of a PNG that contains only this frame, up to the data of its IDAT chunk.
    ///
    /// The IHDR has the size of the frame but the checksum of the original, which does not match.
    pub(super) fn frame_prefix(&self, frame: &ApngFrame) -> Vec<u8> {
        let mut prefix = self.header.to_vec();
        for (target, value) in [(WIDTH_AT, frame.width), (HEIGHT_AT, frame.height)] {
            if let Some(target) = prefix.get_mut(target..target + 4) {
                target.copy_from_slice(&value.to_be_bytes());
            }
        }
        // tRNS is left out: the pixels of this frame are not used, and alpha does not affect
        // decoding.
        prefix.extend_from_slice(self.palette);
        let length = u32::try_from(frame.length).unwrap_or(u32::MAX);
        prefix.extend_from_slice(&length.to_be_bytes());
        prefix.extend_from_slice(b"IDAT");
        prefix
    }
}

/// Reads the chunk at byte `offset`. Returns `None` if the file ends before the chunk does.
///
/// # Errors
/// [`Error::Damaged`] if the length is above 2³¹ − 1 or the type is not four ASCII letters.
fn next(bytes: &[u8], offset: usize) -> Result<Option<PngChunk<'_>>, Error> {
    let (Some(length), Some(kind)) = (bytes.be32(offset), bytes.array::<4>(offset + 4)) else {
        return Ok(None);
    };
    if length > MAX_LENGTH || !kind.iter().all(u8::is_ascii_alphabetic) {
        return Err(Error::damaged_at(offset, "there is no valid chunk header"));
    }
    let Ok(length) = usize::try_from(length) else {
        return Ok(None);
    };
    Ok(bytes
        .slice_at(offset, length.saturating_add(12))
        .and_then(|raw| {
            Some(PngChunk {
                kind,
                content: raw.slice_at(8, length)?,
                raw,
                offset,
            })
        }))
}

/// A frame of an animation that is not the default image.
pub(super) struct ApngFrame {
    pub(super) width: u32,
    pub(super) height: u32,
    /// Byte position of its first fdAT chunk.
    pub(super) offset: usize,
    /// Bytes of image data in all its fdAT chunks, without sequence numbers.
    pub(super) length: usize,
}

impl ApngFrame {
    /// Returns width × height.
    pub(super) fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// State while the chunks of an animation are parsed (section 11.3.6).
#[derive(Default)]
struct Animation {
    /// Sequence number that the next fcTL or fdAT chunk must have.
    sequence: u32,
    frames: Vec<ApngFrame>,
}

impl Animation {
    /// Adds an acTL, fcTL or fdAT chunk.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the chunk is too short or out of sequence, or if its frame extends
    /// beyond the canvas. [`Error::TooComplex`] above `policy.max_frames`.
    fn take(
        &mut self,
        chunk: &PngChunk<'_>,
        canvas: (u32, u32),
        policy: &Policy,
    ) -> Result<(), Error> {
        // acTL states only the numbers of frames and loops. The real frames are counted instead.
        if &chunk.kind == b"acTL" {
            return Ok(());
        }
        let misplaced = Error::damaged_at(
            chunk.offset,
            "an animation chunk is out of sequence or too short",
        );
        if chunk.content.be32(0) != Some(self.sequence) {
            return Err(misplaced);
        }
        self.sequence = self.sequence.saturating_add(1);
        if &chunk.kind == b"fcTL" {
            // Sequence number, width, height, x and y, in 4 bytes each (section 11.3.6.2).
            let number = |offset| chunk.content.be32(offset);
            let (Some(width), Some(height), Some(x), Some(y)) =
                (number(4), number(8), number(12), number(16))
            else {
                return Err(misplaced);
            };
            if x.saturating_add(width) > canvas.0 || y.saturating_add(height) > canvas.1 {
                return Err(Error::damaged_at(
                    chunk.offset,
                    "a frame extends beyond the canvas",
                ));
            }
            self.frames.push(ApngFrame {
                width,
                height,
                offset: 0,
                length: 0,
            });
            let count = self.frames.len() as u64;
            return Error::check_limit(Complexity::Frames, count, policy.max_frames.into());
        }
        let frame = self.frames.last_mut().ok_or(misplaced)?;
        if frame.length == 0 {
            frame.offset = chunk.offset;
        }
        // fdAT starts with a sequence number of 4 bytes (section 11.3.6.3).
        frame.length += chunk.content.len().saturating_sub(4);
        Ok(())
    }

    /// Returns the frames to verify, after all chunks are parsed.
    ///
    /// # Errors
    /// [`Error::Damaged`] if a frame has no fdAT data, [`Error::TooComplex`] if all frames together
    /// have more than `policy.max_work` pixels.
    fn finish(self, policy: &Policy) -> Result<Vec<ApngFrame>, Error> {
        let mut frames = self.frames;
        // If the first fcTL chunk precedes IDAT, the default image is the first frame (section
        // 4.9). Its data is in IDAT, so it has no fdAT chunks, and it is decoded as the default
        // image.
        if frames.first().is_some_and(|first| first.length == 0) {
            frames.remove(0);
        }
        if frames.iter().any(|frame| frame.length == 0) {
            return Err(Error::damaged("a frame has no image data"));
        }
        let work = frames.iter().map(ApngFrame::pixels);
        let work = work.fold(0, u64::saturating_add);
        Error::check_limit(Complexity::FramePixels, work, policy.max_work)?;
        Ok(frames)
    }
}

/// Reads the image data of one frame from its fdAT chunks.
pub(super) struct FdatReader<'a> {
    file: &'a [u8],
    /// Byte position of the next chunk.
    offset: usize,
    /// Unread data of the current chunk.
    rest: &'a [u8],
    /// Unread bytes in all chunks of the frame.
    remaining: usize,
}

impl<'a> FdatReader<'a> {
    pub(super) fn new(file: &'a [u8], frame: &ApngFrame) -> Self {
        Self {
            file,
            offset: frame.offset,
            rest: &[],
            remaining: frame.length,
        }
    }
}

impl Read for FdatReader<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(target)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for FdatReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.rest.is_empty() && self.remaining > 0 {
            // Cannot fail: `PngChunks::read` has parsed the same chunks.
            let Ok(Some(chunk)) = next(self.file, self.offset) else {
                return Ok(&[]);
            };
            self.offset += chunk.raw.len();
            if &chunk.kind == b"fdAT" {
                self.rest = chunk.content.get(4..).unwrap_or_default();
            }
        }
        Ok(self.rest)
    }

    fn consume(&mut self, amount: usize) {
        self.rest = self.rest.get(amount..).unwrap_or_default();
        self.remaining = self.remaining.saturating_sub(amount);
    }
}

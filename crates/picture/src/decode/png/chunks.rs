//! The chunks of a PNG (section 5), walked once before the codec sees any.

use std::io::{self, BufRead, Read};

use crate::bytes::Bytes;
use crate::error::{Complexity, Error};
use crate::policy::Policy;

use super::chained_slices::ChainedSlices;
use super::colour_chunks::ColourChunks;

/// Length of the signature in front of the first chunk (section 5.2).
pub(super) const SIGNATURE_LENGTH: usize = 8;
/// Largest length of a chunk (section 5.3).
const MAX_LENGTH: u32 = 0x7FFF_FFFF;

/// Where IHDR, the first chunk, states the size (section 11.2.1).
const WIDTH_AT: usize = SIGNATURE_LENGTH + 8;
const HEIGHT_AT: usize = WIDTH_AT + 4;

/// A chunk with its length, type and checksum.
#[derive(Clone, Copy)]
struct PngChunk<'a> {
    kind: [u8; 4],
    content: &'a [u8],
    /// All of it, as it stands in the file.
    raw: &'a [u8],
    offset: usize,
}

impl PngChunk<'_> {
    /// Whether the checksum over type and content is right (section 5.5).
    fn crc_matches(&self) -> bool {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.kind);
        crc.update(self.content);
        self.raw.be32(8 + self.content.len()) == Some(crc.finalize())
    }

    /// Whether a decoder must understand it (section 5.4: the fifth bit of the first letter).
    fn is_critical(&self) -> bool {
        self.kind[0].is_ascii_uppercase()
    }
}

/// What of the chunks matters here.
#[derive(Default)]
pub(super) struct PngChunks<'a> {
    /// The pieces of a plain PNG: signature and IHDR, palette, transparency, picture data, end.
    header: &'a [u8],
    palette: &'a [u8],
    transparency: &'a [u8],
    data: &'a [u8],
    end: &'a [u8],
    /// Of an animation, those that are not the default picture.
    pub(super) frames: Vec<ApngFrame>,
    pub(super) exif: Option<&'a [u8]>,
    pub(super) colour: ColourChunks<'a>,
    /// Whether the file ends before its IEND chunk does.
    pub(super) is_truncated: bool,
}

impl<'a> PngChunks<'a> {
    pub(super) fn read(bytes: &'a [u8], policy: &Policy) -> Result<Self, Error> {
        let mut chunks = Self::default();
        let mut animation = Animation::default();
        let mut offset = SIGNATURE_LENGTH;
        let mut data = None;
        loop {
            let Some(chunk) = next(bytes, offset)? else {
                chunks.is_truncated = true;
                // The codec tells how many rows a last, cut chunk of picture data yields.
                if bytes.array(offset + 4) == Some(*b"IDAT") {
                    data.get_or_insert(offset..offset).end = bytes.len();
                }
                break;
            };
            // The codec checks those of the picture data.
            let crc_matches = &chunk.kind == b"IDAT" || chunk.crc_matches();
            if !crc_matches
                && (chunk.is_critical() || matches!(&chunk.kind, b"acTL" | b"fcTL" | b"fdAT"))
            {
                return Err(Error::damaged_at(offset, "the checksum of a chunk"));
            }
            let range = offset..offset + chunk.raw.len();
            offset = range.end;
            match &chunk.kind {
                b"IHDR" => chunks.header = bytes.get(..offset).unwrap_or_default(),
                b"PLTE" => chunks.palette = chunk.raw,
                b"IDAT" => {
                    let data = data.get_or_insert(range.start..range.start);
                    if data.end != range.start {
                        return Err(Error::damaged_at(
                            chunk.offset,
                            "picture data in two places",
                        ));
                    }
                    data.end = range.end;
                }
                b"IEND" => {
                    chunks.end = chunk.raw;
                    break;
                }
                b"tRNS" if crc_matches && data.is_none() => chunks.transparency = chunk.raw,
                b"eXIf" if crc_matches => chunks.exif = Some(chunk.content),
                _ if crc_matches
                    && data.is_none()
                    && chunks.colour.take(chunk.kind, chunk.content) => {}
                b"acTL" | b"fcTL" | b"fdAT" => animation.take(&chunk, chunks.size(), policy)?,
                _ if chunk.is_critical() => {
                    return Err(Error::damaged_at(
                        chunk.offset,
                        "a critical chunk that PNG does not have",
                    ));
                }
                _ => {}
            }
        }
        chunks.frames = animation.finish(policy)?;
        chunks.data = data.and_then(|data| bytes.get(data)).unwrap_or_default();
        match chunks.data {
            [] if chunks.is_truncated => Err(Error::truncated(0, 1)),
            [] => Err(Error::damaged("no picture data")),
            _ => Ok(chunks),
        }
    }

    fn size(&self) -> (u32, u32) {
        let number = |offset| self.header.be32(offset).unwrap_or_default();
        (number(WIDTH_AT), number(HEIGHT_AT))
    }

    /// The default picture as a plain PNG: no other chunk reaches the codec.
    pub(super) fn picture(&self) -> ChainedSlices<'a> {
        ChainedSlices::new([
            self.header,
            self.palette,
            self.transparency,
            self.data,
            self.end,
        ])
    }

    /// What stands before the picture data of a frame, as a PNG of its own whose only checksums are
    /// those of the chunks that the file has.
    pub(super) fn frame_prefix(&self, frame: &ApngFrame) -> Vec<u8> {
        let mut prefix = self.header.to_vec();
        for (target, value) in [(WIDTH_AT, frame.width), (HEIGHT_AT, frame.height)] {
            if let Some(target) = prefix.get_mut(target..target + 4) {
                target.copy_from_slice(&value.to_be_bytes());
            }
        }
        prefix.extend_from_slice(self.palette);
        let length = u32::try_from(frame.length).unwrap_or(u32::MAX);
        prefix.extend_from_slice(&length.to_be_bytes());
        prefix.extend_from_slice(b"IDAT");
        prefix
    }
}

/// The chunk at a byte; `None` when the file ends before it does.
fn next(bytes: &[u8], offset: usize) -> Result<Option<PngChunk<'_>>, Error> {
    let (Some(length), Some(kind)) = (bytes.be32(offset), bytes.array::<4>(offset + 4)) else {
        return Ok(None);
    };
    if length > MAX_LENGTH || !kind.iter().all(u8::is_ascii_alphabetic) {
        return Err(Error::damaged_at(offset, "no chunk where one must be"));
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

/// A frame of an animation besides the default picture.
pub(super) struct ApngFrame {
    pub(super) width: u32,
    pub(super) height: u32,
    /// Byte at which the first of its fdAT chunks begins.
    pub(super) offset: usize,
    /// Bytes of picture data in all of its chunks.
    pub(super) length: usize,
}

impl ApngFrame {
    pub(super) fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// The chunks of an animation (section 11.3.6), in their order.
#[derive(Default)]
struct Animation {
    sequence: u32,
    frames: Vec<ApngFrame>,
}

impl Animation {
    fn take(
        &mut self,
        chunk: &PngChunk<'_>,
        canvas: (u32, u32),
        policy: &Policy,
    ) -> Result<(), Error> {
        if &chunk.kind == b"acTL" {
            return Ok(());
        }
        let misplaced = Error::damaged_at(chunk.offset, "a frame out of order");
        if chunk.content.be32(0) != Some(self.sequence) {
            return Err(misplaced);
        }
        self.sequence = self.sequence.saturating_add(1);
        if &chunk.kind == b"fcTL" {
            let number = |offset| chunk.content.be32(offset);
            let (Some(width), Some(height), Some(x), Some(y)) =
                (number(4), number(8), number(12), number(16))
            else {
                return Err(misplaced);
            };
            if x.saturating_add(width) > canvas.0 || y.saturating_add(height) > canvas.1 {
                return Err(Error::damaged_at(
                    chunk.offset,
                    "a frame outside the canvas",
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
        frame.length += chunk.content.len().saturating_sub(4);
        Ok(())
    }

    /// Those to decode, once all is read: the frame of the first control chunk may be the default
    /// picture.
    fn finish(self, policy: &Policy) -> Result<Vec<ApngFrame>, Error> {
        let mut frames = self.frames;
        if frames.first().is_some_and(|first| first.length == 0) {
            frames.remove(0);
        }
        if frames.iter().any(|frame| frame.length == 0) {
            return Err(Error::damaged("a frame without picture data"));
        }
        let work = frames.iter().map(ApngFrame::pixels);
        let work = work.fold(0, u64::saturating_add);
        Error::check_limit(Complexity::FramePixels, work, policy.max_work)?;
        Ok(frames)
    }
}

/// The picture data of a frame, from one chunk to the next.
pub(super) struct FdatReader<'a> {
    file: &'a [u8],
    offset: usize,
    rest: &'a [u8],
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

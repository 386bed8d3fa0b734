//! The chunks of a PNG (section 5), walked once before the codec sees any.

use std::io::{self, BufRead, Read};

use crate::bytes::Bytes;
use crate::{Complexity, Error, Policy};

use super::SIGNATURE_LENGTH;
use super::pieces::Pieces;
use super::space::ColourChunks;

/// Largest length of a chunk (section 5.3).
const MAX_LENGTH: u32 = 0x7FFF_FFFF;

/// Where IHDR, the first chunk, states the size (section 11.2.1).
const WIDTH_AT: usize = SIGNATURE_LENGTH + 8;
const HEIGHT_AT: usize = WIDTH_AT + 4;

/// A chunk with its length, type and checksum.
#[derive(Clone, Copy)]
struct Chunk<'a> {
    kind: [u8; 4],
    content: &'a [u8],
    /// All of it, as it stands in the file.
    whole: &'a [u8],
    at: usize,
}

impl Chunk<'_> {
    /// Whether the checksum over type and content is right (section 5.5).
    fn is_sound(&self) -> bool {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.kind);
        crc.update(self.content);
        self.whole.be32(8 + self.content.len()) == Some(crc.finalize())
    }

    /// Whether a decoder must understand it (section 5.4: the fifth bit of the first letter).
    fn is_critical(&self) -> bool {
        self.kind[0].is_ascii_uppercase()
    }
}

/// What of the chunks matters here.
#[derive(Default)]
pub(super) struct Chunks<'a> {
    /// The pieces of a plain PNG: signature and IHDR, palette, transparency, picture data, end.
    header: &'a [u8],
    palette: &'a [u8],
    transparency: &'a [u8],
    data: &'a [u8],
    end: &'a [u8],
    /// Of an animation, those that are not the default picture.
    pub(super) frames: Vec<Frame>,
    pub(super) exif: Option<&'a [u8]>,
    pub(super) colour: ColourChunks<'a>,
    /// Whether the file ends before its IEND chunk does.
    pub(super) cut: bool,
}

impl<'a> Chunks<'a> {
    pub(super) fn read(bytes: &'a [u8], policy: &Policy) -> Result<Self, Error> {
        let mut chunks = Self::default();
        let mut animation = Animation::default();
        let mut at = SIGNATURE_LENGTH;
        let mut data = None;
        loop {
            let Some(chunk) = next(bytes, at)? else {
                chunks.cut = true;
                // The codec tells how many rows a last, cut chunk of picture data yields.
                if bytes.array(at + 4) == Some(*b"IDAT") {
                    data.get_or_insert(at..at).end = bytes.len();
                }
                break;
            };
            // The codec checks those of the picture data.
            let sound = &chunk.kind == b"IDAT" || chunk.is_sound();
            if !sound && (chunk.is_critical() || matches!(&chunk.kind, b"acTL" | b"fcTL" | b"fdAT"))
            {
                return Err(Error::damaged_at(at, "the checksum of a chunk"));
            }
            let whole = at..at + chunk.whole.len();
            at = whole.end;
            match &chunk.kind {
                b"IHDR" => chunks.header = bytes.get(..at).unwrap_or_default(),
                b"PLTE" => chunks.palette = chunk.whole,
                b"IDAT" => {
                    let data = data.get_or_insert(whole.start..whole.start);
                    if data.end != whole.start {
                        return Err(Error::damaged_at(chunk.at, "picture data in two places"));
                    }
                    data.end = whole.end;
                }
                b"IEND" => {
                    chunks.end = chunk.whole;
                    break;
                }
                b"tRNS" if sound && data.is_none() => chunks.transparency = chunk.whole,
                b"eXIf" if sound => chunks.exif = Some(chunk.content),
                _ if sound && data.is_none() && chunks.colour.take(chunk.kind, chunk.content) => {}
                b"acTL" | b"fcTL" | b"fdAT" => animation.take(&chunk, chunks.size(), policy)?,
                _ if chunk.is_critical() => {
                    return Err(Error::damaged_at(
                        chunk.at,
                        "a critical chunk that PNG does not have",
                    ));
                }
                _ => {}
            }
        }
        chunks.frames = animation.finish(policy)?;
        chunks.data = data.and_then(|data| bytes.get(data)).unwrap_or_default();
        match chunks.data {
            [] if chunks.cut => Err(Error::cut(0, 1)),
            [] => Err(Error::damaged("no picture data")),
            _ => Ok(chunks),
        }
    }

    fn size(&self) -> (u32, u32) {
        let number = |at| self.header.be32(at).unwrap_or_default();
        (number(WIDTH_AT), number(HEIGHT_AT))
    }

    /// The default picture as a plain PNG: no other chunk reaches the codec.
    pub(super) fn picture(&self) -> Pieces<'a> {
        Pieces::new([
            self.header,
            self.palette,
            self.transparency,
            self.data,
            self.end,
        ])
    }

    /// What stands before the picture data of a frame, as a PNG of its own whose only checksums are
    /// those of the chunks that the file has.
    pub(super) fn front(&self, frame: &Frame) -> Vec<u8> {
        let mut front = self.header.to_vec();
        for (target, value) in [(WIDTH_AT, frame.width), (HEIGHT_AT, frame.height)] {
            if let Some(target) = front.get_mut(target..target + 4) {
                target.copy_from_slice(&value.to_be_bytes());
            }
        }
        front.extend_from_slice(self.palette);
        let length = u32::try_from(frame.length).unwrap_or(u32::MAX);
        front.extend_from_slice(&length.to_be_bytes());
        front.extend_from_slice(b"IDAT");
        front
    }
}

/// The chunk at a byte; `None` when the file ends before it does.
fn next(bytes: &[u8], at: usize) -> Result<Option<Chunk<'_>>, Error> {
    let (Some(length), Some(kind)) = (bytes.be32(at), bytes.array::<4>(at + 4)) else {
        return Ok(None);
    };
    if length > MAX_LENGTH || !kind.iter().all(u8::is_ascii_alphabetic) {
        return Err(Error::damaged_at(at, "no chunk where one must be"));
    }
    let Ok(length) = usize::try_from(length) else {
        return Ok(None);
    };
    Ok(bytes.part(at, length.saturating_add(12)).and_then(|whole| {
        Some(Chunk {
            kind,
            content: whole.part(8, length)?,
            whole,
            at,
        })
    }))
}

/// A frame of an animation besides the default picture.
pub(super) struct Frame {
    pub(super) width: u32,
    pub(super) height: u32,
    /// Byte at which the first of its fdAT chunks begins.
    pub(super) at: usize,
    /// Bytes of picture data in all of its chunks.
    pub(super) length: usize,
}

impl Frame {
    pub(super) fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// The chunks of an animation (section 11.3.6), in their order.
#[derive(Default)]
struct Animation {
    sequence: u32,
    frames: Vec<Frame>,
}

impl Animation {
    fn take(
        &mut self,
        chunk: &Chunk<'_>,
        canvas: (u32, u32),
        policy: &Policy,
    ) -> Result<(), Error> {
        if &chunk.kind == b"acTL" {
            return Ok(());
        }
        let misplaced = Error::damaged_at(chunk.at, "a frame out of order");
        if chunk.content.be32(0) != Some(self.sequence) {
            return Err(misplaced);
        }
        self.sequence = self.sequence.saturating_add(1);
        if &chunk.kind == b"fcTL" {
            let number = |at| chunk.content.be32(at);
            let (Some(width), Some(height), Some(x), Some(y)) =
                (number(4), number(8), number(12), number(16))
            else {
                return Err(misplaced);
            };
            if x.saturating_add(width) > canvas.0 || y.saturating_add(height) > canvas.1 {
                return Err(Error::damaged_at(chunk.at, "a frame outside the canvas"));
            }
            self.frames.push(Frame {
                width,
                height,
                at: 0,
                length: 0,
            });
            let count = self.frames.len() as u64;
            return Error::complexity(Complexity::Frames, count, policy.max_frames.into());
        }
        let frame = self.frames.last_mut().ok_or(misplaced)?;
        if frame.length == 0 {
            frame.at = chunk.at;
        }
        frame.length += chunk.content.len().saturating_sub(4);
        Ok(())
    }

    /// Those to decode, once all is read: the frame of the first control chunk may be the default
    /// picture.
    fn finish(self, policy: &Policy) -> Result<Vec<Frame>, Error> {
        let mut frames = self.frames;
        if frames.first().is_some_and(|first| first.length == 0) {
            frames.remove(0);
        }
        if frames.iter().any(|frame| frame.length == 0) {
            return Err(Error::damaged("a frame without picture data"));
        }
        let work = frames.iter().map(Frame::pixels);
        let work = work.fold(0, u64::saturating_add);
        Error::complexity(Complexity::FramePixels, work, policy.max_work)?;
        Ok(frames)
    }
}

/// The picture data of a frame, from one chunk to the next.
pub(super) struct FrameData<'a> {
    file: &'a [u8],
    at: usize,
    rest: &'a [u8],
    left: usize,
}

impl<'a> FrameData<'a> {
    pub(super) fn new(file: &'a [u8], frame: &Frame) -> Self {
        Self {
            file,
            at: frame.at,
            rest: &[],
            left: frame.length,
        }
    }
}

impl Read for FrameData<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(target)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for FrameData<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.rest.is_empty() && self.left > 0 {
            let Ok(Some(chunk)) = next(self.file, self.at) else {
                return Ok(&[]);
            };
            self.at += chunk.whole.len();
            if &chunk.kind == b"fdAT" {
                self.rest = chunk.content.get(4..).unwrap_or_default();
            }
        }
        Ok(self.rest)
    }

    fn consume(&mut self, amount: usize) {
        self.rest = self.rest.get(amount..).unwrap_or_default();
        self.left = self.left.saturating_sub(amount);
    }
}

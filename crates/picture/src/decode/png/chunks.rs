//! The chunks of a PNG (section 5), walked once before the codec sees any.

use crate::bytes::Bytes;
use crate::{Error, Policy};

use super::SIGNATURE_LENGTH;
use super::pieces::Pieces;
use super::space::ColourChunks;

/// Largest length of a chunk (section 5.3).
const MAX_LENGTH: u32 = 0x7FFF_FFFF;

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
                b"acTL" | b"fcTL" | b"fdAT" => animation.take(&chunk, policy)?,
                _ if chunk.is_critical() => {
                    return Err(Error::damaged_at(
                        chunk.at,
                        "a critical chunk that PNG does not have",
                    ));
                }
                _ => {}
            }
        }
        chunks.data = data.and_then(|data| bytes.get(data)).unwrap_or_default();
        match chunks.data {
            [] if chunks.cut => Err(Error::cut(0, 1)),
            [] => Err(Error::damaged("no picture data")),
            _ => Ok(chunks),
        }
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

/// The order of an animation's chunks (section 11.3.6). Their pixels are not decoded: the
/// checksums tell that they are there as they were written.
#[derive(Default)]
struct Animation {
    frames: u32,
    sequence: u32,
}

impl Animation {
    fn take(&mut self, chunk: &Chunk<'_>, policy: &Policy) -> Result<(), Error> {
        if &chunk.kind == b"acTL" {
            return Ok(());
        }
        if chunk.content.be32(0) != Some(self.sequence) {
            return Err(Error::damaged_at(chunk.at, "a frame out of order"));
        }
        self.sequence = self.sequence.saturating_add(1);
        if &chunk.kind == b"fcTL" {
            self.frames = self.frames.saturating_add(1);
            Error::complexity("frames", self.frames.into(), policy.max_frames.into())?;
        }
        Ok(())
    }
}

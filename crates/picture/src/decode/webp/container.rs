//! The RIFF container of a WebP (RFC 9649, section 2).

use std::borrow::Cow;

use crate::bytes::Bytes;
use crate::error::{Complexity, Error};
use crate::policy::Policy;

/// Bytes before the first chunk: "RIFF", size, "WEBP".
const RIFF_HEADER: usize = 12;
/// Flag of a VP8X chunk (section 2.7.1).
const ANIMATION_FLAG: u8 = 0x02;

/// What of a container matters here.
pub(super) struct Container<'a> {
    pub(super) canvas: (u32, u32),
    /// One for a still picture.
    pub(super) frames: Vec<WebPFrame<'a>>,
    pub(super) exif: Option<&'a [u8]>,
    pub(super) profile: Option<&'a [u8]>,
}

/// One bitstream and its place on the canvas.
pub(super) struct WebPFrame<'a> {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) has_alpha: bool,
    pub(super) is_lossy: bool,
    /// An ALPH chunk, with its header and padding.
    alpha: Option<&'a [u8]>,
    /// The content of a VP8 or VP8L chunk.
    bitstream: &'a [u8],
}

impl<'a> WebPFrame<'a> {
    /// What libwebp takes for this frame: the bare bitstream, or a file where there is alpha in
    /// a chunk of its own.
    pub(super) fn file(&self) -> Cow<'a, [u8]> {
        let Some(alpha) = self.alpha else {
            return Cow::Borrowed(self.bitstream);
        };
        let header = extended_header(self.width, self.height);
        let picture = chunk_header(*b"VP8 ", self.bitstream.len());
        let padding: &[u8] = if self.bitstream.len() % 2 == 1 {
            &[0]
        } else {
            &[]
        };
        let body = [
            b"WEBP",
            header.as_slice(),
            alpha,
            &picture,
            self.bitstream,
            padding,
        ]
        .concat();
        Cow::Owned([chunk_header(*b"RIFF", body.len()).as_slice(), &body].concat())
    }
}

fn chunk_header([a, b, c, d]: [u8; 4], length: usize) -> [u8; 8] {
    let [e, f, g, h] = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    [a, b, c, d, e, f, g, h]
}

/// A VP8X chunk that announces alpha.
fn extended_header(width: u32, height: u32) -> [u8; 18] {
    let mut chunk = *b"VP8X\x0A\0\0\0\x10\0\0\0\0\0\0\0\0\0";
    chunk[12..15].copy_from_slice(&(width - 1).to_le_bytes()[..3]);
    chunk[15..18].copy_from_slice(&(height - 1).to_le_bytes()[..3]);
    chunk
}

/// The size of the canvas, from the first chunk.
pub(super) fn dimensions(bytes: &[u8]) -> Result<(u32, u32), Error> {
    let first = chunk(bytes, RIFF_HEADER)?;
    match &first.kind {
        b"VP8X" => first.canvas(),
        _ => first
            .bitstream()
            .map(|bitstream| (bitstream.width, bitstream.height)),
    }
}

/// Bytes that decoding holds a pixel: none for a lossy picture, which is scaled row by row; for a
/// lossless one libwebp's frame (4) and entropy image (1); at worst the planes of alpha (2) and a
/// frame of ours (4) besides.
pub(super) fn pixel_bytes(bytes: &[u8]) -> u64 {
    const WORST: u64 = 11;
    let mut offset = RIFF_HEADER;
    while let Ok(next) = chunk(bytes, offset) {
        match &next.kind {
            b"VP8 " => return 0,
            b"VP8L" => return 5,
            b"ALPH" | b"ANMF" => return WORST,
            _ => offset = next.end,
        }
    }
    WORST
}

impl<'a> Container<'a> {
    pub(super) fn read(bytes: &'a [u8], policy: &Policy) -> Result<Self, Error> {
        let riff_size = bytes.le32(4).ok_or(Error::TRUNCATED)?;
        let end = usize::try_from(riff_size)
            .unwrap_or(usize::MAX)
            .saturating_add(8);
        if end > bytes.len() {
            return Err(Error::truncated(bytes.len() as u64, end as u64));
        }
        let bytes = bytes.get(..end).unwrap_or_default();
        let first = chunk(bytes, RIFF_HEADER)?;
        if &first.kind != b"VP8X" {
            let frame = first.bitstream()?.frame((0, 0), None, first.content);
            let canvas = (frame.width, frame.height);
            return Ok(Self {
                canvas,
                frames: vec![frame],
                exif: None,
                profile: None,
            });
        }
        let canvas = first.canvas()?;
        let flags = first.content.byte(0).ok_or(Error::TRUNCATED)?;
        let mut container = Self {
            canvas,
            frames: Vec::new(),
            exif: None,
            profile: None,
        };
        let animated = flags & ANIMATION_FLAG != 0;
        let mut image = ImageChunks::default();
        let mut offset = first.end;
        while offset < bytes.len() {
            let chunk = chunk(bytes, offset)?;
            offset = chunk.end;
            match &chunk.kind {
                b"ANMF" if animated => {
                    container.frames.push(read_frame(&chunk, canvas)?);
                    Error::check_limit(
                        Complexity::Frames,
                        container.frames.len() as u64,
                        policy.max_frames.into(),
                    )?;
                }
                b"ICCP" if container.profile.is_none() => container.profile = Some(chunk.content),
                b"EXIF" if container.exif.is_none() => container.exif = Some(chunk.content),
                _ if !animated => image.take(&chunk)?,
                _ => {}
            }
        }
        if !animated {
            let frame = image
                .frame((0, 0))
                .ok_or(Error::damaged("no picture data"))?;
            if (frame.width, frame.height) != canvas {
                return Err(Error::damaged("two sizes"));
            }
            container.frames.push(frame);
        }
        Ok(container)
    }
}

/// The chunks of a still picture, or of one frame.
#[derive(Default)]
struct ImageChunks<'a> {
    alpha: Option<&'a [u8]>,
    picture: Option<(Bitstream, &'a [u8])>,
}

impl<'a> ImageChunks<'a> {
    fn take(&mut self, chunk: &RiffChunk<'a>) -> Result<(), Error> {
        match &chunk.kind {
            b"ALPH" if self.alpha.is_none() => self.alpha = Some(chunk.raw),
            b"VP8 " | b"VP8L" if self.picture.is_none() => {
                self.picture = Some((chunk.bitstream()?, chunk.content));
            }
            _ => {}
        }
        Ok(())
    }

    fn frame(self, position: (u32, u32)) -> Option<WebPFrame<'a>> {
        let (bitstream, content) = self.picture?;
        Some(bitstream.frame(position, self.alpha.filter(|_| bitstream.is_lossy), content))
    }
}

/// An ANMF chunk (section 2.7.1.1).
fn read_frame<'a>(chunk: &RiffChunk<'a>, canvas: (u32, u32)) -> Result<WebPFrame<'a>, Error> {
    let damaged = || Error::damaged_at(chunk.offset, "the frame header");
    let number = |offset| chunk.content.le24(offset).ok_or_else(damaged);
    let (x, y) = (number(0)? * 2, number(3)? * 2);
    let (width, height) = (number(6)? + 1, number(9)? + 1);
    if x + width > canvas.0 || y + height > canvas.1 {
        return Err(Error::damaged_at(
            chunk.offset,
            "a frame outside the canvas",
        ));
    }
    let mut image = ImageChunks::default();
    let mut offset = 16;
    while offset < chunk.content.len() {
        let inner = self::chunk(chunk.content, offset).map_err(|_| damaged())?;
        offset = inner.end;
        image.take(&inner)?;
    }
    let frame = image.frame((x, y)).ok_or_else(damaged)?;
    if (frame.width, frame.height) != (width, height) {
        return Err(damaged());
    }
    Ok(frame)
}

/// A chunk (section 2.3).
struct RiffChunk<'a> {
    kind: [u8; 4],
    content: &'a [u8],
    /// With its header and padding.
    raw: &'a [u8],
    offset: usize,
    end: usize,
}

fn chunk(bytes: &[u8], offset: usize) -> Result<RiffChunk<'_>, Error> {
    let (Some(kind), Some(length)) = (bytes.array(offset), bytes.le32(offset + 4)) else {
        return Err(Error::TRUNCATED);
    };
    let length = usize::try_from(length).map_err(|_| Error::TRUNCATED)?;
    let content = bytes.slice_at(offset + 8, length).ok_or(Error::TRUNCATED)?;
    // Writers forget the padding of the last chunk.
    let end = (offset + 8 + length + length % 2).min(bytes.len());
    Ok(RiffChunk {
        kind,
        content,
        raw: bytes.get(offset..end).unwrap_or_default(),
        offset,
        end,
    })
}

impl RiffChunk<'_> {
    /// The canvas of a VP8X chunk.
    fn canvas(&self) -> Result<(u32, u32), Error> {
        match (self.content.le24(4), self.content.le24(7)) {
            (Some(width), Some(height)) => Ok((width + 1, height + 1)),
            _ => Err(Error::damaged_at(self.offset, "the extended header")),
        }
    }

    /// The header of a VP8 (RFC 6386, section 9.1) or VP8L (RFC 9649, section 3.4) bitstream.
    fn bitstream(&self) -> Result<Bitstream, Error> {
        let damaged = Error::damaged_at(self.offset, "the bitstream's header");
        match &self.kind {
            b"VP8 " => match (
                self.content.array(3),
                self.content.le16(6),
                self.content.le16(8),
            ) {
                (Some([0x9D, 0x01, 0x2A]), Some(width), Some(height)) => Ok(Bitstream {
                    width: u32::from(width & 0x3FFF),
                    height: u32::from(height & 0x3FFF),
                    has_alpha: false,
                    is_lossy: true,
                }),
                _ => Err(damaged),
            },
            b"VP8L" => match (self.content.byte(0), self.content.le32(1)) {
                (Some(0x2F), Some(bits)) => Ok(Bitstream {
                    width: (bits & 0x3FFF) + 1,
                    height: (bits >> 14 & 0x3FFF) + 1,
                    has_alpha: bits >> 28 & 1 == 1,
                    is_lossy: false,
                }),
                _ => Err(damaged),
            },
            _ => Err(Error::damaged_at(
                self.offset,
                "no picture where one must be",
            )),
        }
    }
}

#[derive(Clone, Copy)]
struct Bitstream {
    width: u32,
    height: u32,
    has_alpha: bool,
    is_lossy: bool,
}

impl Bitstream {
    fn frame<'a>(
        self,
        (x, y): (u32, u32),
        alpha: Option<&'a [u8]>,
        bitstream: &'a [u8],
    ) -> WebPFrame<'a> {
        WebPFrame {
            x,
            y,
            width: self.width,
            height: self.height,
            has_alpha: self.has_alpha || alpha.is_some(),
            is_lossy: self.is_lossy,
            alpha,
            bitstream,
        }
    }
}

//! RIFF container of a WebP (RFC 9649, section 2).

use std::borrow::Cow;

use crate::bytes::Bytes;
use crate::error::{Complexity, Error};
use crate::policy::Policy;

/// Length in bytes of the file header: "RIFF", a size of 4 bytes, "WEBP" (section 2.4).
const RIFF_HEADER: usize = 12;
/// Animation flag of a VP8X chunk (section 2.7).
const ANIMATION_FLAG: u8 = 0x02;

/// The parts of a container that the decoder uses.
pub(super) struct Container<'a> {
    /// Width and height in pixels.
    pub(super) canvas: (u32, u32),
    /// Frames of an animation, or the one frame of a still picture.
    pub(super) frames: Vec<WebPFrame<'a>>,
    /// Data of the EXIF chunk.
    pub(super) exif: Option<&'a [u8]>,
    /// Data of the ICCP chunk.
    pub(super) profile: Option<&'a [u8]>,
}

/// A bitstream and its position on the canvas, in pixels.
pub(super) struct WebPFrame<'a> {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) has_alpha: bool,
    pub(super) is_lossy: bool,
    /// ALPH chunk, with its header and padding.
    alpha: Option<&'a [u8]>,
    /// Data of the VP8 or VP8L chunk.
    bitstream: &'a [u8],
}

impl<'a> WebPFrame<'a> {
    /// Returns the input for libwebp: the bare bitstream, or a complete file if the frame has an
    /// ALPH chunk.
    pub(super) fn file(&self) -> Cow<'a, [u8]> {
        let Some(alpha) = self.alpha else {
            return Cow::Borrowed(self.bitstream);
        };
        // In a RIFF file libwebp reads an ALPH chunk only after a VP8X chunk.
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

/// Returns the type and the length of a chunk, as stored.
fn chunk_header([a, b, c, d]: [u8; 4], length: usize) -> [u8; 8] {
    let [e, f, g, h] = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    [a, b, c, d, e, f, g, h]
}

/// Returns a VP8X chunk with the alpha flag (section 2.7) for a picture of the given size.
fn extended_header(width: u32, height: u32) -> [u8; 18] {
    // Length 10, flags 0x10 (alpha), 3 reserved bytes, then width − 1 and height − 1 in 3 bytes
    // each.
    let mut chunk = *b"VP8X\x0A\0\0\0\x10\0\0\0\0\0\0\0\0\0";
    chunk[12..15].copy_from_slice(&(width - 1).to_le_bytes()[..3]);
    chunk[15..18].copy_from_slice(&(height - 1).to_le_bytes()[..3]);
    chunk
}

/// Reads the size of the canvas in pixels from the first chunk.
///
/// # Errors
/// [`Error::Truncated`] if the first chunk is incomplete. [`Error::Damaged`] if it is not VP8X, VP8
/// or VP8L, or its header is invalid.
pub(super) fn dimensions(bytes: &[u8]) -> Result<(u32, u32), Error> {
    let first = chunk(bytes, RIFF_HEADER)?;
    match &first.kind {
        b"VP8X" => first.canvas(),
        _ => first
            .bitstream()
            .map(|bitstream| (bitstream.width, bitstream.height)),
    }
}

/// Returns the bytes per pixel that decoding holds.
///
/// It is 0 for a lossy picture, which libwebp scales row by row. A lossless picture needs libwebp's
/// frame (4) and entropy image (1). With alpha or animation the worst case adds the alpha planes
/// (2) and this crate's frame (4).
pub(super) fn pixel_bytes(bytes: &[u8]) -> u64 {
    const WORST: u64 = 11;
    // The first chunk with image data decides. If the file ends before one, the worst case counts.
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
    /// Parses all chunks up to the size in the file header. Data after it is ignored.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the file is shorter than its header states or a chunk is incomplete.
    /// [`Error::Damaged`] if the image data is missing, a header is invalid, sizes differ, or a
    /// frame extends beyond the canvas. [`Error::TooComplex`] above `policy.max_frames`.
    pub(super) fn read(bytes: &'a [u8], policy: &Policy) -> Result<Self, Error> {
        let riff_size = bytes.le32(4).ok_or(Error::TRUNCATED)?;
        let end = usize::try_from(riff_size)
            .unwrap_or(usize::MAX)
            .saturating_add(8);
        // The size in the header does not count "RIFF" and itself: 8 bytes.
        if end > bytes.len() {
            return Err(Error::truncated(bytes.len() as u64, end as u64));
        }
        let bytes = bytes.get(..end).unwrap_or_default();
        let first = chunk(bytes, RIFF_HEADER)?;
        // Without VP8X the file has only one chunk of image data (sections 2.5 and 2.6).
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
                .ok_or(Error::damaged("the VP8 or VP8L chunk is missing"))?;
            // The pixel limit was checked with the canvas, so the bitstream must not be larger.
            if (frame.width, frame.height) != canvas {
                return Err(Error::damaged(
                    "the bitstream and the VP8X chunk state different sizes",
                ));
            }
            container.frames.push(frame);
        }
        Ok(container)
    }
}

/// The image chunks of a still picture or of one frame of an animation.
#[derive(Default)]
struct ImageChunks<'a> {
    /// ALPH chunk, with its header and padding.
    alpha: Option<&'a [u8]>,
    /// Parsed header and data of the VP8 or VP8L chunk.
    picture: Option<(Bitstream, &'a [u8])>,
}

impl<'a> ImageChunks<'a> {
    /// Stores an image chunk. Ignores other chunks, and image chunks after the first of their kind.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the header of the bitstream is invalid.
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

    /// Returns the frame at a position on the canvas, or `None` without a VP8 or VP8L chunk.
    fn frame(self, position: (u32, u32)) -> Option<WebPFrame<'a>> {
        let (bitstream, content) = self.picture?;
        // VP8L stores alpha itself, so an ALPH chunk beside it is ignored (section 2.7.1.2).
        Some(bitstream.frame(position, self.alpha.filter(|_| bitstream.is_lossy), content))
    }
}

/// Parses an ANMF chunk (section 2.7.1.1).
///
/// # Errors
/// [`Error::Damaged`] if the chunk is incomplete, has no bitstream or another size than its
/// bitstream, or extends beyond the canvas.
fn read_frame<'a>(chunk: &RiffChunk<'a>, canvas: (u32, u32)) -> Result<WebPFrame<'a>, Error> {
    let damaged = || Error::damaged_at(chunk.offset, "the animation frame is invalid");
    let number = |offset| chunk.content.le24(offset).ok_or_else(damaged);
    // Stored are x / 2, y / 2, width − 1 and height − 1, in 3 bytes each.
    let (x, y) = (number(0)? * 2, number(3)? * 2);
    let (width, height) = (number(6)? + 1, number(9)? + 1);
    if x + width > canvas.0 || y + height > canvas.1 {
        return Err(Error::damaged_at(
            chunk.offset,
            "a frame extends beyond the canvas",
        ));
    }
    let mut image = ImageChunks::default();
    // The chunks of the frame follow its header of 16 bytes.
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

/// A chunk: 4 bytes of type, 4 of length, data, and padding to an even length (section 2.3).
struct RiffChunk<'a> {
    kind: [u8; 4],
    /// Data without header and padding.
    content: &'a [u8],
    /// The complete chunk as stored.
    raw: &'a [u8],
    /// Position of its first byte.
    offset: usize,
    /// Position of the next chunk.
    end: usize,
}

/// Reads the chunk at byte `offset`.
///
/// # Errors
/// [`Error::Truncated`] if `bytes` end before the data of the chunk does.
fn chunk(bytes: &[u8], offset: usize) -> Result<RiffChunk<'_>, Error> {
    let (Some(kind), Some(length)) = (bytes.array(offset), bytes.le32(offset + 4)) else {
        return Err(Error::TRUNCATED);
    };
    let length = usize::try_from(length).map_err(|_| Error::TRUNCATED)?;
    let content = bytes.slice_at(offset + 8, length).ok_or(Error::TRUNCATED)?;
    // Some writers omit the padding byte of the last chunk.
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
    /// Parses the canvas size of a VP8X chunk (section 2.7), in pixels.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the chunk is too short.
    fn canvas(&self) -> Result<(u32, u32), Error> {
        match (self.content.le24(4), self.content.le24(7)) {
            (Some(width), Some(height)) => Ok((width + 1, height + 1)),
            _ => Err(Error::damaged_at(
                self.offset,
                "the VP8X chunk is too short",
            )),
        }
    }

    /// Parses the header of a VP8 (RFC 6386, section 9.1) or VP8L (RFC 9649, section 3.4)
    /// bitstream.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the chunk has another type, is too short, or has a wrong signature.
    fn bitstream(&self) -> Result<Bitstream, Error> {
        let damaged = Error::damaged_at(self.offset, "the bitstream header is invalid");
        match &self.kind {
            // A frame tag of 3 bytes, the start code, then width and height in 14 bits each. The
            // upper 2 bits request upscaling by the viewer, which browsers ignore.
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
            // A signature byte, then 14 bits of width − 1, 14 of height − 1, and 1 bit for alpha.
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
                "the chunk is not VP8 or VP8L",
            )),
        }
    }
}

/// The header of a VP8 or VP8L bitstream; sizes in pixels.
#[derive(Clone, Copy)]
struct Bitstream {
    width: u32,
    height: u32,
    has_alpha: bool,
    is_lossy: bool,
}

impl Bitstream {
    /// Returns a frame at a position on the canvas.
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

//! Checks of a worker's output, as far as they are possible without decoding it.

use std::io;

use super::protocol::OutputHeader;

/// Bytes of a file beside its pixels: the container, and the headers of the bitstream.
const MAX_OVERHEAD: usize = 4096;
/// Bit of a `VP8X` chunk that announces alpha (RFC 9649, section 2.7.1). The other bits announce
/// animation or metadata, which outputs do not have.
const ALPHA: u8 = 0x10;

/// Checks what the worker announces about an output, before its bytes are read.
pub(super) fn validate_header(header: &OutputHeader) -> io::Result<()> {
    let OutputHeader { size, side, length } = *header;
    // No encoder makes a square larger than its pixels. The sizes are at most 16,383, so that
    // nothing overflows.
    let max_length = || side as usize * side as usize * 4 + MAX_OVERHEAD;
    if side > size || length > max_length() {
        return Err(invalid(format!(
            "the worker announced {length} bytes and a side of {side} for the size {size}"
        )));
    }
    Ok(())
}

/// Checks that an output is a WebP file of exactly its stated length that holds one picture of this
/// side, and beside it at most its alpha (RFC 9649, sections 2.3 to 2.7).
pub(super) fn validate_output(bytes: &[u8], side: u32) -> io::Result<()> {
    if is_picture(bytes, side) {
        return Ok(());
    }
    Err(invalid(format!(
        "the worker sent {} bytes that are not a WebP picture with a side of {side}",
        bytes.len()
    )))
}

fn invalid(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

fn is_picture(bytes: &[u8], side: u32) -> bool {
    let Some(chunks) = chunks(bytes) else {
        return false;
    };
    match chunks[..] {
        [(b"VP8 ", lossy)] => is_lossy(lossy, side),
        [(b"VP8L", lossless)] => is_lossless(lossless, side),
        [(b"VP8X", canvas), (b"VP8L", lossless)] => {
            is_canvas(canvas, side) && is_lossless(lossless, side)
        }
        [(b"VP8X", canvas), (b"ALPH", _), (b"VP8 ", lossy)] => {
            is_canvas(canvas, side) && is_lossy(lossy, side)
        }
        _ => false,
    }
}

/// Splits a WebP file into its chunks. Returns `None` unless they fill the file exactly.
fn chunks(bytes: &[u8]) -> Option<Vec<(&[u8; 4], &[u8])>> {
    let length = |bytes: &[u8]| {
        let length = bytes.get(4..8)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(length)).ok()
    };
    let is_complete = bytes.starts_with(b"RIFF") && length(bytes)? + 8 == bytes.len();
    let mut rest = bytes
        .get(12..)
        .filter(|_| is_complete && bytes[8..12] == *b"WEBP")?;
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        let length = length(rest)?;
        let chunk = (rest.first_chunk()?, rest.get(8..8 + length)?);
        chunks.push(chunk);
        // Chunks are padded to an even length.
        rest = rest.get(8 + length.next_multiple_of(2)..)?;
    }
    Some(chunks)
}

/// Returns true if the content of a `VP8X` chunk states a canvas of this side without animation and
/// metadata.
fn is_canvas(content: &[u8], side: u32) -> bool {
    // Sides are stored minus 1, in 24 bits.
    let number = |offset: usize| {
        let bytes = content.get(offset..offset + 3)?;
        Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]) + 1)
    };
    content.len() == 10
        && content[0] & !ALPHA == 0
        && number(4) == Some(side)
        && number(7) == Some(side)
}

/// Returns true if the bytes begin a key frame of this side (RFC 6386, section 9.1).
fn is_lossy(frame: &[u8], side: u32) -> bool {
    // The upper two bits are a scaling factor.
    let number = |offset: usize| {
        let bytes = frame.get(offset..offset + 2)?;
        Some(u32::from(u16::from_le_bytes([bytes[0], bytes[1]]) & 0x3FFF))
    };
    frame.get(3..6) == Some(&[0x9D, 0x01, 0x2A])
        && frame[0] & 1 == 0
        && number(6) == Some(side)
        && number(8) == Some(side)
}

/// Returns true if the bytes begin a lossless image of this side (RFC 9649, section 3.4).
fn is_lossless(image: &[u8], side: u32) -> bool {
    let Some(&[0x2F, one, two, three, four]) = image.first_chunk() else {
        return false;
    };
    // From the lowest bit: width - 1 and height - 1 in 14 bits each, the alpha hint, and a version
    // of 3 bits, always 0.
    let bits = u32::from_le_bytes([one, two, three, four]);
    (bits & 0x3FFF) + 1 == side && (bits >> 14 & 0x3FFF) + 1 == side && bits >> 29 == 0
}

#[cfg(test)]
mod tests {
    use veraicon_picture::{OutputFormat, encode};

    use super::*;

    fn file(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut body = b"WEBP".to_vec();
        for (name, bytes) in chunks {
            body.extend_from_slice(*name);
            body.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(0).to_le_bytes());
            body.extend_from_slice(bytes);
            body.resize(body.len().next_multiple_of(2), 0);
        }
        let mut file = b"RIFF".to_vec();
        file.extend_from_slice(&u32::try_from(body.len()).unwrap_or(0).to_le_bytes());
        file.extend_from_slice(&body);
        file
    }

    #[test]
    fn only_a_single_picture_of_the_announced_side_is_valid() {
        let lossy: &[u8] = &[0, 0, 0, 0x9D, 0x01, 0x2A, 64, 0, 64, 0];
        let lossless: &[u8] = &[0x2F, 63, 0xC0, 0x0F, 0];
        let canvas: &[u8] = &[0x10, 0, 0, 0, 63, 0, 0, 63, 0, 0];
        let animated: &[u8] = &[0x02, 0, 0, 0, 63, 0, 0, 63, 0, 0];
        let good: [&[(&[u8; 4], &[u8])]; 4] = [
            &[(b"VP8 ", lossy)],
            &[(b"VP8L", lossless)],
            &[(b"VP8X", canvas), (b"VP8L", lossless)],
            &[(b"VP8X", canvas), (b"ALPH", &[0]), (b"VP8 ", lossy)],
        ];
        for chunks in good {
            let file = file(chunks);
            assert!(is_picture(&file, 64), "{chunks:?}");
            assert!(!is_picture(&file, 65), "{chunks:?}");
            assert!(!is_picture(&file[..file.len() - 1], 64), "{chunks:?}");
            assert!(
                !is_picture(&[&file[..], b"more"].concat(), 64),
                "{chunks:?}"
            );
        }
        let bad: [&[(&[u8; 4], &[u8])]; 7] = [
            &[],
            &[(b"VP8X", canvas)],
            &[(b"VP8X", animated), (b"VP8L", lossless)],
            &[(b"VP8L", lossless), (b"VP8L", lossless)],
            &[(b"VP8 ", lossy), (b"EXIF", b"GPS")],
            &[(b"VP8 ", b"not a frame")],
            &[(b"VP8L", b"garbage")],
        ];
        for chunks in bad {
            assert!(!is_picture(&file(chunks), 64), "{chunks:?}");
        }
    }

    #[test]
    fn output_of_the_encoder_is_valid() {
        for alpha in [255, 128] {
            let pixels = [200, 10, 90, alpha].repeat(64 * 64);
            let bytes = encode(&pixels, 64, OutputFormat::WebP, 80);
            assert!(bytes.is_ok_and(|bytes| is_picture(&bytes, 64)));
        }
    }
}

//! What a worker must have made of a picture, as far as can be told without decoding it.

/// More than any encoder makes of a square: its pixels as they are, and a head.
pub(super) fn most_bytes(side: u32) -> usize {
    let side = side as usize;
    side * side * 4 + 4096
}

/// A WebP of this side that is as long as it says, with one bitstream of that side and nothing beside but its alpha
/// (RFC 9649, sections 2.3 to 2.7).
pub(super) fn is_square(bytes: &[u8], side: u32) -> bool {
    /// What an extended file may announce: alpha, and nothing else.
    const ALPHA: u8 = 0x10;
    let Some(chunks) = chunks(bytes) else {
        return false;
    };
    let canvas = |head: &[u8]| {
        let number = |at: usize| {
            let bytes = head.get(at..at + 3)?;
            Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]) + 1)
        };
        head.len() == 10
            && head[0] & !ALPHA == 0
            && number(4) == Some(side)
            && number(7) == Some(side)
    };
    match chunks[..] {
        [(b"VP8 ", lossy)] => is_lossy(lossy, side),
        [(b"VP8L", lossless)] => is_lossless(lossless, side),
        [(b"VP8X", head), (b"VP8L", lossless)] => canvas(head) && is_lossless(lossless, side),
        [(b"VP8X", head), (b"ALPH", _), (b"VP8 ", lossy)] => canvas(head) && is_lossy(lossy, side),
        _ => false,
    }
}

/// The chunks of a WebP file, where they fill it exactly.
fn chunks(bytes: &[u8]) -> Option<Vec<(&[u8; 4], &[u8])>> {
    let length = |bytes: &[u8]| {
        let length = bytes.get(4..8)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(length)).ok()
    };
    let whole = bytes.starts_with(b"RIFF") && length(bytes)? + 8 == bytes.len();
    let mut rest = bytes
        .get(12..)
        .filter(|_| whole && bytes[8..12] == *b"WEBP")?;
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        let length = length(rest)?;
        let chunk = (rest.first_chunk()?, rest.get(8..8 + length)?);
        chunks.push(chunk);
        rest = rest.get(8 + length.next_multiple_of(2)..)?;
    }
    Some(chunks)
}

/// A key frame of this side (RFC 6386, section 9.1).
fn is_lossy(frame: &[u8], side: u32) -> bool {
    let number = |at: usize| {
        let bytes = frame.get(at..at + 2)?;
        Some(u32::from(u16::from_le_bytes([bytes[0], bytes[1]]) & 0x3FFF))
    };
    frame.get(3..6) == Some(&[0x9D, 0x01, 0x2A])
        && frame[0] & 1 == 0
        && number(6) == Some(side)
        && number(8) == Some(side)
}

/// A lossless image of this side (RFC 9649, section 3.4).
fn is_lossless(image: &[u8], side: u32) -> bool {
    let Some(&[0x2F, one, two, three, four]) = image.first_chunk() else {
        return false;
    };
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
    fn only_a_square_that_is_coded_as_it_was_asked_for_passes() {
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
            assert!(is_square(&file, 64), "{chunks:?}");
            assert!(!is_square(&file, 65), "{chunks:?}");
            assert!(!is_square(&file[..file.len() - 1], 64), "{chunks:?}");
            assert!(!is_square(&[&file[..], b"more"].concat(), 64), "{chunks:?}");
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
            assert!(!is_square(&file(chunks), 64), "{chunks:?}");
        }
    }

    #[test]
    fn what_the_encoder_makes_passes() {
        for alpha in [255, 128] {
            let pixels = [200, 10, 90, alpha].repeat(64 * 64);
            let bytes = encode(&pixels, 64, OutputFormat::WebP, 80);
            assert!(bytes.is_ok_and(|bytes| is_square(&bytes, 64)));
        }
    }
}

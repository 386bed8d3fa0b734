//! Identification of files that the crate does not decode. An error can then name the kind.

use crate::error::Error;

/// Picture formats without a decoder: first bytes and name.
const UNSUPPORTED: &[(&[u8], &str)] = &[
    // A codestream without a container. The next line is the container.
    (b"\xFF\x0A", "JPEG XL"),
    (b"\0\0\0\x0CJXL \r\n\x87\n", "JPEG XL"),
    (b"\0\0\0\x0CjP  \r\n\x87\n", "JPEG 2000"),
    // The markers SOC and SIZ of a codestream without a container.
    (b"\xFF\x4F\xFF\x51", "JPEG 2000"),
    (b"8BPS", "PSD"),
    (b"II\xBC\x01", "JPEG XR"),
    (b"\x76\x2F\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"gimp xcf", "XCF"),
    (b"\xABKTX ", "KTX"),
    (b"FLIF", "FLIF"),
    (b"BPG\xFB", "BPG"),
    (b"FORM", "IFF"),
    (b"\x8AMNG\r\n\x1A\n", "MNG"),
    (b"\x8BJNG\r\n\x1A\n", "JNG"),
    (b"SIMPLE  =", "FITS"),
    (b"farbfeld", "farbfeld"),
    (b"\xD7\xCD\xC6\x9A", "WMF"),
];

/// Kinds of files that are not pictures: first bytes and name.
const NOT_IMAGES: &[(&[u8], &str)] = &[
    (b"%PDF-", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\xC5\xD0\xD3\xC6", "PostScript"),
    (b"{\\rtf", "RTF"),
    // A file header, then an archive without files. Office documents of today are ZIP archives.
    (b"PK\x03\x04", "ZIP"),
    (b"PK\x05\x06", "ZIP"),
    (b"\x1F\x8B", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xFD7zXZ\0", "xz"),
    (b"\x28\xB5\x2F\xFD", "Zstandard"),
    (b"7z\xBC\xAF\x27\x1C", "7-Zip"),
    (b"Rar!\x1A\x07", "RAR"),
    (b"\x7FELF", "ELF program"),
    (b"MZ", "Windows program"),
    // Mach-O of 64 bits, little-endian and big-endian.
    (b"\xCF\xFA\xED\xFE", "Mach-O program"),
    (b"\xFE\xED\xFA\xCF", "Mach-O program"),
    (b"\xCA\xFE\xBA\xBE", "Java class"),
    (b"\0asm", "WebAssembly"),
    (b"#!", "script"),
    (b"SQLite format 3\0", "SQLite database"),
    // Compound File Binary, the container of `.doc`, `.xls` and `.ppt`.
    (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "Office document"),
    (b"\x1A\x45\xDF\xA3", "Matroska video"),
    // The start codes of a program stream and of a video stream.
    (b"\0\0\x01\xBA", "MPEG video"),
    (b"\0\0\x01\xB3", "MPEG video"),
    (b"FLV\x01", "Flash video"),
    (b"\x30\x26\xB2\x75\x8E\x66\xCF\x11", "Windows media"),
    (b"OggS", "Ogg"),
    (b"fLaC", "FLAC audio"),
    // A tag, or the first frame of a file without tags.
    (b"ID3", "MP3 audio"),
    (b"\xFF\xFB", "MP3 audio"),
    (b"MThd", "MIDI"),
    (b"wOFF", "font"),
    (b"wOF2", "font"),
    (b"OTTO", "font"),
    (b"\0\x01\0\0\0", "font"),
    (b"bplist", "property list"),
];

/// Returns the error for an input without a decoder: [`Error::UnsupportedFormat`] for a picture,
/// [`Error::NotAnImage`] for anything else.
pub(super) fn identify(bytes: &[u8]) -> Error {
    let named = |table: &[(&[u8], &'static str)]| {
        table
            .iter()
            .find(|(magic, _)| bytes.starts_with(magic))
            .map(|&(_, name)| name)
    };
    if let Some(what) = named(UNSUPPORTED)
        .or_else(|| netpbm(bytes))
        .or_else(|| icon(bytes))
    {
        return Error::UnsupportedFormat { what };
    }
    // Text is last, because some signatures are text too, such as `%PDF-`.
    let kind = named(NOT_IMAGES)
        .or_else(|| riff(bytes))
        .or_else(|| iso_media(bytes))
        .or_else(|| text(bytes));
    Error::NotAnImage { kind }
}

/// Identifies Netpbm: `P1` to `P7`, then white space.
fn netpbm(bytes: &[u8]) -> Option<&'static str> {
    matches!(bytes, [b'P', b'1'..=b'7', b'\n' | b' ' | b'\r' | b'\t', ..]).then_some("Netpbm")
}

/// Identifies icons and cursors of Windows: two zero bytes, the type (1 or 2), the number of
/// pictures.
fn icon(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        // Some Targa files have the same first bytes, but a number of 0.
        [0, 0, _, 0, 0, 0, ..] => None,
        [0, 0, 1, 0, _, 0, ..] => Some("ICO"),
        [0, 0, 2, 0, _, 0, ..] => Some("CUR"),
        _ => None,
    }
}

/// Identifies the kind of a RIFF file other than WebP.
fn riff(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'A',
            b'V',
            b'E',
            ..,
        ] => Some("WAV audio"),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'A',
            b'V',
            b'I',
            b' ',
            ..,
        ] => Some("AVI video"),
        [b'R', b'I', b'F', b'F', ..] => Some("RIFF"),
        _ => None,
    }
}

/// Identifies the kind of an ISO base media file other than HEIF by its major brand (ISO/IEC
/// 14496-12, section 4.3).
fn iso_media(bytes: &[u8]) -> Option<&'static str> {
    match bytes.get(4..8)? {
        b"ftyp" => Some(match bytes.get(8..12) {
            Some(b"qt  ") => "QuickTime video",
            Some([b'M', b'4', b'A' | b'B', ..]) => "MP4 audio",
            Some([b'3', b'g', ..]) => "3GP video",
            _ => "MP4 video",
        }),
        // QuickTime files from before the box `ftyp` begin with any of these boxes.
        b"moov" | b"mdat" | b"wide" | b"free" | b"skip" => Some("QuickTime video"),
        _ => None,
    }
}

/// Maximum number of bytes that are read to identify a text.
const SNIFFED: usize = 1024;

/// Identifies text and markup in UTF-8. Text in UTF-16 is identified by its byte order mark only.
fn text(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        return Some("text");
    }
    // The byte order mark of UTF-8.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let start = bytes.get(..SNIFFED).unwrap_or(bytes);
    // The "binary data bytes" of WHATWG MIME Sniffing, section 3. They do not occur in text.
    let is_control =
        |&byte: &u8| byte < b' ' && !matches!(byte, b'\t' | b'\n' | 0x0C | b'\r' | 0x1B);
    if start.is_empty() || start.iter().any(is_control) || !is_utf8_start(start) {
        return None;
    }
    let lower = start.trim_ascii_start().to_ascii_lowercase();
    let begins = |words: &[&[u8]]| words.iter().any(|word| lower.starts_with(word));
    let has = |word: &[u8]| lower.windows(word.len()).any(|window| window == word);
    // The element `svg` may follow an XML declaration, comments and a document type. HTML may
    // contain it too, but rarely in its first bytes.
    Some(if has(b"<svg") {
        "SVG"
    } else if begins(&[b"<!doctype html", b"<html", b"<head", b"<body", b"<script"])
        || has(b"<html")
    {
        "HTML"
    } else if begins(&[b"<?xml", b"<!doctype"]) {
        "XML"
    } else if begins(&[b"<?php"]) {
        "script"
    } else if begins(&[b"data:image/"]) {
        "data URL"
    } else if begins(&[b"{", b"["]) {
        "JSON"
    } else {
        "text"
    })
}

/// Returns true if the bytes are valid UTF-8. The last character may be incomplete.
fn is_utf8_start(bytes: &[u8]) -> bool {
    // `error_len` is `None` if the bytes end inside a character, as they may after `SNIFFED` bytes.
    std::str::from_utf8(bytes).map_or_else(|error| error.error_len().is_none(), |_| true)
}

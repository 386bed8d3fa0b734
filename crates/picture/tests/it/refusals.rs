//! Refusal of files that are not supported pictures, and error messages.

use veraicon_picture::{Error, Policy, probe, process};

#[test]
fn other_file_types_are_named() {
    let ftyp = |brand: &str| format!("\0\0\0\x18ftyp{brand}\0\0\0\0mp41").into_bytes();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("PDF", b"%PDF-1.7\n%\xE2\xE3\xCF\xD3".to_vec()),
        (
            "SVG",
            b"<?xml version=\"1.0\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\"/>".to_vec(),
        ),
        (
            "SVG",
            b"\xEF\xBB\xBF  <!-- a comment --><SVG onload='alert(1)'>".to_vec(),
        ),
        ("HTML", b"<!DOCTYPE html><title>x</title>".to_vec()),
        ("XML", b"<?xml version=\"1.0\"?><feed/>".to_vec()),
        ("JSON", b"{\"data\": 1}".to_vec()),
        ("text", "头像，不是图片".as_bytes().to_vec()),
        ("ZIP", b"PK\x03\x04\x14\0".to_vec()),
        ("gzip", b"\x1F\x8B\x08\0".to_vec()),
        ("MP4 video", ftyp("isom")),
        ("QuickTime video", ftyp("qt  ")),
        ("QuickTime video", b"\0\0\0\x08wide\0\0\0\0mdat".to_vec()),
        ("Windows program", b"MZ\x90\0\x03\0".to_vec()),
        ("ELF program", b"\x7FELF\x02\x01\x01\0".to_vec()),
        ("WAV audio", b"RIFF\0\0\0\0WAVEfmt ".to_vec()),
        ("AVI video", b"RIFF\0\0\0\0AVI LIST".to_vec()),
    ];
    for (kind, bytes) in cases {
        assert_eq!(probe(&bytes), Err(Error::NotAnImage { kind: Some(kind) }));
        assert_eq!(
            process(&bytes, &Policy::default(), None),
            Err(Error::NotAnImage { kind: Some(kind) })
        );
    }
    assert_eq!(
        probe(b"\0\x01\x02\x03"),
        Err(Error::NotAnImage { kind: None })
    );
    assert_eq!(
        probe(b"BM is how this text begins"),
        Err(Error::NotAnImage { kind: Some("text") })
    );
    assert_eq!(probe(b""), Err(Error::Empty));
}

#[test]
fn other_picture_formats_are_unsupported() {
    let cases: [(&'static str, &[u8]); 5] = [
        ("PSD", b"8BPS\0\x01"),
        ("ICO", b"\0\0\x01\0\x01\0"),
        ("JPEG XL", b"\xFF\x0A\0\0"),
        ("JPEG 2000", b"\0\0\0\x0CjP  \r\n\x87\n"),
        ("Netpbm", b"P6\n1 1\n255\n"),
    ];
    for (what, bytes) in cases {
        assert_eq!(probe(bytes), Err(Error::UnsupportedFormat { what }));
    }
}

#[cfg(not(feature = "heic"))]
#[test]
fn heic_is_named_as_unsupported() {
    let expected = Error::UnsupportedFormat { what: "HEIC" };
    assert_eq!(probe(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"), Err(expected));
}

#[test]
fn jpeg_variants_that_browsers_do_not_show_are_unsupported() {
    let frame = |code: u8, precision: u8| {
        [
            b"\xFF\xD8\xFF",
            &[code, 0, 11, precision][..],
            b"\0\x08\0\x08\x01\x01\x11\0\xFF\xDA",
        ]
        .concat()
    };
    for (what, bytes) in [
        ("arithmetic-coded JPEG", frame(0xC9, 8)),
        ("lossless JPEG", frame(0xC3, 8)),
        ("hierarchical JPEG", frame(0xC5, 8)),
        ("JPEG with other than 8 bits per sample", frame(0xC1, 12)),
    ] {
        assert_eq!(probe(&bytes), Err(Error::UnsupportedFormat { what }));
    }
}

#[test]
fn messages_contain_value_and_limit() {
    let error = Error::TooManyPixels {
        width: 8000,
        height: 16_000,
        limit: 100_000_000,
    };
    assert_eq!(error.to_string(), "8000 x 16000 pixels, limit 100000000");
    assert_eq!(
        Error::Truncated { received: Some(63) }.to_string(),
        "truncated after 63 %"
    );
    assert_eq!(
        Error::NotAnImage { kind: Some("PDF") }.to_string(),
        "not a picture but PDF"
    );
    let error = Error::Damaged {
        offset: Some(81_920),
        what: "the palette",
    };
    assert_eq!(error.to_string(), "damaged at byte 81920: the palette");
}

use crate::bytes::Bytes;

/// A picture format that the crate identifies.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// JPEG (ITU-T T.81).
    Jpeg,
    /// PNG, including APNG (W3C PNG, third edition).
    Png,
    /// GIF87a and GIF89a.
    Gif,
    /// WebP, lossy and lossless (RFC 9649).
    WebP,
    /// AV1 in HEIF (AV1 Image File Format).
    Avif,
    /// Windows bitmap.
    Bmp,
    /// TIFF 6.0 and `BigTIFF`.
    Tiff,
    /// HEVC in HEIF (ISO/IEC 23008-12). Builds without the feature `heic` identify it and refuse
    /// it.
    Heic,
}

impl Format {
    /// Formats that this build decodes.
    pub const ACCEPTED: &[Self] = &[
        Self::Jpeg,
        Self::Png,
        Self::Gif,
        Self::WebP,
        Self::Avif,
        Self::Bmp,
        Self::Tiff,
        #[cfg(feature = "heic")]
        Self::Heic,
    ];

    /// Returns the usual short name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Gif => "GIF",
            Self::WebP => "WebP",
            Self::Avif => "AVIF",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
            Self::Heic => "HEIC",
        }
    }

    /// Identifies a format by the first bytes. Returns `None` for all other inputs.
    ///
    /// The signatures are those of the specifications: ITU-T T.81 section B.2.1 (SOI, then a
    /// marker), PNG section 5.2, GIF89a section 17, RFC 9649 section 2, TIFF 6.0 section 2.
    pub(crate) fn from_signature(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0xFF, 0xD8, 0xFF, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Some(Self::Png),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
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
                b'E',
                b'B',
                b'P',
                ..,
            ] => Some(Self::WebP),
            // The version is 42 for TIFF and 43 for BigTIFF, in the byte order of the file.
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(Self::Tiff),
            [b'B', b'M', ..] if is_bitmap(bytes) => Some(Self::Bmp),
            // The first four bytes are the length of the box `ftyp`.
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => heif(bytes),
            _ => None,
        }
    }
}

/// Returns true if the bytes after "BM" are the headers of a BMP.
///
/// A text can begin with "BM" too. So the size of the second header, at byte 14, must be one of the
/// sizes in use: from 12 (`BITMAPCOREHEADER`) to 124 (`BITMAPV5HEADER`).
fn is_bitmap(bytes: &[u8]) -> bool {
    matches!(
        bytes.le32(14),
        Some(12 | 16 | 40 | 52 | 56 | 64 | 108 | 124)
    )
}

/// Identifies AVIF and HEIC by the brands of the file type box `ftyp` (ISO/IEC 14496-12, section
/// 4.3; AV1 Image File Format, section 7; ISO/IEC 23008-12, section 10). Returns `None` for other
/// brands.
fn heif(bytes: &[u8]) -> Option<Format> {
    let length = usize::try_from(bytes.be32(0)?).ok()?;
    // Brands start at byte 8: the major brand, the minor version, the compatible brands. The minor
    // version is searched too. It is a number, and does not equal a brand in practice.
    let (brands, _) = bytes.get(8..length.clamp(8, bytes.len()))?.as_chunks::<4>();
    let has = |wanted: &[&[u8; 4]]| brands.iter().any(|brand| wanted.contains(&brand));
    // Most AVIF files also list `mif1`, so its own brands are checked first.
    if has(&[b"avif", b"avis"]) {
        return Some(Format::Avif);
    }
    // `mif1` and `msf1` do not name a codec. The decoder checks the type of the primary item.
    has(&[
        b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1",
    ])
    .then_some(Format::Heic)
}

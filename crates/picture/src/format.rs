use crate::bytes::Bytes;

/// A picture format that the crate recognises.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// ITU-T T.81.
    Jpeg,
    /// W3C PNG, third edition, APNG included.
    Png,
    /// GIF87a and GIF89a.
    Gif,
    /// RFC 9649.
    WebP,
    /// AV1 in HEIF.
    Avif,
    /// Windows bitmap.
    Bmp,
    /// TIFF 6.0 and `BigTIFF`.
    Tiff,
    /// HEVC in HEIF. Builds without the feature `heic` recognise it and refuse it.
    Heic,
}

impl Format {
    /// The formats that this build decodes.
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

    /// Returns the usual name.
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

    /// Identifies a format by the first bytes alone.
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
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(Self::Tiff),
            [b'B', b'M', ..] if is_bitmap(bytes) => Some(Self::Bmp),
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => heif(bytes),
            _ => None,
        }
    }
}

/// Identifies a BMP. Many texts begin with "BM", so the size of the second header must be one of
/// those in use (`BITMAPCOREHEADER` 12 to `BITMAPV5HEADER` 124).
fn is_bitmap(bytes: &[u8]) -> bool {
    matches!(
        bytes.le32(14),
        Some(12 | 16 | 40 | 52 | 56 | 64 | 108 | 124)
    )
}

/// Identifies AVIF and HEIC by the brands of the file type box (ISO/IEC 14496-12, section 4.3; AV1
/// Image File Format, section 7; ISO/IEC 23008-12, section 10).
fn heif(bytes: &[u8]) -> Option<Format> {
    let length = usize::try_from(bytes.be32(0)?).ok()?;
    let (brands, _) = bytes.get(8..length.clamp(8, bytes.len()))?.as_chunks::<4>();
    let has = |wanted: &[&[u8; 4]]| brands.iter().any(|brand| wanted.contains(&brand));
    if has(&[b"avif", b"avis"]) {
        return Some(Format::Avif);
    }
    has(&[
        b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1",
    ])
    .then_some(Format::Heic)
}

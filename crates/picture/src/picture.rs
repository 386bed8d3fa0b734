use crate::format::Format;

/// A processed picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pictures {
    /// Properties of the input.
    pub source: Source,
    /// One output per configured size, largest first.
    pub outputs: Vec<Picture>,
}

/// Properties of an input picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The format.
    pub format: Format,
    /// Width of the upright picture, in pixels.
    pub width: u32,
    /// Height of the upright picture, in pixels.
    pub height: u32,
}

/// One encoded square.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The configured size, in pixels.
    pub size: u32,
    /// The real side, in pixels: the smaller of the size and the side of the kept square.
    pub side: u32,
    /// The encoded picture.
    pub bytes: Vec<u8>,
}

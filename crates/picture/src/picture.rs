use crate::format::Format;

/// What became of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pictures {
    /// What came in.
    pub source: Source,
    /// One a configured size, largest first.
    pub outputs: Vec<Picture>,
}

/// The picture that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its format.
    pub format: Format,
    /// Width of the upright picture.
    pub width: u32,
    /// Height of the upright picture.
    pub height: u32,
}

/// One square, encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The configured size.
    pub size: u32,
    /// The real side: the smaller of the size and the source's square.
    pub side: u32,
    /// The encoded picture.
    pub bytes: Vec<u8>,
}

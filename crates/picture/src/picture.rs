use crate::format::Format;

/// The result of [`process`](crate::process): properties of the input, and the outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pictures {
    /// Properties of the input.
    pub source: Source,
    /// One output per distinct size of the policy, largest first.
    pub outputs: Vec<Picture>,
}

/// Properties of an input picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Format of the input.
    pub format: Format,
    /// Width of the upright picture, in pixels.
    pub width: u32,
    /// Height of the upright picture, in pixels.
    pub height: u32,
}

/// An output: one encoded square.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Size from [`Policy::sizes`](crate::Policy::sizes), in pixels.
    pub size: u32,
    /// Side of the encoded square, in pixels. It is less than `size` if the kept square of the
    /// input is smaller, because outputs are never enlarged.
    pub side: u32,
    /// Encoded file, in [`Policy::format`](crate::Policy::format).
    pub bytes: Vec<u8>,
}

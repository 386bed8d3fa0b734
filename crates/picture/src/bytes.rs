//! Reads of numbers from untrusted bytes, with bounds checks.

/// Reads of unsigned integers at an offset in bytes. All return `None` if the bytes end too early.
pub(crate) trait Bytes {
    /// Returns `length` bytes that start at `offset`.
    fn slice_at(&self, offset: usize, length: usize) -> Option<&[u8]>;

    /// Returns `N` bytes that start at `offset`.
    fn array<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.slice_at(offset, N)?.try_into().ok()
    }

    /// Returns one byte.
    fn byte(&self, offset: usize) -> Option<u8> {
        self.array::<1>(offset).map(|[byte]| byte)
    }

    /// Reads a big-endian number of 16 bits.
    fn be16(&self, offset: usize) -> Option<u16> {
        self.array(offset).map(u16::from_be_bytes)
    }

    /// Reads a big-endian number of 32 bits.
    fn be32(&self, offset: usize) -> Option<u32> {
        self.array(offset).map(u32::from_be_bytes)
    }

    /// Reads a little-endian number of 16 bits.
    fn le16(&self, offset: usize) -> Option<u16> {
        self.array(offset).map(u16::from_le_bytes)
    }

    /// Reads a little-endian number of 24 bits, as WebP uses for sizes.
    fn le24(&self, offset: usize) -> Option<u32> {
        self.array(offset)
            .map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]))
    }

    /// Reads a little-endian number of 32 bits.
    fn le32(&self, offset: usize) -> Option<u32> {
        self.array(offset).map(u32::from_le_bytes)
    }
}

impl Bytes for [u8] {
    fn slice_at(&self, offset: usize, length: usize) -> Option<&[u8]> {
        // Both numbers may come from the file, so their sum can overflow.
        self.get(offset..offset.checked_add(length)?)
    }
}

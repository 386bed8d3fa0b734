//! Bounds-checked reads of integers from untrusted bytes.

/// Reads at a byte offset. Each method returns `None` if the read passes the end of the bytes.
pub(crate) trait Bytes {
    /// Returns `length` bytes from `offset` on.
    fn slice_at(&self, offset: usize, length: usize) -> Option<&[u8]>;

    /// Returns `N` bytes from `offset` on.
    fn array<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.slice_at(offset, N)?.try_into().ok()
    }

    /// Reads one byte.
    fn byte(&self, offset: usize) -> Option<u8> {
        self.array::<1>(offset).map(|[byte]| byte)
    }

    /// Reads 16 bits in big-endian order.
    fn be16(&self, offset: usize) -> Option<u16> {
        self.array(offset).map(u16::from_be_bytes)
    }

    /// Reads 32 bits in big-endian order.
    fn be32(&self, offset: usize) -> Option<u32> {
        self.array(offset).map(u32::from_be_bytes)
    }

    /// Reads 16 bits in little-endian order.
    fn le16(&self, offset: usize) -> Option<u16> {
        self.array(offset).map(u16::from_le_bytes)
    }

    /// Reads 24 bits in little-endian order.
    fn le24(&self, offset: usize) -> Option<u32> {
        self.array(offset)
            .map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]))
    }

    /// Reads 32 bits in little-endian order.
    fn le32(&self, offset: usize) -> Option<u32> {
        self.array(offset).map(u32::from_le_bytes)
    }
}

impl Bytes for [u8] {
    fn slice_at(&self, offset: usize, length: usize) -> Option<&[u8]> {
        // Both numbers may come from the file, so their sum may overflow.
        self.get(offset..offset.checked_add(length)?)
    }
}

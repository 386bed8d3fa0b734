//! Reading numbers out of untrusted bytes: nothing here can run past the end.

/// Checked reads at a byte position; `None` where the bytes end first.
pub(crate) trait Bytes {
    /// `length` bytes from `at`.
    fn slice_at(&self, offset: usize, length: usize) -> Option<&[u8]>;

    /// `N` bytes from `at`.
    fn array<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.slice_at(offset, N)?.try_into().ok()
    }

    /// One byte.
    fn byte(&self, offset: usize) -> Option<u8> {
        self.array::<1>(offset).map(|[byte]| byte)
    }

    /// Two bytes, most significant first.
    fn be16(&self, offset: usize) -> Option<u16> {
        self.array(offset).map(u16::from_be_bytes)
    }

    /// Four bytes, most significant first.
    fn be32(&self, offset: usize) -> Option<u32> {
        self.array(offset).map(u32::from_be_bytes)
    }

    /// Two bytes, least significant first.
    fn le16(&self, offset: usize) -> Option<u16> {
        self.array(offset).map(u16::from_le_bytes)
    }

    /// Three bytes, least significant first.
    fn le24(&self, offset: usize) -> Option<u32> {
        self.array(offset)
            .map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]))
    }

    /// Four bytes, least significant first.
    fn le32(&self, offset: usize) -> Option<u32> {
        self.array(offset).map(u32::from_le_bytes)
    }
}

impl Bytes for [u8] {
    fn slice_at(&self, offset: usize, length: usize) -> Option<&[u8]> {
        self.get(offset..offset.checked_add(length)?)
    }
}

//! The digest that names a picture.

use sha2::{Digest as _, Sha256};

/// Returns the SHA-256 over all outputs, largest first, in hexadecimal.
pub(crate) fn digest<'bytes>(outputs: impl Iterator<Item = &'bytes [u8]>) -> String {
    let mut hash = Sha256::new();
    for output in outputs {
        hash.update(output);
    }
    hex::encode(hash.finalize())
}

//! Proves that bytes are a whole picture.

//! The secret that all signing keys are drawn from.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use secrecy::{ExposeSecret, SecretString};

use crate::config::SHORTEST_KEY;

/// Bytes of randomness in a key made here.
const RANDOM_BYTES: usize = 32;

/// Reads the key kept in `path`, or makes one at the first start and keeps it there, readable by its owner alone.
///
/// # Errors
/// The file cannot be read or written, or holds too short a key.
pub fn load_or_create(path: &Path) -> io::Result<SecretString> {
    match read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => create(path),
        outcome => outcome,
    }
}

fn read(path: &Path) -> io::Result<SecretString> {
    let mut text = String::new();
    File::open(path)?.read_to_string(&mut text)?;
    let key = SecretString::from(text.trim());
    if key.expose_secret().len() < SHORTEST_KEY {
        let text = format!(
            "the signing key in {} is shorter than {SHORTEST_KEY} bytes",
            path.display()
        );
        return Err(io::Error::new(ErrorKind::InvalidData, text));
    }
    Ok(key)
}

/// The key is written whole under another name first: a start that is cut short leaves no half of a key.
fn create(path: &Path) -> io::Result<SecretString> {
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let text = hex::encode(random);
    let unfinished = path.with_extension("partial");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(SecretString::from(text))
}

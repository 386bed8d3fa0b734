//! Secrets, the keys derived from them, and the file that stores them.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use hkdf::Hkdf;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::{clock::Milliseconds, config::MIN_KEY_BYTES};

/// Random bytes of a generated secret.
const RANDOM_BYTES: usize = 32;
/// Bytes of a key identifier. 64 bits are enough for the few keys of a service.
const ID_BYTES: usize = 8;
/// Permissions of the key file: only its owner reads and writes it.
const OWNER_ONLY: u32 = 0o600;

/// A secret from which keys are derived (HKDF with SHA-256, RFC 5869).
///
/// A derived key reveals neither the secret nor another key.
#[derive(Clone)]
pub struct Secret(Hkdf<Sha256>);

impl Secret {
    /// Prepares a secret of [`MIN_KEY_BYTES`] bytes or more.
    #[must_use]
    pub fn new(text: &SecretString) -> Self {
        Self(Hkdf::new(None, text.expose_secret().as_bytes()))
    }

    /// Identifier of the secret, for the header `kid` of tokens. It is derived from the secret.
    #[must_use]
    pub fn id(&self) -> String {
        let key = self.derive_key(&[b"veraicon key id"]);
        hex::encode(&key[..ID_BYTES])
    }

    /// Derives the key for one purpose. The purpose is the concatenation of the parts.
    #[must_use]
    pub fn derive_key(&self, purpose: &[&[u8]]) -> [u8; 32] {
        let mut key = [0; 32];
        // Fails only for outputs longer than 255 hashes (RFC 5869, section 2.3). This is one hash.
        let _ = self.0.expand_multi_info(purpose, &mut key);
        key
    }
}

/// Reads the secrets in `path` when the service starts at `now`, or generates the first one.
///
/// The first secret signs tokens. Tokens of all secrets are valid. If other users can read the
/// file, its permissions are restricted to the owner.
///
/// # Errors
/// [`ErrorKind::InvalidData`] if the file is empty or a secret is too short. Otherwise the error of
/// reading or writing the file.
pub fn load_or_create(path: &Path, now: Milliseconds) -> io::Result<Vec<SecretString>> {
    let _lock = lock(path)?;
    let lines = match read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let lines = vec![Line::random()?];
            write(path, &lines)?;
            lines
        }
        lines => retire(path, lines?, now)?,
    };
    Ok(lines.into_iter().map(|line| line.secret).collect())
}

/// Sets the retirement time of secrets that no longer sign.
///
/// That is the first start after the rotation: until then, the running service signed with them.
fn retire(path: &Path, mut lines: Vec<Line>, now: Milliseconds) -> io::Result<Vec<Line>> {
    let mut changed = false;
    for line in lines.iter_mut().skip(1) {
        changed |= line.retired_at.is_none();
        line.retired_at.get_or_insert(now);
    }
    if changed {
        write(path, &lines)?;
    }
    Ok(lines)
}

/// Puts a new secret before those in `path`. Returns the number of older secrets that remain.
///
/// Secrets that were retired `keep` milliseconds ago or earlier are removed, because all tokens
/// that they signed have expired. A `keep` of 0 removes all.
///
/// # Errors
/// [`ErrorKind::InvalidData`] if the file is empty or a secret is too short. Otherwise the error of
/// reading or writing the file.
pub fn rotate(path: &Path, now: Milliseconds, keep: Milliseconds) -> io::Result<usize> {
    let _lock = lock(path)?;
    let mut lines = match read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        outcome => outcome?,
    };
    let is_recent = |retired_at| now.saturating_sub(retired_at) < keep;
    // A secret without a time still signs, or has not been retired by a start yet.
    lines.retain(|line| keep > 0 && line.retired_at.is_none_or(is_recent));
    let kept = lines.len();
    lines.insert(0, Line::random()?);
    write(path, &lines)?;
    Ok(kept)
}

/// A line of the file: a secret, optionally followed by a space and its retirement time (RFC 3339).
struct Line {
    secret: SecretString,
    retired_at: Option<Milliseconds>,
}

impl Line {
    fn random() -> io::Result<Self> {
        let mut random = [0; RANDOM_BYTES];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        Ok(Self {
            secret: hex::encode(random).into(),
            retired_at: None,
        })
    }

    fn parse(text: &str) -> Self {
        // A secret may contain spaces. Only a valid time after the last one is a retirement time.
        let dated = text
            .rsplit_once(char::is_whitespace)
            .and_then(|(secret, date)| Some((secret, date.parse::<Timestamp>().ok()?)));
        let (secret, retired_at) = match dated {
            Some((secret, date)) => (secret.trim_end(), Some(date.as_millisecond())),
            None => (text, None),
        };
        Self {
            secret: secret.into(),
            retired_at,
        }
    }

    fn render(&self) -> String {
        let date = self
            .retired_at
            .and_then(|at| Timestamp::from_millisecond(at).ok());
        let date = date.map_or_else(String::new, |date| format!(" {date}"));
        format!("{}{date}\n", self.secret.expose_secret())
    }
}

/// Locks the file against other processes. Two writers at once would lose a key.
///
/// The lock is a file of its own, because the key file is replaced by renaming.
fn lock(path: &Path) -> io::Result<File> {
    let lock = File::create(path.with_extension("lock"))?;
    lock.lock()?;
    Ok(lock)
}

fn read(path: &Path) -> io::Result<Vec<Line>> {
    let invalid = |text: String| io::Error::new(ErrorKind::InvalidData, text);
    let mut file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & !OWNER_ONLY != 0 {
        file.set_permissions(Permissions::from_mode(OWNER_ONLY))
            .map_err(|error| {
                let text = format!(
                    "other users can read the file (mode {mode:o}), \
                     and its mode cannot be changed: {error}"
                );
                io::Error::new(error.kind(), text)
            })?;
        tracing::warn!(
            path = %path.display(),
            mode = format_args!("{mode:o}"),
            "other users could read the signing key; its mode is 600 now; \
             run rotate-key to replace it"
        );
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let texts = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<_> = texts.map(Line::parse).collect();
    if lines.is_empty() {
        return Err(invalid("the file is empty".into()));
    }
    for (index, line) in lines.iter().enumerate() {
        let length = line.secret.expose_secret().len();
        if length < MIN_KEY_BYTES {
            return Err(invalid(format!(
                "key {} of the file has {length} bytes; allowed: {MIN_KEY_BYTES} bytes or more",
                index + 1
            )));
        }
    }
    Ok(lines)
}

/// Replaces the file. It is complete or unchanged after a crash.
fn write(path: &Path, lines: &[Line]) -> io::Result<()> {
    let partial = path.with_extension("partial");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(OWNER_ONLY)
        .open(&partial)?;
    // `mode` applies to new files only. One left by a crash keeps its own.
    file.set_permissions(Permissions::from_mode(OWNER_ONLY))?;
    let text: SecretString = lines.iter().map(Line::render).collect::<String>().into();
    file.write_all(text.expose_secret().as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&partial, path)?;
    // The rename is durable only after the folder is synced, too.
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

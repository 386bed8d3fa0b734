//! The secrets that all keys are drawn from, and the file that keeps them.

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

/// Bytes of randomness in a secret made here.
const RANDOM_BYTES: usize = 32;
/// Bytes of a key's name: enough that two never meet.
const ID_BYTES: usize = 8;
/// Who may read the file: its owner.
const OWNER_ALONE: u32 = 0o600;

/// A secret, from which keys are drawn that tell nothing of it nor of each other (HKDF, RFC 5869).
#[derive(Clone)]
pub struct Secret(Hkdf<Sha256>);

impl Secret {
    /// Takes a secret of [`MIN_KEY_BYTES`] bytes or more.
    #[must_use]
    pub fn new(text: &SecretString) -> Self {
        Self(Hkdf::new(None, text.expose_secret().as_bytes()))
    }

    /// The name under which tokens point to their secret; it follows from the secret, so that nobody need give it one.
    #[must_use]
    pub fn id(&self) -> String {
        let key = self.derive_key(&[b"veraicon key id"]);
        hex::encode(&key[..ID_BYTES])
    }

    /// The key for one purpose, which is the parts put together.
    #[must_use]
    pub fn derive_key(&self, purpose: &[&[u8]]) -> [u8; 32] {
        let mut key = [0; 32];
        // An output of one hash's length is always to be had (RFC 5869, section 2.3), so there is nothing to report.
        let _ = self.0.expand_multi_info(purpose, &mut key);
        key
    }
}

/// Reads the secrets kept in `path`, at a start `now`: the first signs, all are good. At the first start one is made and kept there,
/// readable by its owner alone; a file that others may read is made its owner's alone again.
///
/// # Errors
/// The file cannot be read or written, or holds too short a secret.
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

/// Dates the secrets that sign no longer from this start on: until it they may have signed.
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

/// Puts a new secret before those kept in `path`, where there are any. A secret that was retired `keep` ago or earlier
/// goes, since no token that it signed is good any more; returns how many stay beside the new one.
///
/// # Errors
/// The file cannot be read or written, or holds too short a secret.
pub fn rotate(path: &Path, now: Milliseconds, keep: Milliseconds) -> io::Result<usize> {
    let _lock = lock(path)?;
    let mut lines = match read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        outcome => outcome?,
    };
    let stays = |at| now.saturating_sub(at) < keep;
    lines.retain(|line| keep > 0 && line.retired_at.is_none_or(stays));
    let kept = lines.len();
    lines.insert(0, Line::random()?);
    write(path, &lines)?;
    Ok(kept)
}

/// A line of the file: a secret, and behind it when another took its place.
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

/// Two that change the file at once would lose each other's keys.
fn lock(path: &Path) -> io::Result<File> {
    let lock = File::create(path.with_extension("lock"))?;
    lock.lock()?;
    Ok(lock)
}

fn read(path: &Path) -> io::Result<Vec<Line>> {
    let invalid = |text: String| io::Error::new(ErrorKind::InvalidData, text);
    let mut file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & !OWNER_ALONE != 0 {
        file.set_permissions(Permissions::from_mode(OWNER_ALONE))
            .map_err(|error| {
                let text = format!(
                    "others can read the key (mode {mode:o}), and this cannot be changed: {error}"
                );
                io::Error::new(error.kind(), text)
            })?;
        tracing::warn!(
            path = %path.display(),
            mode = format_args!("{mode:o}"),
            "others could read the signing key; it is its owner's alone again, and rotate-key makes a new one"
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
                "the key on line {} has {length} bytes; allowed: {MIN_KEY_BYTES} bytes or more",
                index + 1
            )));
        }
    }
    Ok(lines)
}

/// The file is written whole under another name first: a start that is cut short leaves no half of a secret.
fn write(path: &Path, lines: &[Line]) -> io::Result<()> {
    let unfinished = path.with_extension("partial");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(OWNER_ALONE)
        .open(&unfinished)?;
    // One that was left behind keeps the mode that it had.
    file.set_permissions(Permissions::from_mode(OWNER_ALONE))?;
    let text: SecretString = lines.iter().map(Line::render).collect::<String>().into();
    file.write_all(text.expose_secret().as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

//! How single values are read: each type parses its own text, whether it comes from a file, the environment or a flag.

use std::{
    fmt,
    marker::PhantomData,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use bytesize::ByteSize;
use ipnet::IpNet;
use secrecy::SecretString;
use serde::{
    Deserializer, Serialize, Serializer,
    de::{Error, SeqAccess, Visitor},
};

/// Stands in for a secret.
const HIDDEN: &str = "(set, not shown)";

/// A span of time, written `15m` or `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(Duration);

impl Period {
    /// A period of whole seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The period as the standard library knows it.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// The period in milliseconds, the unit of all stored times.
    #[must_use]
    pub fn milliseconds(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }
}

impl FromStr for Period {
    type Err = humantime::DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        humantime::parse_duration(text).map(Self)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] = [(86400, "d"), (3600, "h"), (60, "m"), (1, "s")];
        let seconds = self.0.as_secs();
        match UNITS
            .iter()
            .find(|(length, _)| seconds.is_multiple_of(*length))
        {
            Some((length, unit)) if seconds > 0 && self.0.subsec_nanos() == 0 => {
                write!(formatter, "{}{unit}", seconds / length)
            }
            _ => humantime::format_duration(self.0).fmt(formatter),
        }
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An address, or a range of them: `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Whether an address lies within.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl FromStr for Network {
    type Err = ipnet::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address: Result<IpAddr, _> = text.parse();
        address
            .map(IpNet::from)
            .or_else(|_| text.parse())
            .map(|network| Self(network.trunc()))
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A setting that is one of a few words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl FromStr for $name {
            type Err = &'static str;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err("no such word"),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(match self { $(Self::$variant => $word),+ })
            }
        }

        impl Setting for $name {
            const ALLOWED: &'static str = concat!("one of", $(" \"", $word, "\""),+);
        }
    };
}

words! {
    /// Whether anyone may make an account.
    Registration {
        /// Anyone may.
        Open = "open",
        /// Nobody may.
        Closed = "closed",
    }
}

words! {
    /// The format that pictures are stored in.
    PictureFormat {
        /// WebP.
        WebP = "webp",
    }
}

words! {
    /// Whether the service runs where worker processes cannot be closed in.
    SandboxNeed {
        /// It does, and says so.
        IfOffered = "if-offered",
        /// It does not.
        Required = "required",
    }
}

words! {
    /// How log lines are written.
    LogFormat {
        /// For people.
        Text = "text",
        /// A JSON object a line.
        Json = "json",
    }
}

/// A type that settings may have, and what to say is allowed when a text is none of its values.
pub(super) trait Setting: FromStr<Err: fmt::Display> {
    const ALLOWED: &'static str;
}

impl Setting for bool {
    const ALLOWED: &'static str = "true or false";
}
impl Setting for u8 {
    const ALLOWED: &'static str = "a whole number up to 255";
}
impl Setting for u32 {
    const ALLOWED: &'static str = "a whole number";
}
impl Setting for u64 {
    const ALLOWED: &'static str = "a whole number";
}
impl Setting for usize {
    const ALLOWED: &'static str = "a whole number";
}
impl Setting for String {
    const ALLOWED: &'static str = "a text";
}
impl Setting for SocketAddr {
    const ALLOWED: &'static str = "an address with a port, such as \"127.0.0.1:10001\"";
}
impl Setting for Network {
    const ALLOWED: &'static str = "an address or a range, such as \"10.0.0.0/8\"";
}
impl Setting for ByteSize {
    const ALLOWED: &'static str = "a size, such as \"20MiB\"";
}
impl Setting for Period {
    const ALLOWED: &'static str = "a time, such as \"15m\"";
}

/// Reads one value from a text, a number or a truth value.
pub(super) fn scalar<'de, D: Deserializer<'de>, T: Setting>(
    deserializer: D,
) -> Result<T, D::Error> {
    deserializer.deserialize_any(Scalar(PhantomData))
}

/// As [`scalar`]; an empty text is no value.
pub(super) fn optional<'de, D: Deserializer<'de>, T: Setting>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    scalar(deserializer).map(|Optional(value)| value)
}

/// A value, or an empty text.
struct Optional<T>(Option<T>);

impl<T: Setting> FromStr for Optional<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Ok(Self(None)),
            text => text.parse().map(|value| Self(Some(value))),
        }
    }
}

impl<T: Setting> Setting for Optional<T> {
    const ALLOWED: &'static str = T::ALLOWED;
}

/// As [`optional`], for what must never be shown.
pub(super) fn secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    Ok(optional::<_, String>(deserializer)?.map(SecretString::from))
}

/// Shows that a secret is set, and nothing of it.
pub(super) fn redacted<S: Serializer>(
    secret: &Option<SecretString>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match secret {
        Some(_) => serializer.serialize_str(HIDDEN),
        None => serializer.serialize_none(),
    }
}

/// As [`list`], for what must never be shown.
pub(super) fn secrets<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<SecretString>, D::Error> {
    let texts: Vec<String> = list(deserializer)?;
    Ok(texts.into_iter().map(SecretString::from).collect())
}

/// Shows how many secrets are set, and nothing of them.
pub(super) fn all_redacted<S: Serializer>(
    secrets: &[SecretString],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(secrets.iter().map(|_| HIDDEN))
}

/// Reads a list: a sequence, or a text with commas.
pub(super) fn list<'de, D: Deserializer<'de>, T: Setting>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_any(List(PhantomData))
}

struct Scalar<T>(PhantomData<T>);

impl<T: Setting> Visitor<'_> for Scalar<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(T::ALLOWED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse()
            .map_err(|error| E::custom(format!("{text:?} ({error}); allowed: {}", T::ALLOWED)))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }
}

struct List<T>(PhantomData<T>);

impl<'de, T: Setting> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a list, each {}", T::ALLOWED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<T>, E> {
        let parts = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        parts
            .map(|part| Scalar(PhantomData).visit_str(part))
            .collect()
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Vec<T>, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Vec<T>, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<T>, A::Error> {
        let mut values = Vec::new();
        while let Some(Element(value)) = sequence.next_element()? {
            values.push(value);
        }
        Ok(values)
    }
}

struct Element<T>(T);

impl<'de, T: Setting> serde::Deserialize<'de> for Element<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        scalar(deserializer).map(Self)
    }
}

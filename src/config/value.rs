//! Types of values. Each type parses its own text, from a file, the environment or a flag.

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

/// Text in place of a secret.
const HIDDEN: &str = "(set, not shown)";

/// A duration, written as `15m` or `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(Duration);

impl Period {
    /// Creates a period of whole seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Returns the period as a [`Duration`].
    #[must_use]
    pub(crate) const fn duration(self) -> Duration {
        self.0
    }

    /// Returns the period in milliseconds, the unit of stored times.
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
        // One unit if possible, as people write it: humantime would print 24h as "1day".
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

/// An IP address, or a network such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Returns true if an address belongs to the network.
    #[must_use]
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
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
            // "10.1.2.3/8" means 10.0.0.0/8.
            .map(|network| Self(network.trunc()))
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Defines an enum whose values are words in the settings.
macro_rules! word_enum {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl FromStr for $name {
            type Err = &'static str;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err("unknown value"),
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

word_enum! {
    /// Policy for new accounts.
    Registration {
        /// Anyone can register.
        Open = "open",
        /// Nobody can register.
        Closed = "closed",
    }
}

word_enum! {
    /// Format of stored pictures.
    PictureFormat {
        /// WebP.
        WebP = "webp",
    }
}

word_enum! {
    /// Reaction if the system cannot sandbox worker processes.
    SandboxNeed {
        /// The service starts and logs a warning.
        IfOffered = "if-offered",
        /// The service does not start.
        Required = "required",
    }
}

word_enum! {
    /// Format of log lines.
    LogFormat {
        /// Lines for people.
        Text = "text",
        /// One JSON object per line.
        Json = "json",
    }
}

/// A type of settings.
pub(super) trait Setting: FromStr<Err: fmt::Display> {
    /// Description of the allowed values, for errors.
    const ALLOWED: &'static str;
}

impl Setting for bool {
    const ALLOWED: &'static str = "true or false";
}
impl Setting for u8 {
    const ALLOWED: &'static str = "a whole number from 0 to 255";
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
    const ALLOWED: &'static str = "an IP address with a port, such as \"127.0.0.1:10001\"";
}
impl Setting for Network {
    const ALLOWED: &'static str = "an IP address or a network, such as \"10.0.0.0/8\"";
}
impl Setting for ByteSize {
    const ALLOWED: &'static str = "a size, such as \"20MiB\"";
}
impl Setting for Period {
    const ALLOWED: &'static str = "a time, such as \"15m\"";
}

/// Reads a value from a text, a number or a boolean.
///
/// The environment and flags give texts only, while a file may have `quality = 80`.
pub(super) fn scalar<'de, D: Deserializer<'de>, T: Setting>(
    deserializer: D,
) -> Result<T, D::Error> {
    deserializer.deserialize_any(Scalar(PhantomData))
}

/// Reads a value like [`scalar`]. An empty text means that it is not set.
///
/// So the environment can unset what the file sets.
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

/// Reads a secret like [`optional`].
pub(super) fn secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    Ok(optional::<_, String>(deserializer)?.map(SecretString::from))
}

/// Writes a placeholder if a secret is set.
pub(super) fn redacted<S: Serializer>(
    secret: &Option<SecretString>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match secret {
        Some(_) => serializer.serialize_str(HIDDEN),
        None => serializer.serialize_none(),
    }
}

/// Reads secrets like [`list`].
pub(super) fn secrets<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<SecretString>, D::Error> {
    let texts: Vec<String> = list(deserializer)?;
    Ok(texts.into_iter().map(SecretString::from).collect())
}

/// Writes a placeholder for each secret.
pub(super) fn all_redacted<S: Serializer>(
    secrets: &[SecretString],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(secrets.iter().map(|_| HIDDEN))
}

/// Reads a list from a sequence, or from a text with commas.
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

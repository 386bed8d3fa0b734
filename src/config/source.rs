//! Sources of settings, and errors that name the setting and its source in one line.

use std::{env, path::PathBuf};

use figment::{
    Figment, Metadata, Profile, Provider, Source,
    error::Kind,
    providers::{Format, Toml},
    value::{Dict, Map, Value},
};

use super::settings::Config;

/// Prefix of environment variables. Two underscores separate section and key.
const PREFIX: &str = "VERAICON_";

/// Settings on the command line.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Path of a settings file in TOML.
    pub file: Option<PathBuf>,
    /// Pairs of key and value, such as `("server.listen", "127.0.0.1:0")`.
    pub values: Vec<(String, String)>,
}

/// An invalid setting: its key, its source, and what is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{key} ({source_name}): {what}")]
pub struct InvalidSetting {
    key: String,
    source_name: String,
    what: String,
}

/// Reads and checks all settings. The file overrides the defaults, the environment overrides the
/// file, and the command line overrides the environment.
///
/// `environment` is a parameter, so that tests can control it.
///
/// # Errors
/// The first invalid setting.
pub fn load(
    overrides: &Overrides,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, InvalidSetting> {
    let mut figment = Figment::new();
    if let Some(path) = &overrides.file {
        // The library ignores a missing file.
        if !path.is_file() {
            return Err(InvalidSetting {
                key: "--config".into(),
                source_name: path.display().to_string(),
                what: "no such file".into(),
            });
        }
        // `file` would also search the parent folders.
        figment = figment.merge(Toml::file_exact(path));
    }
    let variables = environment
        .into_iter()
        .filter_map(|(name, text)| Some((key_of(&name)?, name, text)));
    for (key, name, text) in variables {
        figment = figment.merge(RawValue {
            source: format!("environment variable {name}"),
            key,
            text,
        });
    }
    for (key, text) in &overrides.values {
        figment = figment.merge(RawValue {
            source: "command line".into(),
            key: key.clone(),
            text: text.clone(),
        });
    }
    let config: Config = figment
        .extract()
        .map_err(|error| explain(&figment, error))?;
    config.validate().map_err(|(key, what)| InvalidSetting {
        key: key.into(),
        source_name: source_of(&figment, key),
        what,
    })?;
    Ok(config)
}

/// Returns the environment variables of the process. Skips those that are not valid Unicode.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    env::vars_os()
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)))
}

/// Returns the key of a variable: `pictures.max_bytes` for `VERAICON_PICTURES__MAX_BYTES`.
fn key_of(name: &str) -> Option<String> {
    name.strip_prefix(PREFIX)
        .map(|rest| rest.to_ascii_lowercase().replace("__", "."))
}

fn explain(figment: &Figment, error: figment::Error) -> InvalidSetting {
    let mut key = error.path.join(".");
    let what = match &error.kind {
        Kind::UnknownField(field, allowed) => {
            // Some errors have the path of the section only, others that of the field.
            if !key.ends_with(field.as_str()) {
                key = if key.is_empty() {
                    field.clone()
                } else {
                    format!("{key}.{field}")
                };
            }
            format!("unknown setting; known settings: {}", allowed.join(", "))
        }
        kind => kind.to_string(),
    };
    let source_name = error
        .metadata
        .as_ref()
        .map_or_else(|| source_of(figment, &key), describe);
    if key.is_empty() {
        key = "settings".into();
    }
    InvalidSetting {
        key,
        source_name,
        what,
    }
}

fn source_of(figment: &Figment, key: &str) -> String {
    figment
        .find_metadata(key)
        .map_or_else(|| "default".into(), describe)
}

fn describe(metadata: &Metadata) -> String {
    match metadata.source.as_ref().and_then(Source::file_path) {
        Some(path) => path.display().to_string(),
        None => metadata.name.to_string(),
    }
}

/// One value as raw text. The type of the setting parses it.
struct RawValue {
    source: String,
    key: String,
    text: String,
}

impl Provider for RawValue {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.source.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let value = figment::util::nest(&self.key, Value::from(self.text.clone()));
        let dict = value.into_dict().unwrap_or_default();
        Ok(Profile::Default.collect(dict))
    }
}

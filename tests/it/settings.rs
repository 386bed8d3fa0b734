//! Settings: defaults, sources and their precedence, and error messages.

use std::{collections::BTreeSet, fs, path::Path};

use secrecy::ExposeSecret;
use veraicon::config::{Config, Overrides, load};

fn with_environment(variables: &[(&str, &str)]) -> Result<Config, String> {
    let variables = variables
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    load(&Overrides::default(), variables).map_err(|invalid| invalid.to_string())
}

fn in_toml(config: &Config) -> toml::Table {
    toml::Table::try_from(config).unwrap()
}

/// Returns the names of all settings, such as `data_dir` and `server.listen`.
fn settings() -> BTreeSet<String> {
    let defaults = in_toml(&Config::default());
    let mut settings = BTreeSet::new();
    for name in names_in("") {
        if defaults[&name].is_table() {
            let keys = names_in(&format!("{name}."));
            settings.extend(keys.iter().map(|key| format!("{name}.{key}")));
        } else {
            settings.insert(name);
        }
    }
    settings
}

/// Returns the names of a section. They come from the error about an unknown name, since the
/// default values do not include settings without a default.
fn names_in(prefix: &str) -> Vec<String> {
    let error = with_setting(&format!("{prefix}unknown"), "").unwrap_err();
    let (_, names) = error.rsplit_once(": ").unwrap();
    names.split(", ").map(str::to_owned).collect()
}

fn with_setting(setting: &str, text: &str) -> Result<Config, String> {
    let overrides = Overrides {
        file: None,
        values: vec![(setting.to_owned(), text.to_owned())],
    };
    load(&overrides, []).map_err(|invalid| invalid.to_string())
}

#[test]
fn the_documentation_lists_every_setting_with_its_default() {
    let page = include_str!("../../docs/configuration.md");
    let defaults = in_toml(&Config::default());
    let mut documented = BTreeSet::new();
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let [_, setting, default, meaning, _] = cells[..] else {
            panic!("row without three columns: {row}");
        };
        let setting = setting.trim_matches('`');
        assert!(!meaning.is_empty(), "{setting}");
        assert!(
            documented.insert(setting.to_owned()),
            "duplicate row: {setting}"
        );
        let value = match setting.split_once('.') {
            Some((section, key)) => defaults[section].get(key),
            None => defaults.get(setting),
        };
        match default {
            "not set" => assert_eq!(value, None, "{setting}"),
            "empty" => assert_eq!(value.unwrap().as_str(), Some(""), "{setting}"),
            "none" => assert_eq!(value.unwrap().as_array().unwrap().len(), 0, "{setting}"),
            default => {
                assert!(value.is_some(), "{setting} has no default");
                let config = with_setting(setting, default.trim_matches('`')).unwrap();
                assert_eq!(in_toml(&config), defaults, "{setting}");
            }
        }
    }
    assert_eq!(documented, settings());
}

#[test]
fn the_example_file_lists_every_setting_with_its_default() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml");
    let text = fs::read_to_string(&example).unwrap();
    let overrides = Overrides {
        file: Some(example),
        values: Vec::new(),
    };
    let config = load(&overrides, []).unwrap();
    assert_eq!(in_toml(&config), in_toml(&Config::default()));
    let mut section = String::new();
    let mut listed = BTreeSet::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.replace(']', ".");
        }
        // Settings without a default are commented out.
        let assignment = line.trim_start_matches("# ").split_once(" = ");
        if let Some((key, _)) = assignment.filter(|(key, _)| !key.contains(' ')) {
            listed.insert(format!("{section}{key}"));
        }
    }
    assert_eq!(listed, settings());
}

#[test]
fn environment_variables_are_parsed_by_the_type_of_their_setting() {
    let config = with_environment(&[
        ("VERAICON_DATA_DIR", "/tmp/somewhere"),
        ("VERAICON_SERVER__LISTEN", "0.0.0.0:80"),
        (
            "VERAICON_SERVER__ALLOWED_ORIGINS",
            "https://a.example, https://b.example",
        ),
        ("VERAICON_SERVER__TRUSTED_PROXIES", "10.1.2.3/8, ::1"),
        ("VERAICON_PICTURES__SIZES", "300,100"),
        ("VERAICON_PICTURES__MAX_BYTES", "5MiB"),
        ("VERAICON_PICTURES__QUALITY", "75"),
        ("VERAICON_TOKENS__KEY", "12345678901234567890123456789012"),
        ("VERAICON_TOKENS__ACCESS_TTL", "1s"),
        ("VERAICON_LIMITS__ENABLED", "false"),
        ("VERAICON_ACCOUNTS__REGISTRATION", "closed"),
        ("OTHER_SERVER__LISTEN", "nonsense"),
    ])
    .unwrap();
    assert_eq!(config.data_dir, Path::new("/tmp/somewhere"));
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:80");
    assert_eq!(
        config.server.allowed_origins,
        ["https://a.example", "https://b.example"]
    );
    let proxies = ["10.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap());
    assert_eq!(config.server.trusted_proxies, proxies);
    assert_eq!(config.pictures.sizes, [300, 100]);
    assert_eq!(config.pictures.max_bytes.0, 5 << 20);
    assert_eq!(
        config.tokens.key.unwrap().expose_secret(),
        "12345678901234567890123456789012"
    );
    assert_eq!(config.tokens.access_ttl.milliseconds(), 1000);
    assert!(!config.limits.enabled);
}

#[test]
fn flags_override_the_environment_which_overrides_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("veraicon.toml");
    fs::write(&file, "[pictures]\nquality = 60\nqueue = 7\nworkers = 3").unwrap();
    let overrides = Overrides {
        file: Some(file),
        values: vec![("pictures.queue".into(), "9".into())],
    };
    let environment = [("PICTURES__QUALITY", "70"), ("PICTURES__QUEUE", "8")];
    let environment = environment.map(|(name, text)| (format!("VERAICON_{name}"), text.to_owned()));
    let pictures = load(&overrides, environment).unwrap().pictures;
    assert_eq!(
        (pictures.workers, pictures.quality, pictures.queue),
        (3, 70, 9)
    );
}

#[test]
fn an_invalid_setting_is_reported_in_one_line_with_source_and_allowed_values() {
    let wrong = [
        ("VERAICON_SERVER__LISTEN", "localhost"),
        ("VERAICON_SERVER__BASE_PATH", "douyin/"),
        ("VERAICON_SERVER__PUBLIC_URL", "example.com"),
        ("VERAICON_SERVER__ALLOWED_ORIGINS", "*"),
        ("VERAICON_SERVER__TRUSTED_PROXIES", "10.0.0.0/8,proxy"),
        ("VERAICON_DATABASE__URL", "mongodb://secret@host/db"),
        ("VERAICON_STORAGE__URL", "ftp://secret@host"),
        ("VERAICON_TOKENS__KEY", "too short a secret"),
        (
            "VERAICON_TOKENS__PREVIOUS_KEYS",
            "a secret that is long enough to be one,too short a secret",
        ),
        ("VERAICON_TOKENS__ACCESS_TTL", "0s"),
        ("VERAICON_TOKENS__ACCESS_TTL", "60d"),
        ("VERAICON_TOKENS__REFRESH_TTL", "soon"),
        ("VERAICON_ACCOUNTS__TIME_ZONE", "Mars/Olympus"),
        ("VERAICON_ACCOUNTS__BCRYPT_COST", "99"),
        ("VERAICON_ACCOUNTS__REGISTRATION", "maybe"),
        ("VERAICON_PICTURES__SIZES", "512,512"),
        ("VERAICON_PICTURES__SIZES", "512,x"),
        ("VERAICON_PICTURES__QUALITY", "0"),
        ("VERAICON_PICTURES__QUALITY", "eighty"),
        ("VERAICON_PICTURES__FORMAT", "png"),
        ("VERAICON_PICTURES__MAX_BYTES", "lots"),
        ("VERAICON_LIMITS__ENABLED", "yes"),
        ("VERAICON_LIMITS__LOGIN_FAILURES_PER_ACCOUNT", "0"),
        ("VERAICON_LIMITS__FIRST_WAIT", "16m"),
        ("VERAICON_LOG__FILTER", "a=b=c"),
        ("VERAICON_PICTURES__QUALTY", "80"),
        ("VERAICON_PICTURE__QUALITY", "80"),
    ];
    let lines: Vec<_> = wrong
        .iter()
        .map(|variable| with_environment(&[*variable]).unwrap_err())
        .collect();
    for line in &lines {
        assert!(!line.contains('\n') && !line.contains("secret"), "{line}");
    }
    insta::assert_json_snapshot!(lines);
}

#[test]
fn an_error_in_a_file_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("veraicon.toml");
    let message = |text: &str| {
        fs::write(&file, text).unwrap();
        let overrides = Overrides {
            file: Some(file.clone()),
            values: Vec::new(),
        };
        load(&overrides, []).unwrap_err().to_string()
    };
    for text in [
        "[pictures]\nquality = 0",
        "[pictures]\nquality = [1]",
        "[pictures]\nqualty = 1",
        "quality =",
    ] {
        let line = message(text);
        assert!(line.contains("veraicon.toml"), "{line}");
    }
    let missing = Overrides {
        file: Some(folder.path().join("nowhere.toml")),
        values: Vec::new(),
    };
    assert!(
        load(&missing, [])
            .unwrap_err()
            .to_string()
            .contains("nowhere.toml")
    );
}

//! Settings of the service: their names, defaults and allowed values.
//!
//! [`load`] reads them from a TOML file, the environment and the command line. A later source
//! overrides an earlier one.

mod accounts;
mod check;
mod database;
mod limits;
mod log;
mod pictures;
mod server;
mod settings;
mod source;
mod storage;
mod tokens;
mod value;

pub use self::{
    accounts::AccountSettings,
    database::DatabaseSettings,
    limits::LimitSettings,
    log::LogSettings,
    pictures::PictureSettings,
    server::ServerSettings,
    settings::Config,
    source::{InvalidSetting, Overrides, environment, load},
    storage::StorageSettings,
    tokens::{MIN_KEY_BYTES, TokenSettings},
    value::{LogFormat, Network, Period, PictureFormat, Registration, SandboxNeed},
};

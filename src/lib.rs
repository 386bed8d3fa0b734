//! An avatar service. An app hands it an upload. The service proves that the bytes are a picture,
//! refuses everything else, and returns small, clean, immutable pictures. It brings the accounts
//! and tokens that this needs.
//!
//! Data flows one way: [`http`] → [`accounts`], [`avatars`] → [`database`], [`storage`],
//! [`workers`] → [`veraicon_picture`].

#[cfg(not(target_os = "linux"))]
compile_error!("veraicon runs on Linux only: worker processes need memfd, seccomp and Landlock");

pub mod accounts;
pub mod app;
pub mod auth;
pub mod avatars;
pub mod cli;
pub mod clock;
pub mod config;
pub mod database;
pub mod digest;
pub mod failure;
mod heap;
pub mod http;
pub mod identicon;
mod jobs;
pub mod maintenance;
pub mod metrics;
pub mod node;
pub mod serve;
pub mod snowflake;
pub mod storage;
pub mod workers;

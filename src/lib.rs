//! An avatar service: an app hands it any upload; it proves that the bytes are a picture, rejects what is not, and gives
//! back small, clean, immutable ones, with the accounts and tokens that this needs.
//!
//! Data flows one way: [`http`] → [`accounts`], [`avatars`] → [`database`], [`storage`], [`workers`] → [`veraicon_picture`].

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

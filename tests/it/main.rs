//! Integration tests of the service over HTTP. Each test has its own database and data folder.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod balancer;
mod bodies;
mod cache;
mod command;
mod contract;
mod database;
mod durability;
mod fleet;
mod forms;
mod interleavings;
mod keys;
mod kills;
mod maintenance;
mod migrations;
mod modules;
mod nodes;
mod object_store;
mod passwords;
mod picture;
mod removal;
mod scale;
mod service;
mod serving;
mod sessions;
mod settings;
mod throttle;
mod tokens;
mod uploads;
mod workers;

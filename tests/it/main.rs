//! The service as its users meet it: over HTTP, each test with its own database and folder.

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
mod migrations;
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
mod upkeep;
mod uploads;
mod workers;

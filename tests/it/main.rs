//! The service as its users meet it: over HTTP, each test with its own database and folder.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod bodies;
mod command;
mod contract;
mod database;
mod durability;
mod forms;
mod interleavings;
mod keys;
mod kills;
mod nodes;
mod object_store;
mod passwords;
mod picture;
mod removal;
mod service;
mod serving;
mod sessions;
mod settings;
mod throttle;
mod tokens;
mod upkeep;
mod uploads;
mod workers;

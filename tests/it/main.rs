//! The service as its users meet it: over HTTP, each test with its own database and folder.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod bodies;
mod command;
mod contract;
mod database;
mod durability;
mod forms;
mod nodes;
mod picture;
mod removal;
mod service;
mod serving;
mod settings;
mod tokens;
mod uploads;

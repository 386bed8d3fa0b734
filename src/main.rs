//! The `veraicon` command.

fn main() {}

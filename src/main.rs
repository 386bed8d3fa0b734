//! The `veraicon` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    veraicon::cli::main()
}

//! Output of the command line: results on standard output, errors and the log on standard error.

use std::io::{IsTerminal, Write};

use crate::config::{Config, LogFormat};

/// Sets up the log as the settings say.
pub(super) fn start_log(config: &Config) {
    let filter = tracing_subscriber::EnvFilter::new(&config.log.filter);
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // Fails if a test in the same process has set up a log before; that one stays.
    let _ = match config.log.format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().try_init(),
    };
}

/// Prints a result.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// Prints why the command failed.
pub(super) fn print_error(problem: &dyn std::fmt::Display) {
    // If standard error is closed, the exit code is all that is left.
    let _ = writeln!(std::io::stderr(), "veraicon: {problem}");
}

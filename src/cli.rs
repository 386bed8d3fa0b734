//! The command line.

mod accounts;
mod maintenance;
mod output;
mod progress;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context;
use clap::{Parser, Subcommand};
use tokio::{net::TcpListener, signal};

use self::output::{print, print_error, start_log};
use crate::{
    app::{self, App},
    auth::key,
    clock::Clock,
    config::{self, Config, Overrides},
    heap::MallocTuning,
    http,
    metrics::Metrics,
    serve,
    storage::create_durably,
    workers::{self, Program, Workers},
};

/// Checks that uploads are pictures, and serves them as avatars.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// A settings file in TOML
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The directory for database, pictures and signing key
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<String>,
    /// The address to listen on
    #[arg(long, global = true, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Any other setting: --set pictures.quality=85
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Debug, Default, Subcommand)]
enum Command {
    /// Run the service (the default)
    #[default]
    Serve,
    /// Bring the database's tables up to date
    Migrate,
    /// Check all settings, print those in force, and report the sandbox of worker processes
    CheckConfig,
    /// Make a new signing key. Tokens of the present key stay valid
    RotateKey {
        /// Delete all older keys: all users must log in again
        #[arg(long)]
        forget: bool,
    },
    /// Report stored pictures that are not in use, and remove them with --remove
    Gc(maintenance::Gc),
    /// Read every picture that an account has, and report broken ones
    Fsck(maintenance::Fsck),
    /// Copy all pictures to another store, and make it the store of the service
    MoveStorage(maintenance::MoveStorage),
    /// List, show and change accounts
    #[command(subcommand)]
    User(accounts::Command),
    /// Print the OpenAPI document
    Openapi,
}

/// Exit code if a setting is wrong. Nothing was started then.
const EXIT_INVALID: u8 = 2;

/// Reads the command line, runs the command, and returns the exit code.
#[must_use]
pub fn main() -> ExitCode {
    // Before any thread is started: the sandbox of a worker process applies to one thread only.
    if let Some(exit) = workers::process::enter(std::env::args_os()) {
        return exit;
    }
    let arguments = Arguments::parse();
    // An unknown variable with the prefix of the settings is an error. These two have the prefix,
    // but are read by `move-storage`.
    let environment =
        config::environment().filter(|(name, _)| !maintenance::TARGET_KEYS.contains(&&**name));
    let config = match config::load(&arguments.overrides(), environment) {
        Ok(config) => config,
        Err(invalid) => {
            print_error(&invalid);
            return ExitCode::from(EXIT_INVALID);
        }
    };
    match run(arguments.command.unwrap_or_default(), config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

impl Arguments {
    fn overrides(&self) -> Overrides {
        let mut values = self.set.clone();
        values.extend(
            self.data_dir
                .iter()
                .map(|value| ("data_dir".to_owned(), value.clone())),
        );
        values.extend(
            self.listen
                .iter()
                .map(|value| ("server.listen".to_owned(), value.clone())),
        );
        Overrides {
            file: self.config.clone(),
            values,
        }
    }
}

fn run(command: Command, config: Config) -> anyhow::Result<()> {
    match command {
        Command::Serve => block_on(run_service(config)),
        Command::Migrate => block_on(migrate(config)),
        Command::CheckConfig => {
            print(&toml::to_string(&config)?)?;
            block_on(report_sandbox(config))
        }
        Command::RotateKey { forget } => rotate_key(&config, forget),
        Command::Gc(arguments) => block_on(maintenance::gc(config, arguments)),
        Command::Fsck(arguments) => block_on(maintenance::fsck(config, arguments)),
        Command::MoveStorage(arguments) => block_on(maintenance::move_storage(config, arguments)),
        Command::User(command) => block_on(accounts::run(config, command)),
        Command::Openapi => print(&format!(
            "{:#}\n",
            http::openapi_document(&config.public_url(config.server.listen.port()))
        )),
    }
}

/// Settings of the memory allocator (glibc `mallopt`), in bytes. The process keeps some freed
/// memory, so that most responses need no new pages from the kernel.
const MALLOC_TUNING: MallocTuning = MallocTuning {
    mmap_threshold: 1 << 20,
    trim_threshold: 4 << 20,
    top_pad: 128 << 10,
};

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    MALLOC_TUNING.apply();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

/// Runs the service until a signal stops it.
async fn run_service(config: Config) -> anyhow::Result<()> {
    start_log(&config);
    // Each connection uses a file descriptor. The usual soft limit is 1024, the hard limit is
    // higher.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "cannot raise the limit on open files (RLIMIT_NOFILE)");
    }
    // The port is bound first: with port 0, the URLs need the port that the kernel chose.
    let listener = TcpListener::bind(config.server.listen)
        .await
        .with_context(|| format!("server.listen: cannot listen on {}", config.server.listen))?;
    let address = listener.local_addr()?;
    let data_dir = config.data_dir.clone();
    let metrics = match config.server.metrics_listen {
        Some(address) => Some(
            TcpListener::bind(address)
                .await
                .with_context(|| format!("server.metrics_listen: cannot listen on {address}"))?,
        ),
        None => None,
    };
    let program = Program::this();
    let app = App::open(config, Clock::System, address.port(), program).await?;
    if let Some(listener) = metrics {
        tokio::spawn(http::serve_metrics(listener, app.metrics.clone()));
    }
    print(&format!(
        "veraicon listens on {}; its data is in {}\n",
        app.public_url(),
        data_dir.display()
    ))?;
    serve::run(listener, app, stop_signal()).await;
    Ok(())
}

/// Creates the signing key if there is none, and runs the migrations of the database.
async fn migrate(config: Config) -> anyhow::Result<()> {
    start_log(&config);
    // No service on this data directory may run while its tables change.
    let _lock = app::lock(&config)?;
    app::secrets(&config, Clock::System.now())?;
    app::open_database(&config).await?.close().await;
    Ok(())
}

/// Starts one worker process to find out how far this system can sandbox it.
async fn report_sandbox(config: Config) -> anyhow::Result<()> {
    let policy = Arc::new(app::policy(&config));
    let budget = app::budget(&config, &policy)?;
    let program = Program::this();
    let workers = Workers::new(budget.clone(), policy, program, Metrics::default());
    let sandbox = workers.open().await;
    workers.close();
    let sandbox = sandbox.context("a worker process cannot be started")?;
    print(&format!(
        "\n# {budget}\n# worker processes, tried and denied: {}\n# worker processes, tried and possible: {}\n",
        sandbox.denied.join(", "),
        sandbox.possible.join(", "),
    ))
}

/// Makes a new signing key. Older keys are kept until all of their tokens have expired, or deleted
/// at once with `forget`.
fn rotate_key(config: &Config, forget: bool) -> anyhow::Result<()> {
    anyhow::ensure!(
        config.tokens.key.is_none(),
        "tokens.key is set in the settings: set a new key there, and move the present one to \
         tokens.previous_keys"
    );
    start_log(config);
    create_durably(&config.data_dir)
        .with_context(|| format!("data_dir: cannot create {}", config.data_dir.display()))?;
    let path = config.key_path();
    let keep = if forget {
        0
    } else {
        config.tokens.refresh_ttl.milliseconds()
    };
    let kept = key::rotate(&path, Clock::System.now(), keep)
        .with_context(|| format!("tokens.key: {}", path.display()))?;
    print(&format!(
        "{} has a new key; tokens of {kept} older keys stay valid; the service uses the new key from its \
         next start on\n",
        path.display()
    ))
}

/// Waits for Ctrl-C or SIGTERM.
async fn stop_signal() {
    let terminated = async {
        match signal::unix::signal(signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            // Without a handler, SIGTERM ends the process by default. Ctrl-C still works.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = signal::ctrl_c() => {}
        () = terminated => {}
    }
}

/// Splits `KEY=VALUE` at the first equals sign.
fn pair(text: &str) -> Result<(String, String), &'static str> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = pair.ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

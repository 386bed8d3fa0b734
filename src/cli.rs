//! The command line.

mod accounts;
mod maintenance;
mod progress;

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use tokio::{net::TcpListener, signal};

use crate::{
    app::{self, App},
    auth::key,
    clock::Clock,
    config::{self, Config, LogFormat, Overrides},
    heap::MallocTuning,
    http,
    metrics::Metrics,
    serve,
    storage::create_durably,
    workers::{self, Program, Workers},
};

/// Proves that uploads are pictures, and serves them as avatars.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// A settings file in TOML
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where database, pictures and signing key lie
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
    /// Run the service (what happens without a command)
    #[default]
    Serve,
    /// Bring the database's tables up to date, and end
    Migrate,
    /// Check all settings and print those in force, and end
    CheckConfig,
    /// Put a new signing key before the one in use, whose tokens stay good, and end
    RotateKey {
        /// Keep no key but the new one: whoever is logged in must log in again
        #[arg(long)]
        forget: bool,
    },
    /// Tell which stored pictures nothing names any more, and end
    Gc(maintenance::Collect),
    /// Read every picture that an account has, tell what is not whole, and end
    Fsck(maintenance::Check),
    /// Copy all pictures to another store, and have the service use that, and end
    MoveStorage(maintenance::Relocate),
    /// List, show and change accounts
    #[command(subcommand)]
    User(accounts::Command),
    /// Print the OpenAPI document, and end
    Openapi,
}

/// Settings are wrong: nothing was started.
const EXIT_INVALID: u8 = 2;

/// Reads the command line, does what it says, and returns the exit code.
#[must_use]
pub fn main() -> ExitCode {
    // Before any thread is started: a worker could not be closed in any more.
    if let Some(exit) = workers::process::enter(std::env::args_os()) {
        return exit;
    }
    let arguments = Arguments::parse();
    let config = match config::load(&arguments.overrides(), config::environment()) {
        Ok(config) => config,
        Err(invalid) => {
            complain(&invalid);
            return ExitCode::from(EXIT_INVALID);
        }
    };
    match run(arguments.command.unwrap_or_default(), config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format_args!("{error:#}"));
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
            block_on(try_sandbox(config))
        }
        Command::RotateKey { forget } => rotate_key(&config, forget),
        Command::Gc(arguments) => block_on(maintenance::collect(config, arguments)),
        Command::Fsck(arguments) => block_on(maintenance::check(config, arguments)),
        Command::MoveStorage(arguments) => block_on(maintenance::relocate(config, arguments)),
        Command::User(command) => block_on(accounts::run(config, command)),
        Command::Openapi => print(&format!(
            "{:#}\n",
            http::openapi_document(&config.public_url(config.server.listen.port()))
        )),
    }
}

/// Enough that answers to requests are made of memory that is there.
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

async fn run_service(config: Config) -> anyhow::Result<()> {
    start_log(&config);
    // Each connection takes a descriptor, and the usual soft limit is lower than the hard one for no good reason.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit on open files could not be raised");
    }
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
        "veraicon listens on {}; data lies in {}\n",
        app.public_url(),
        data_dir.display()
    ))?;
    serve::run(listener, app, stop_signal()).await;
    Ok(())
}

async fn migrate(config: Config) -> anyhow::Result<()> {
    start_log(&config);
    let _lock = app::lock(&config)?;
    app::secrets(&config, Clock::System.now())?;
    app::open_database(&config).await?.close().await;
    Ok(())
}

/// Starts one worker process to learn what this system offers.
async fn try_sandbox(config: Config) -> anyhow::Result<()> {
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

fn rotate_key(config: &Config, forget: bool) -> anyhow::Result<()> {
    anyhow::ensure!(
        config.tokens.key.is_none(),
        "tokens.key is set: set it anew, and put the present one into tokens.previous_keys"
    );
    start_log(config);
    create_durably(&config.data_dir)
        .with_context(|| format!("data_dir: cannot make {}", config.data_dir.display()))?;
    let path = config.key_path();
    let keep = if forget {
        0
    } else {
        config.tokens.refresh_ttl.milliseconds()
    };
    let kept = key::rotate(&path, Clock::System.now(), keep)
        .with_context(|| format!("tokens.key: {}", path.display()))?;
    print(&format!(
        "{} has a new key, beside {kept} whose tokens stay good; the service takes it up at its next start\n",
        path.display()
    ))
}

/// Ends when the service is asked to stop, by Ctrl-C or by what runs it.
async fn stop_signal() {
    let terminated = async {
        match signal::unix::signal(signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = signal::ctrl_c() => {}
        () = terminated => {}
    }
}

fn start_log(config: &Config) {
    let filter = tracing_subscriber::EnvFilter::new(&config.log.filter);
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // A second log in one process is refused, and the first goes on.
    let _ = match config.log.format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().try_init(),
    };
}

fn pair(text: &str) -> Result<(String, String), &'static str> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = pair.ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn print(text: &str) -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

fn complain(problem: &dyn std::fmt::Display) {
    // Where standard error is closed there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "veraicon: {problem}");
}

//! Commands that look after what is stored.

use anyhow::{Context, ensure};
use clap::Args;
use secrecy::SecretString;

use super::{print, progress::Bar, start_log};
use crate::{
    app::CommandContext,
    clock::Clock,
    config::Config,
    database::{cluster_settings, unique_name},
    maintenance::{FsckReport, GcReport, MoveReport, Repair},
    storage::{Location, Storage},
    workers::Program,
};

/// The variables that hold the key to the store that pictures are moved to.
const TO_KEYS: [&str; 2] = ["VERAICON_TO_ACCESS_KEY", "VERAICON_TO_SECRET_KEY"];

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Collect {
    /// Remove them too
    #[arg(long)]
    remove: bool,
}

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Check {
    /// Put right what can be put right without loss: rows, and missing sizes of which a larger one is left
    #[arg(long)]
    repair: bool,
    /// And give accounts of whose picture nothing is left the default one
    #[arg(long, requires = "repair")]
    reset_lost: bool,
}

#[derive(Clone, Debug, Args)]
pub(super) struct Relocate {
    /// The store to copy to, as storage.url has it; its key in VERAICON_TO_ACCESS_KEY and VERAICON_TO_SECRET_KEY
    #[arg(long, value_name = "URL")]
    to: String,
    /// Read everything back, and compare
    #[arg(long)]
    verify: bool,
}

pub(super) async fn open(config: Config) -> anyhow::Result<CommandContext> {
    start_log(&config);
    let program = Program::this();
    CommandContext::open(config, Clock::System, program).await
}

pub(super) async fn collect(config: Config, arguments: Collect) -> anyhow::Result<()> {
    let context = open(config).await?;
    let bar = Bar::new();
    let collected = context.avatars.collect(arguments.remove, &bar).await;
    bar.end();
    let GcReport {
        pictures,
        due,
        orphans,
        young,
        foreign,
        removed,
    } = collected?;
    print(&format!(
        "{pictures} pictures in the store: {orphans} that no row names, {young} more that are younger than storage.grace; \
         {due} whose time is over; {foreign} objects that are no pictures\n"
    ))?;
    print(&if arguments.remove {
        format!("{removed} removed\n")
    } else {
        "nothing was removed; --remove does it\n".to_owned()
    })?;
    context.close().await;
    Ok(())
}

pub(super) async fn check(config: Config, arguments: Check) -> anyhow::Result<()> {
    let context = open(config).await?;
    let cure = match arguments {
        Check { repair: false, .. } => Repair::None,
        Check {
            reset_lost: false, ..
        } => Repair::Mend,
        Check { .. } => Repair::MendAndReset,
    };
    let opened = context.proof.open().await;
    opened.context("a worker process cannot be started")?;
    if cure != Repair::None {
        let opened = context.avatars.workers.open().await;
        opened.context("a worker process cannot be started")?;
    }
    let bar = Bar::new();
    let checked = context.avatars.check(&context.proof, cure, &bar).await;
    bar.end();
    let FsckReport {
        accounts,
        broken,
        rows,
        cured,
    } = checked?;
    print(&format!(
        "{accounts} accounts with a picture: {broken} whose picture is not whole; {rows} rows that were wrong; {cured} put right\n"
    ))?;
    context.close().await;
    ensure!(cured == broken + rows, "not everything is whole");
    Ok(())
}

pub(super) async fn relocate(config: Config, arguments: Relocate) -> anyhow::Result<()> {
    let to = Location::parse(&arguments.to).map_err(|what| anyhow::anyhow!("--to: {what}"))?;
    let mut access = config.storage.access();
    let [key, secret] = TO_KEYS.map(|name| std::env::var(name).ok());
    if key.is_some() {
        access.key = key;
        access.secret = secret.map(SecretString::from);
    }
    let context = open(config).await?;
    ensure!(
        to != context.location,
        "--to: {to} is where the pictures lie already"
    );
    let target = Storage::open(&to, &access, String::new())
        .await
        .context("--to: the store cannot be opened")?;
    let agreed = context.database.agreed(cluster_settings::STORE).await?;
    let found = target.name().await.context("--to")?;
    ensure!(
        found.is_none() || found != agreed,
        "--to: {to} is where the pictures lie already"
    );
    // Agreed on beforehand, so that a move that was cut off can be begun again.
    let next = context
        .database
        .agree(cluster_settings::NEXT_STORE, &unique_name()?)
        .await?;
    ensure!(
        found.is_none_or(|found| found == next),
        "--to: {to} holds the pictures of another database"
    );
    let bar = Bar::new();
    // What is uploaded after the last pass would be missed: no service may begin from here on, or run.
    let alone = context.shut_out_service();
    let passes = async {
        loop {
            let runs = alone.is_none() || context.nodes_run().await?;
            let pass = context
                .avatars
                .relocate(&target, arguments.verify, &bar)
                .await?;
            print(&display_name(&pass))?;
            if pass.copied == 0 || runs || pass.broken > 0 {
                return anyhow::Ok((pass, runs || context.nodes_run().await?));
            }
        }
    };
    let moved = passes.await;
    bar.end();
    let (pass, running) = moved?;
    ensure!(
        pass.broken == 0,
        "{} pictures are not whole where they come from: see veraicon fsck",
        pass.broken
    );
    if running {
        print(&format!(
            "a service is running, and what it stores from now on is not in {to}: stop it, and do this again to switch\n"
        ))?;
    } else {
        target.set_name(&next).await.context("--to")?;
        let database = &context.database;
        let agreed = database.agree_anew(cluster_settings::STORE, &next).await;
        agreed.context("database.url")?;
        let fresh = unique_name()?;
        let agreed = database
            .agree_anew(cluster_settings::NEXT_STORE, &fresh)
            .await;
        agreed.context("database.url")?;
        print(&format!(
            "the pictures lie in {to} from now on: set storage.url to {:?} before you start the service\n",
            arguments.to
        ))?;
    }
    context.close().await;
    Ok(())
}

fn display_name(pass: &MoveReport) -> String {
    format!(
        "{} pictures; {} objects copied, {:.1} MiB\n",
        pass.pictures,
        pass.copied,
        pass.bytes as f64 / f64::from(1 << 20)
    )
}

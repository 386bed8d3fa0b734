//! Commands that look after what is stored.

use anyhow::{Context, ensure};
use clap::Args;
use secrecy::SecretString;

use super::{print, progress::Bar, start_log};
use crate::{
    app::CommandContext,
    clock::Clock,
    config::Config,
    database::{ClusterSetting, unique_name},
    maintenance::{FsckReport, GcReport, MoveReport, Repair},
    storage::{BucketCredentials, Storage, StorageLocation},
    workers::Program,
};

/// The variables with the credentials of the store that pictures are moved to.
const TO_ACCESS_KEY: &str = "VERAICON_TO_ACCESS_KEY";
const TO_SECRET_KEY: &str = "VERAICON_TO_SECRET_KEY";

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
    let program = Program::this().context("this program cannot be found")?;
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
    let to =
        StorageLocation::parse(&arguments.to).map_err(|what| anyhow::anyhow!("--to: {what}"))?;
    let mut options = config.storage.options();
    if let Ok(access_key) = std::env::var(TO_ACCESS_KEY) {
        let secret_key = std::env::var(TO_SECRET_KEY);
        let secret_key = secret_key
            .with_context(|| format!("{TO_ACCESS_KEY} is set, so {TO_SECRET_KEY} is required"))?;
        options.credentials = Some(BucketCredentials {
            access_key,
            secret_key: SecretString::from(secret_key),
        });
    }
    let context = open(config).await?;
    ensure!(
        to != context.location,
        "--to: {to} is where the pictures lie already"
    );
    let target = Storage::open(&to, &options, String::new())
        .await
        .context("--to: the store cannot be opened")?;
    let agreed = context
        .database
        .cluster_setting(ClusterSetting::Store)
        .await?;
    let found = target.name().await.context("--to")?;
    ensure!(
        found.is_none() || found != agreed,
        "--to: {to} is where the pictures lie already"
    );
    // Agreed on beforehand, so that a move that was cut off can be begun again.
    let next = context
        .database
        .get_or_insert_cluster_setting(ClusterSetting::NextStore, &unique_name()?)
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
        // Both in one transaction: otherwise the next move could give its target the name of this one.
        let fresh = unique_name()?;
        let switch = [
            (ClusterSetting::Store, &*next),
            (ClusterSetting::NextStore, &*fresh),
        ];
        let switched = context.database.set_cluster_settings(&switch).await;
        switched.context("database.url")?;
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

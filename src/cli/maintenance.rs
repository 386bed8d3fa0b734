//! Commands that maintain stored pictures: `gc`, `fsck` and `move-storage`.

use anyhow::{Context, ensure};
use clap::Args;
use secrecy::SecretString;

use super::{
    output::{print, start_log},
    progress::Bar,
};
use crate::{
    app::CommandContext,
    clock::Clock,
    config::Config,
    database::{ClusterSetting, unique_name},
    maintenance::{FsckReport, GcReport, MoveReport, Repair},
    storage::{BucketCredentials, Storage, StorageLocation},
    workers::{Program, Workers},
};

/// Environment variables with the credentials of the bucket that `move-storage` copies to.
pub(super) const TARGET_KEYS: [&str; 2] = ["VERAICON_TO_ACCESS_KEY", "VERAICON_TO_SECRET_KEY"];

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Gc {
    /// Remove the pictures that were found
    #[arg(long)]
    remove: bool,
}

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Fsck {
    /// Make the repairs that lose nothing: correct wrong rows, and make missing sizes from a larger
    /// one
    #[arg(long)]
    repair: bool,
    /// In addition, give accounts whose picture is gone the default picture
    #[arg(long, requires = "repair")]
    reset_lost: bool,
}

#[derive(Clone, Debug, Args)]
pub(super) struct MoveStorage {
    /// The store to copy to, written like storage.url. Its key is read from
    /// VERAICON_TO_ACCESS_KEY and VERAICON_TO_SECRET_KEY
    #[arg(long, value_name = "URL")]
    to: String,
    /// Read every object back from the new store and compare it
    #[arg(long)]
    verify: bool,
}

/// Runs `work` with an open context, and closes it in any case.
pub(super) async fn with_context<T>(
    config: Config,
    work: impl AsyncFnOnce(&CommandContext) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    start_log(&config);
    let program = Program::this();
    CommandContext::run(config, Clock::System, program, work).await
}

pub(super) async fn gc(config: Config, arguments: Gc) -> anyhow::Result<()> {
    with_context(config, async |context| {
        let bar = Bar::new();
        let report = context.maintenance.gc(arguments.remove, &bar).await;
        bar.end();
        let GcReport {
            pictures,
            due,
            orphans,
            young,
            unknown,
            removed,
        } = report?;
        print(&format!(
            "{pictures} pictures in the store; without a row: {orphans}, and {young} younger than \
             storage.grace; due: {due}; other objects: {unknown}\n"
        ))?;
        print(&if arguments.remove {
            format!("{removed} removed\n")
        } else {
            "nothing was removed; to remove them, add --remove\n".to_owned()
        })
    })
    .await
}

pub(super) async fn fsck(config: Config, arguments: Fsck) -> anyhow::Result<()> {
    let repair = match arguments {
        Fsck { repair: false, .. } => Repair::None,
        Fsck {
            reset_lost: false, ..
        } => Repair::Lossless,
        Fsck { .. } => Repair::ResetLost,
    };
    with_context(config, async |context| {
        start_worker(&context.proof).await?;
        if repair != Repair::None {
            start_worker(&context.workers).await?;
        }
        let bar = Bar::new();
        let report = context.maintenance.fsck(&context.proof, repair, &bar).await;
        bar.end();
        let FsckReport {
            accounts,
            broken,
            rows,
            repaired,
        } = report?;
        print(&format!(
            "{accounts} accounts with a picture; broken pictures: {broken}; wrong rows: {rows}; \
             repaired: {repaired}\n"
        ))?;
        let faults = broken + rows;
        ensure!(
            repaired == faults,
            "{} faults are left",
            faults.saturating_sub(repaired)
        );
        Ok(())
    })
    .await
}

/// Starts worker processes. A failure to start ends the command here, instead of being reported
/// for every picture.
async fn start_worker(workers: &Workers) -> anyhow::Result<()> {
    let started = workers.open().await;
    started.context("a worker process cannot be started")?;
    Ok(())
}

pub(super) async fn move_storage(config: Config, arguments: MoveStorage) -> anyhow::Result<()> {
    let to =
        StorageLocation::parse(&arguments.to).map_err(|what| anyhow::anyhow!("--to: {what}"))?;
    let mut options = config.storage.options();
    let [access_key, secret_key] = TARGET_KEYS.map(std::env::var);
    if let Ok(access_key) = access_key {
        let [name, required] = TARGET_KEYS;
        let secret_key = secret_key.with_context(|| format!("{name} is set without {required}"))?;
        options.credentials = Some(BucketCredentials {
            access_key,
            secret_key: SecretString::from(secret_key),
        });
    }
    with_context(config, async |context| {
        ensure!(
            to != context.location,
            "--to: the pictures are in {to} already"
        );
        let target = Storage::open(&to, &options, String::new())
            .await
            .context("--to: the store cannot be opened")?;
        // The target is marked as this database's store only after all pictures are copied.
        let name = target_name(context, &target, &to).await?;
        let bar = Bar::new();
        let copied = copy(context, &target, arguments.verify, &bar).await;
        bar.end();
        let Copied {
            broken,
            service_runs,
        } = copied?;
        ensure!(
            broken == 0,
            "{broken} pictures are not whole in {}; run veraicon fsck",
            context.location
        );
        if service_runs {
            return print(&format!(
                "a service is running, and its new pictures are not in {to}: stop it, and run \
                 this command again to switch\n"
            ));
        }
        switch(context, &target, &name).await?;
        print(&format!(
            "the pictures are in {to} from now on: set storage.url to {:?} before you start the \
             service\n",
            arguments.to
        ))
    })
    .await
}

/// Chooses the name of the target store, and checks that it is free for this database's pictures.
///
/// The name is written to the database first, so that an interrupted move can be resumed.
async fn target_name(
    context: &CommandContext,
    target: &Storage,
    to: &StorageLocation,
) -> anyhow::Result<String> {
    let current = context
        .database
        .cluster_setting(ClusterSetting::Store)
        .await?;
    let found = target
        .name()
        .await
        .context("--to: the store cannot be read")?;
    ensure!(
        found.is_none() || found != current,
        "--to: the pictures are in {to} already"
    );
    let next = context
        .database
        .get_or_insert_cluster_setting(ClusterSetting::NextStore, &unique_name()?)
        .await?;
    ensure!(
        found.is_none_or(|found| found == next),
        "--to: {to} holds the pictures of another database"
    );
    Ok(next)
}

/// Result of copying all pictures.
struct Copied {
    /// Pictures that are not whole in the source.
    broken: u64,
    /// Whether a service runs. Its uploads go to the old store.
    service_runs: bool,
}

/// Copies in passes, until a pass finds nothing to copy.
async fn copy(
    context: &CommandContext,
    target: &Storage,
    verify: bool,
    bar: &Bar,
) -> anyhow::Result<Copied> {
    // The last pass would miss pictures that a service stores after it. So the lock prevents
    // services from starting from here on.
    let alone = context.shut_out_service();
    loop {
        let service_runs = alone.is_none() || context.nodes_run().await?;
        let pass = context
            .maintenance
            .move_storage(target, verify, bar)
            .await?;
        print(&summary(&pass))?;
        if pass.copied == 0 || service_runs || pass.broken > 0 {
            return Ok(Copied {
                broken: pass.broken,
                service_runs: service_runs || context.nodes_run().await?,
            });
        }
    }
}

/// Makes the target the store of this database.
async fn switch(context: &CommandContext, target: &Storage, name: &str) -> anyhow::Result<()> {
    target
        .set_name(name)
        .await
        .context("--to: the store cannot be written")?;
    // In one transaction. Otherwise, after a crash, the next move could give its target this name.
    let next = unique_name()?;
    let settings = [
        (ClusterSetting::Store, name),
        (ClusterSetting::NextStore, &*next),
    ];
    let switched = context.database.set_cluster_settings(&settings).await;
    switched.context("database.url")
}

/// Formats the result of a pass as a line of text.
fn summary(pass: &MoveReport) -> String {
    format!(
        "{} pictures; {} objects copied, {:.1} MiB\n",
        pass.pictures,
        pass.copied,
        pass.bytes as f64 / f64::from(1 << 20)
    )
}

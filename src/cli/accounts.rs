//! Commands that show and change accounts: `user list`, `show`, `delete` and so on.

use std::io::Read;

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use secrecy::SecretString;

use super::{maintenance, output::print};
use crate::{
    accounts::Username, app::CommandContext, auth::password::NewPassword, config::Config,
    database::User, failure::Language, storage::PictureKey,
};

/// Accounts read at once.
const PAGE_SIZE: u64 = 500;

#[derive(Clone, Debug, Subcommand)]
pub(super) enum Command {
    /// Print all accounts, one per line: identifier, name, time of creation, "picture" or
    /// "deleted"; separated by tabs
    List,
    /// Print one account, its sessions and the location of its picture
    Show(Account),
    /// Delete an account with its sessions and pictures; its name stays taken
    Delete(Account),
    /// Set a new password, read from standard input, and end all sessions
    SetPassword(Account),
    /// End all sessions
    RevokeSessions(Account),
}

#[derive(Clone, Debug, Args)]
pub(super) struct Account {
    /// The account's name, or its identifier
    #[arg(value_name = "NAME|ID")]
    name_or_id: String,
}

pub(super) async fn run(config: Config, command: Command) -> anyhow::Result<()> {
    maintenance::with_context(config, async |context| run_in(context, command).await).await
}

async fn run_in(context: &CommandContext, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List => list(context).await?,
        Command::Show(account) => show(context, &find(context, &account).await?).await?,
        Command::Delete(account) => {
            let user = find(context, &account).await?;
            ensure!(
                !user.is_deleted(),
                "{} is deleted already",
                display_name(&user)
            );
            context.avatars.delete_account(user.id).await?;
            print(&format!("{} is deleted\n", display_name(&user)))?;
        }
        Command::SetPassword(account) => {
            let user = find(context, &account).await?;
            ensure!(!user.is_deleted(), "{} is deleted", display_name(&user));
            set_password(context, &user).await?;
            print(&format!(
                "{} has a new password; all its sessions have ended\n",
                display_name(&user)
            ))?;
        }
        Command::RevokeSessions(account) => {
            let user = find(context, &account).await?;
            let now = context.clock.now();
            context.database.revoke_sessions(user.id, now).await?;
            print(&format!(
                "all sessions of {} have ended\n",
                display_name(&user)
            ))?;
        }
    }
    Ok(())
}

async fn list(context: &CommandContext) -> anyhow::Result<()> {
    // Pages by identifier, so that a large table is never in memory as a whole.
    let mut after = i64::MIN;
    loop {
        let page = context.database.users_after(after, PAGE_SIZE).await?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = last.id;
        let lines = page.iter().map(|user| {
            let status = match (user.is_deleted(), &user.avatar_digest) {
                (true, _) => "deleted",
                (false, Some(_)) => "picture",
                (false, None) => "",
            };
            let created = time(user.created_at);
            format!("{}\t{}\t{created}\t{status}\n", user.id, user.username)
        });
        print(&lines.collect::<String>())?;
    }
}

async fn show(context: &CommandContext, user: &User) -> anyhow::Result<()> {
    let mut text = format!(
        "id: {}\nname: {}\ncreated: {}\nchanged: {}\n",
        user.id,
        user.username,
        time(user.created_at),
        time(user.updated_at)
    );
    if user.is_deleted() {
        text += &format!("deleted: {}\n", time(user.deleted_at));
    }
    match user.digest()? {
        Some(digest) => {
            let key = PictureKey::new(user.id, digest);
            let sizes = user.avatar_sizes.as_deref().unwrap_or_default();
            text += &format!("picture: {}, {key}, sizes {sizes}\n", context.location);
        }
        None => text += "picture: none\n",
    }
    let now = context.clock.now();
    for session in context.database.live_sessions(user.id, now).await? {
        text += &format!(
            "session: {}, started {}, last used {}, {}\n",
            session.id,
            time(session.created_at),
            time(session.last_used_at),
            session.user_agent
        );
    }
    print(&text)
}

/// Reads a password from standard input and sets it. Line ends at its end are removed.
async fn set_password(context: &CommandContext, user: &User) -> anyhow::Result<()> {
    let mut password = String::new();
    std::io::stdin()
        .read_to_string(&mut password)
        .context("the password cannot be read from standard input")?;
    let password = SecretString::from(password.trim_end_matches(['\r', '\n']).to_owned());
    let password = NewPassword::parse("password", &password)
        .map_err(|failure| anyhow::anyhow!("{}", failure.message(Language::English)))?;
    let passwords = context.passwords()?;
    let hash = passwords
        .hash(passwords.acquire_permit()?, password)
        .await?;
    let now = context.clock.now();
    context.database.set_password(user, hash, now).await?;
    Ok(())
}

/// Finds the account with this name, or else with this identifier.
async fn find(context: &CommandContext, account: &Account) -> anyhow::Result<User> {
    let database = &context.database;
    // Names may consist of digits only, so the name comes first.
    if let Ok(name) = Username::parse(&account.name_or_id)
        && let Some(user) = database.user_by_key(&name.key).await?
    {
        return Ok(user);
    }
    if let Ok(id) = account.name_or_id.parse()
        && let Some(user) = database.user(id).await?
    {
        return Ok(user);
    }
    bail!(
        "there is no account with the name or identifier {:?}",
        account.name_or_id
    )
}

/// Returns the name and the identifier of an account, for messages.
fn display_name(user: &User) -> String {
    format!("{} ({})", user.username, user.id)
}

/// Formats a time in UTC (RFC 3339).
fn time(milliseconds: i64) -> String {
    jiff::Timestamp::from_millisecond(milliseconds)
        .map_or_else(|_| milliseconds.to_string(), |time| format!("{time:.0}"))
}

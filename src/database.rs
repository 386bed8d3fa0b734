//! Accounts, sessions and the record of stored pictures. Only this module uses SeaORM.
//!
//! Each table has one file. Transactions over several tables are in [`transactions`].

pub mod attempts;
pub mod cluster_settings;
mod connect;
mod errors;
mod handle;
pub mod leases;
mod migrations;
pub mod pictures;
mod retry;
pub mod sessions;
mod statements;
mod transactions;
mod unique_name;
pub mod users;

use sea_orm::DbErr;

use self::connect::Connections;
pub use self::{
    attempts::{AttemptResolution, AttemptRow, AttemptUpdate},
    cluster_settings::ClusterSetting,
    connect::DatabaseLocation,
    handle::Database,
    pictures::PictureRow,
    sessions::Session,
    transactions::{NewAvatar, Owner, Publication, PublishGuard, Published, Removal},
    unique_name::unique_name,
    users::User,
};

impl Database {
    /// Opens the database and runs the migrations that are missing.
    ///
    /// # Errors
    /// The database cannot be opened, or a migration fails.
    pub async fn open(location: &DatabaseLocation) -> Result<Self, DbErr> {
        let Connections { reader, writer } = location.connect().await?;
        migrations::run(&writer).await?;
        Ok(Self { reader, writer })
    }
}

//! Settings that all nodes share. Each node checks them when it starts.

use sea_orm::{entity::prelude::*, sea_query::OnConflict};

use super::{
    handle::Database,
    retry::{AttemptError, with_retries},
    statements::{insert, is_duplicate},
};
use crate::failure::Failure;

/// A key of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterSetting {
    /// The name of the object store that holds the pictures.
    Store,
    /// The name that `move-storage` gives to the next object store.
    NextStore,
}

/// A row of `cluster_settings`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "cluster_settings")]
pub struct Model {
    /// The key, see [`ClusterSetting`].
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// The value, as text.
    pub value: String,
}

/// No relations: queries name the tables that they join.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl ClusterSetting {
    // Existing databases hold these texts.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::NextStore => "next store",
        }
    }
}

impl Database {
    /// Returns the value of a setting, if it has one.
    ///
    /// # Errors
    /// The database fails.
    pub async fn cluster_setting(
        &self,
        setting: ClusterSetting,
    ) -> Result<Option<String>, Failure> {
        let row = Entity::find_by_id(setting.as_str())
            .one(&self.writer)
            .await?;
        Ok(row.map(|row| row.value))
    }

    /// Returns the value of a setting, or sets it to `value` if it has none.
    ///
    /// # Errors
    /// The database fails.
    pub async fn get_or_insert_cluster_setting(
        &self,
        setting: ClusterSetting,
        value: &str,
    ) -> Result<String, Failure> {
        match insert::<Entity, _>(&self.writer, row(setting, value)).await {
            Ok(()) => return Ok(value.to_owned()),
            Err(error) if is_duplicate(&error) => {}
            Err(error) => return Err(error.into()),
        }
        // Settings are never deleted, so the row that refused the insert is still there.
        let found = self.cluster_setting(setting).await?;
        found.ok_or_else(|| {
            Failure::internal(format!(
                "cluster setting {:?} was deleted by another client",
                setting.as_str()
            ))
        })
    }

    /// Sets several settings in one transaction. Running nodes do not notice before their next
    /// start.
    ///
    /// # Errors
    /// The database fails; then no setting has changed.
    pub async fn set_cluster_settings(
        &self,
        settings: &[(ClusterSetting, &str)],
    ) -> Result<(), Failure> {
        with_retries(|| self.try_set_cluster_settings(settings)).await
    }

    async fn try_set_cluster_settings(
        &self,
        settings: &[(ClusterSetting, &str)],
    ) -> Result<(), AttemptError> {
        use sea_orm::IntoActiveModel;
        let transaction = self.begin().await?;
        for &(setting, value) in settings {
            let upsert = OnConflict::column(Column::Name)
                .update_column(Column::Value)
                .to_owned();
            Entity::insert(row(setting, value).into_active_model().reset_all())
                .on_conflict(upsert)
                .exec_without_returning(&transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }
}

fn row(setting: ClusterSetting, value: &str) -> Model {
    Model {
        name: setting.as_str().to_owned(),
        value: value.to_owned(),
    }
}

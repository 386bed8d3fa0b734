//! What all nodes must agree on, and each checks at its start.

use sea_orm::{entity::prelude::*, sea_query::OnConflict};

use super::Database;
use crate::failure::Failure;

/// The name of the store that the pictures lie in.
pub const STORE: &str = "store";
/// The name of the store that they are moved to next.
pub const NEXT_STORE: &str = "next store";

/// The table's columns.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "marks")]
pub struct Model {
    /// What is agreed on.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// As a text.
    pub value: String,
}

/// No relations are declared: queries name what they join.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Database {
    /// What is agreed on, if anything is.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn agreed(&self, name: &str) -> Result<Option<String>, Failure> {
        let row = Entity::find_by_id(name).one(&self.writer).await?;
        Ok(row.map(|row| row.value))
    }

    /// What is agreed on: what was before, or else `value`.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn agree(&self, name: &str, value: &str) -> Result<String, Failure> {
        let row = Model {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        match super::insert::<Entity, _>(&self.writer, row).await {
            Ok(()) => return Ok(value.to_owned()),
            Err(error) if super::is_duplicate(&error) => {}
            Err(error) => return Err(error.into()),
        }
        let agreed = self.agreed(name).await?;
        agreed.ok_or_else(|| Failure::internal("what was agreed on is gone"))
    }

    /// Has all nodes agree on something else, from their next start on.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn agree_anew(&self, name: &str, value: &str) -> Result<(), Failure> {
        use sea_orm::IntoActiveModel;
        let row = Model {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let conflict = OnConflict::column(Column::Name)
            .update_column(Column::Value)
            .to_owned();
        Entity::insert(row.into_active_model().reset_all())
            .on_conflict(conflict)
            .exec_without_returning(&self.writer)
            .await?;
        Ok(())
    }
}

//! Bringing the schema up to date, and telling whether it is.

use std::collections::BTreeSet;

use sqlx::migrate::Migrator;

use super::{Db, DbError, sql};

static SQLITE: Migrator = sqlx::migrate!("../migrations/sqlite");
static MYSQL: Migrator = sqlx::migrate!("../migrations/mysql");

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A migration failed, or the database has one that this program does not know.
    #[error("migration failed: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The database did not answer.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// How a database's schema compares with the one this program was built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// The same.
    Current,
    /// Some migrations have not run, or never any.
    Behind,
    /// A newer program has migrated it.
    Ahead,
}

impl Db {
    fn migrator(&self) -> &'static Migrator {
        match self {
            Self::Sqlite { .. } => &SQLITE,
            Self::MySql(_) => &MYSQL,
        }
    }

    /// Runs the migrations that have not run yet.
    ///
    /// # Errors
    /// [`MigrateError`]; those that ran before it stay.
    pub async fn migrate(&self) -> Result<(), MigrateError> {
        match self {
            Self::Sqlite { writer, .. } => self.migrator().run(writer).await?,
            Self::MySql(pool) => self.migrator().run(pool).await?,
        }
        Ok(())
    }

    /// Compares the schema with the one this program was built for.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn schema_state(&self) -> Result<SchemaState, DbError> {
        let known: BTreeSet<i64> = self.migrator().iter().map(|migration| migration.version).collect();
        let applied = sql("SELECT version FROM _sqlx_migrations WHERE success").all::<(i64,)>(self).await;
        match applied {
            Ok(applied) => {
                let applied: BTreeSet<i64> = applied.into_iter().map(|(version,)| version).collect();
                Ok(if !applied.is_subset(&known) {
                    SchemaState::Ahead
                } else if applied.len() < known.len() {
                    SchemaState::Behind
                } else {
                    SchemaState::Current
                })
            }
            // The table of migrations is made by the first one.
            Err(DbError::Other(sqlx::Error::Database(_))) => Ok(SchemaState::Behind),
            Err(error) => Err(error),
        }
    }
}

//! Bringing the schema up to date, and telling whether it is.

use std::collections::BTreeSet;

use sqlx::{MySqlPool, migrate::Migrator};

use super::{Db, DbError, lease::Lease, sql};

/// How long another process's migrations are waited for, in seconds.
const LOCK_SECONDS: u32 = 60;
/// Characters of a lock's name, at most.
const LOCK_NAME: usize = 64;

static SQLITE: Migrator = sqlx::migrate!("../migrations/sqlite");
static MYSQL: Migrator = sqlx::migrate!("../migrations/mysql");

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A migration failed, or the database has one that this program does not know.
    #[error("migration failed: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// Another process migrates the same database, and takes long.
    #[error("another process has been migrating it for {LOCK_SECONDS} s; try again when it is done")]
    Locked,
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
        // The connection is closed at the end, whatever the migrations have done to it.
        match self {
            Self::Sqlite { writer, .. } => {
                let mut lease = Lease::take(writer).await.map_err(DbError::from)?;
                self.migrator().run(lease.connection()).await?;
            }
            Self::MySql(pool) => self.migrate_mysql(pool).await?,
        }
        Ok(())
    }

    async fn migrate_mysql(&self, pool: &MySqlPool) -> Result<(), MigrateError> {
        // The migrator's own lock is waited for without end. The names of locks are the whole server's, and short.
        let database = pool.connect_options().get_database().unwrap_or_default().to_owned();
        let name: String = format!("mingizuk.{database}").chars().take(LOCK_NAME).collect();
        let mut lease = Lease::take(pool).await.map_err(DbError::from)?;
        let lock = sqlx::query_scalar("SELECT GET_LOCK(?, ?)").bind(name).bind(LOCK_SECONDS);
        let locked: Option<i64> = lock.fetch_one(lease.connection()).await.map_err(DbError::from)?;
        if locked != Some(1) {
            return Err(MigrateError::Locked);
        }
        // The lock goes with the connection.
        Ok(self.migrator().run(lease.connection()).await?)
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

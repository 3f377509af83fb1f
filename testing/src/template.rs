//! Templates of migrated databases: the migrations run once, and each test's database is a copy of the result.
//!
//! A template belongs to the migrations it was made from, so that a changed migration makes another one. SQLite's is a file
//! in the system's temporary folder, MariaDB's a database of the test's server; all test processes share them.

use std::{
    fmt::Write,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use common::{
    config::SecretUrl,
    db::{Db, sql},
};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, migrate::Migrator};
use tokio::sync::OnceCell;
use uuid::Uuid;

static SQLITE: Migrator = sqlx::migrate!("../migrations/sqlite");
static MYSQL: Migrator = sqlx::migrate!("../migrations/mysql");

/// Names the migrations by their content.
fn fingerprint(migrations: &Migrator) -> u64 {
    let mut hasher = DefaultHasher::new();
    for migration in migrations.iter() {
        migration.version.hash(&mut hasher);
        migration.checksum.hash(&mut hasher);
    }
    hasher.finish()
}

async fn migrated(url: &SecretUrl) -> Db {
    let db = Db::connect(url, 1).await.expect("a connection");
    db.migrate().await.expect("migrations");
    db
}

/// Makes `file` a migrated database.
pub(crate) async fn copy_sqlite(file: &Path) {
    static TEMPLATE: OnceCell<PathBuf> = OnceCell::const_new();
    let template = TEMPLATE.get_or_init(sqlite_template).await;
    std::fs::copy(template, file).expect("a copy of the template");
}

async fn sqlite_template() -> PathBuf {
    let template = std::env::temp_dir().join(format!("mingizuk-template-{:016x}.db", fingerprint(&SQLITE)));
    if !template.exists() {
        let draft = template.with_extension(Uuid::now_v7().simple().to_string());
        let db = migrated(&SecretUrl::new(format!("sqlite://{}", draft.display()))).await;
        // The last connection moves what is in the write-ahead log into the file, and deletes the log.
        db.close().await;
        // Another process may have been faster: the templates are alike.
        std::fs::rename(draft, &template).expect("a template");
    }
    template
}

/// Makes a migrated database `name` on `server`.
pub(crate) async fn copy_mysql(server: &str, name: &str) {
    static SCRIPT: OnceCell<String> = OnceCell::const_new();
    let script = SCRIPT.get_or_init(|| mysql_script(server)).await;
    let mut connection = MySqlConnection::connect(&format!("{server}/mysql")).await.expect("the test's MariaDB");
    let script = format!("CREATE DATABASE {name}; USE {name}; {script}");
    sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut connection).await.expect("a copy of the template");
    connection.close().await.expect("closed");
}

/// The statements that make a copy of the template in an empty database.
async fn mysql_script(server: &str) -> String {
    let template = format!("template_{:016x}", fingerprint(&MYSQL));
    super::execute(server, format!("CREATE DATABASE IF NOT EXISTS {template}")).await;
    // Processes that migrate the same database wait for each other.
    let db = migrated(&SecretUrl::new(format!("{server}/{template}"))).await;
    let tables: Vec<(String,)> =
        sql("SELECT CAST(table_name AS CHAR) FROM information_schema.tables WHERE table_schema = DATABASE()")
            .all(&db)
            .await
            .expect("tables");
    let mut script = "SET foreign_key_checks = 0;".to_owned();
    for (table,) in tables {
        let (_, create): (String, String) =
            sql(format!("SHOW CREATE TABLE {table}")).one(&db).await.expect("a definition");
        write!(script, "{create}; INSERT INTO {table} SELECT * FROM {template}.{table};").expect("a text");
    }
    db.close().await;
    script
}

//! The migrations, and that the two schemas they make, read back from live databases, are one: tables, columns, keys,
//! indexes and foreign keys.

use std::collections::{BTreeMap, BTreeSet};

use common::db::{Db, DbError, SchemaState, sql};
use testing::Database;

testing::on_each_database!(
    migrations_run_once_and_tell_where_they_are,
    a_copy_of_the_template_is_what_migrations_make,
    every_key_is_compared_byte_by_byte,
);

async fn migrations_run_once_and_tell_where_they_are(database: Database) {
    let db = Db::connect(&database.empty_url().await, 4).await.expect("a connection");
    assert_eq!(db.schema_state().await.expect("a state"), SchemaState::Behind);
    for _ in 0..2 {
        db.migrate().await.expect("migrated");
        assert_eq!(db.schema_state().await.expect("a state"), SchemaState::Current);
    }
    // A program of another branch had all but one in the middle.
    let skip = sql("DELETE FROM _sqlx_migrations WHERE version = 20").run(&db).await.expect("deleted");
    assert_eq!((skip, db.schema_state().await.expect("a state")), (1, SchemaState::Behind));
}

async fn a_copy_of_the_template_is_what_migrations_make(database: Database) {
    let (copy, original) = (database.fresh().await, migrated(database).await);
    assert_eq!(copy.schema_state().await.expect("a state"), SchemaState::Current);
    assert_eq!(tables(&copy).await, tables(&original).await);
    let people = async |db| -> Vec<(uuid::Uuid, String)> {
        sql("SELECT id, nickname FROM users ORDER BY id").all(db).await.expect("people")
    };
    assert_eq!(people(&copy).await, people(&original).await, "rows that migrations insert");
}

/// A database in which the migrations themselves have run.
async fn migrated(database: Database) -> Db {
    let db = Db::connect(&database.empty_url().await, 4).await.expect("a connection");
    db.migrate().await.expect("migrated");
    db
}

async fn tables(db: &Db) -> BTreeMap<String, Table> {
    match db {
        Db::Sqlite { .. } => sqlite(db).await,
        Db::MySql(_) => mysql(db).await,
    }
}

/// What sqlx keeps for itself, in a form of its own for each database.
const MIGRATIONS: &str = "_sqlx_migrations";

/// A table, in words that both databases share.
#[derive(Debug, Default, PartialEq, Eq)]
struct Table {
    columns: BTreeMap<String, Column>,
    primary_key: Vec<String>,
    unique: BTreeSet<Vec<String>>,
    indexes: BTreeSet<Vec<String>>,
    foreign_keys: BTreeSet<ForeignKey>,
}

#[derive(Debug, PartialEq, Eq)]
struct Column {
    kind: &'static str,
    nullable: bool,
    default: Option<String>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ForeignKey {
    columns: Vec<String>,
    target: String,
    target_columns: Vec<String>,
    on_delete: String,
}

/// What values of a declared type are.
fn kind(declared: &str) -> &'static str {
    let name = declared.split('(').next().unwrap_or_default().to_ascii_lowercase();
    match name.as_str() {
        "blob" | "binary" | "mediumblob" => "bytes",
        // A text that is a key, in MySQL: no collation of characters that every server has compares spaces at the end.
        "text" | "varchar" | "mediumtext" | "char" | "varbinary" => "text",
        "integer" | "bigint" => "integer",
        "real" | "double" => "real",
        other => panic!("{other} is not among the types that the schema uses"),
    }
}

/// No clause at all is called one or the other.
fn on_delete(rule: String) -> String {
    if rule == "RESTRICT" { "NO ACTION".to_owned() } else { rule }
}

/// The values of each key, in order.
fn grouped<K: Ord, V>(rows: impl IntoIterator<Item = (K, V)>) -> BTreeMap<K, Vec<V>> {
    let mut groups: BTreeMap<K, Vec<V>> = BTreeMap::new();
    for (key, value) in rows {
        groups.entry(key).or_default().push(value);
    }
    groups
}

async fn sqlite(db: &Db) -> BTreeMap<String, Table> {
    let names: Vec<(String,)> =
        sql("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> ?")
            .bind(MIGRATIONS)
            .all(db)
            .await
            .expect("tables");
    let mut tables = BTreeMap::new();
    for (name,) in names {
        tables.insert(name.clone(), sqlite_table(db, &name).await);
    }
    tables
}

async fn sqlite_table(db: &Db, name: &str) -> Table {
    let mut table = Table::default();
    let columns: Vec<(String, String, i64, Option<String>)> =
        sql("SELECT name, type, \"notnull\", dflt_value FROM pragma_table_info(?)")
            .bind(name)
            .all(db)
            .await
            .expect("columns");
    for (column, declared, not_null, default) in columns {
        table.columns.insert(column, Column { kind: kind(&declared), nullable: not_null == 0, default });
    }
    let key: Vec<(String,)> =
        sql("SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk").bind(name).all(db).await.expect("a key");
    table.primary_key = key.into_iter().map(|(column,)| column).collect();
    let indexes: Vec<(String, i64, String)> = sql("SELECT l.name, l.\"unique\", i.name FROM pragma_index_list(?) l \
         JOIN pragma_index_info(l.name) i WHERE l.origin <> 'pk' ORDER BY l.name, i.seqno")
    .bind(name)
    .all(db)
    .await
    .expect("indexes");
    for ((_, unique), columns) in grouped(indexes.into_iter().map(|(index, unique, column)| ((index, unique), column)))
    {
        if unique == 1 {
            table.unique.insert(columns)
        } else {
            table.indexes.insert(columns)
        };
    }
    let keys: Vec<(i64, String, String, String, String)> =
        sql("SELECT id, \"table\", \"from\", \"to\", on_delete FROM pragma_foreign_key_list(?) ORDER BY id, seq")
            .bind(name)
            .all(db)
            .await
            .expect("foreign keys");
    let keys = keys.into_iter().map(|(id, target, from, to, rule)| ((id, target, rule), (from, to)));
    for ((_, target, rule), columns) in grouped(keys) {
        let (columns, target_columns) = columns.into_iter().unzip();
        table.foreign_keys.insert(ForeignKey { columns, target, target_columns, on_delete: on_delete(rule) });
    }
    table
}

async fn mysql(db: &Db) -> BTreeMap<String, Table> {
    let mut tables: BTreeMap<String, Table> = BTreeMap::new();
    let columns: Vec<(String, String, String, String, Option<String>)> =
        sql("SELECT CAST(table_name AS CHAR), CAST(column_name AS CHAR), CAST(data_type AS CHAR), CAST(is_nullable AS CHAR), CAST(column_default AS CHAR) FROM information_schema.columns \
             WHERE table_schema = DATABASE() AND table_name <> ?")
        .bind(MIGRATIONS)
        .all(db)
        .await
        .expect("columns");
    for (table, column, declared, nullable, default) in columns {
        let default = default.filter(|default| default != "NULL");
        let column_of = Column { kind: kind(&declared), nullable: nullable == "YES", default };
        tables.entry(table).or_default().columns.insert(column, column_of);
    }
    let keys: Vec<(String, String, String, String, String, String)> =
        sql("SELECT CAST(k.table_name AS CHAR), CAST(k.constraint_name AS CHAR), CAST(k.column_name AS CHAR), CAST(k.referenced_table_name AS CHAR), CAST(k.referenced_column_name AS CHAR), \
             CAST(r.delete_rule AS CHAR) FROM information_schema.key_column_usage k JOIN information_schema.referential_constraints r \
             ON r.constraint_schema = k.constraint_schema AND r.constraint_name = k.constraint_name \
             AND r.table_name = k.table_name WHERE k.table_schema = DATABASE() AND r.constraint_schema = DATABASE() \
             ORDER BY k.table_name, k.constraint_name, k.ordinal_position")
        .all(db)
        .await
        .expect("foreign keys");
    let keys = keys.into_iter().map(|(table, name, from, target, to, rule)| ((table, name, target, rule), (from, to)));
    let keys = grouped(keys);
    let made_for_keys: BTreeSet<(String, String)> =
        keys.keys().map(|(table, name, ..)| (table.clone(), name.clone())).collect();
    for ((table, _, target, rule), columns) in keys {
        let (columns, target_columns) = columns.into_iter().unzip();
        let key = ForeignKey { columns, target, target_columns, on_delete: on_delete(rule) };
        tables.entry(table).or_default().foreign_keys.insert(key);
    }
    let indexes: Vec<(String, String, i64, String)> = sql(
        "SELECT CAST(table_name AS CHAR), CAST(index_name AS CHAR), CAST(non_unique AS SIGNED), CAST(column_name AS CHAR) FROM information_schema.statistics \
             WHERE table_schema = DATABASE() AND table_name <> ? ORDER BY table_name, index_name, seq_in_index",
    )
    .bind(MIGRATIONS)
    .all(db)
    .await
    .expect("indexes");
    let indexes = indexes.into_iter().map(|(table, index, shared, column)| ((table, index, shared), column));
    for ((name, index, shared), columns) in grouped(indexes) {
        let table = tables.entry(name.clone()).or_default();
        if index == "PRIMARY" {
            table.primary_key = columns;
        } else if shared == 0 {
            table.unique.insert(columns);
        } else if !made_for_keys.contains(&(name, index)) {
            // InnoDB makes an index of a foreign key's name where the schema has none that would do.
            table.indexes.insert(columns);
        }
    }
    tables
}

#[tokio::test]
async fn both_databases_have_the_same_schema() {
    let sqlite = tables(&migrated(Database::Sqlite).await).await;
    let mysql = tables(&migrated(Database::MySql).await).await;
    assert!(sqlite.len() > 9, "the schema was read");
    assert_eq!(sqlite.keys().collect::<Vec<_>>(), mysql.keys().collect::<Vec<_>>(), "tables");
    for (name, table) in &sqlite {
        assert_eq!(*table, mysql[name], "{name}: SQLite on the left, MySQL on the right");
    }
}

#[tokio::test]
async fn every_foreign_key_has_an_index_and_every_text_is_compared_byte_by_byte() {
    let sqlite = tables(&migrated(Database::Sqlite).await).await;
    for (name, table) in &sqlite {
        for key in &table.foreign_keys {
            let indexes = table.indexes.iter().chain(&table.unique).chain([&table.primary_key]);
            assert!(indexes.clone().any(|index| index.starts_with(&key.columns)), "{name}: {key:?} has no index");
        }
    }
    let folding: Vec<(String, String, String)> =
        sql("SELECT CAST(table_name AS CHAR), CAST(column_name AS CHAR), CAST(collation_name AS CHAR) FROM information_schema.columns \
             WHERE table_schema = DATABASE() AND table_name <> ? AND collation_name <> 'utf8mb4_bin'")
        .bind(MIGRATIONS)
        .all(&migrated(Database::MySql).await)
        .await
        .expect("columns");
    assert_eq!(folding, []);
}

/// The text columns of primary and unique keys, and those that are compared as keys without being unique.
fn text_keys(tables: &BTreeMap<String, Table>) -> BTreeSet<(String, String)> {
    let mut keys = BTreeSet::from([("room_entries".to_owned(), "nonce".to_owned())]);
    for (name, table) in tables {
        let columns = table.unique.iter().flatten().chain(&table.primary_key);
        let texts = columns.filter(|column| table.columns[*column].kind == "text");
        keys.extend(texts.map(|column| (name.clone(), column.clone())));
    }
    keys
}

async fn every_key_is_compared_byte_by_byte(database: Database) {
    let keys = text_keys(&sqlite(&Database::Sqlite.fresh().await).await);
    assert!(keys.len() > 5, "{keys:?}");
    let db = database.fresh().await;
    for (table, column) in &keys {
        let probe = format!("probe_{table}_{column}");
        sql(format!("CREATE TABLE {probe} AS SELECT {column} AS k FROM {table} WHERE 1 = 0"))
            .run(&db)
            .await
            .expect("a table");
        sql(format!("CREATE UNIQUE INDEX {probe}_key ON {probe} (k)")).run(&db).await.expect("a key");
        let spellings = ["k", "k ", "k  ", " k", "K", "k\u{0}", "k\t", "ķ", "k\u{327}", "ｋ"];
        for spelling in spellings {
            let insert = || sql(format!("INSERT INTO {probe} (k) VALUES (?)")).bind(spelling);
            insert().run(&db).await.unwrap_or_else(|error| panic!("{table}.{column} {spelling:?}: {error}"));
            let again = insert().run(&db).await;
            assert!(matches!(again, Err(DbError::UniqueViolation(_))), "{table}.{column} {spelling:?}: {again:?}");
        }
        for spelling in spellings {
            let find = sql(format!("SELECT COUNT(*) FROM {probe} WHERE k = ?")).bind(spelling);
            assert_eq!(find.scalar::<i64>(&db).await.expect("a count"), Some(1), "{table}.{column} {spelling:?}");
        }
    }
}

#[test]
fn both_folders_have_the_same_migrations() {
    let names = |folder: &str| -> BTreeSet<String> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations").join(folder);
        let files = std::fs::read_dir(folder).expect("a folder");
        files.map(|file| file.expect("a file").file_name().into_string().expect("UTF-8")).collect()
    };
    assert_eq!(names("sqlite"), names("mysql"));
}

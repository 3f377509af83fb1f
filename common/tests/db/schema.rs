//! The migrations, and that they make the same schema of both databases.

use std::collections::{BTreeMap, BTreeSet};

use common::{
    db::{Db, SchemaState, sql},
    testing::Database,
};

#[tokio::test(flavor = "multi_thread")]
async fn migrations_run_once_and_tell_where_they_are() {
    for database in Database::ALL {
        let db = Db::connect(&database.fresh_url().await, 4).await.expect("a connection");
        assert_eq!(db.schema_state().await.expect("a state"), SchemaState::Behind, "{database:?}");
        for _ in 0..2 {
            db.migrate().await.expect("migrated");
            assert_eq!(db.schema_state().await.expect("a state"), SchemaState::Current, "{database:?}");
        }
    }
}

/// An index: whether it is unique, and its columns in order.
type Index = (bool, Vec<String>);

/// What must be the same on both databases.
#[derive(Debug, Default, PartialEq, Eq)]
struct Table {
    /// Each column with its kind and whether it may be `NULL`.
    columns: BTreeMap<String, (&'static str, bool)>,
    primary_key: Vec<String>,
    indexes: BTreeSet<Index>,
    /// Each column that refers to another table, and to which.
    references: BTreeSet<(String, String)>,
}

/// Columns of an index, gathered by its name from rows in their order.
fn gather(rows: Vec<(String, i64, String)>) -> BTreeMap<String, Index> {
    let mut indexes: BTreeMap<String, Index> = BTreeMap::new();
    for (name, unique, column) in rows {
        indexes.entry(name).or_insert_with(|| (unique != 0, Vec::new())).1.push(column);
    }
    indexes
}

async fn of_sqlite(db: &Db) -> BTreeMap<String, Table> {
    let tables: Vec<(String,)> =
        sql("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' \
         AND name NOT LIKE '\\_sqlx%' ESCAPE '\\'")
        .all(db)
        .await
        .expect("tables");
    let mut schema = BTreeMap::new();
    for (table,) in tables {
        let columns: Vec<(String, String, i64, i64)> =
            sql("SELECT name, type, \"notnull\", pk FROM pragma_table_info(?)")
                .bind(&table)
                .all(db)
                .await
                .expect("columns");
        let mut key: Vec<(i64, String)> =
            columns.iter().filter(|column| column.3 > 0).map(|column| (column.3, column.0.clone())).collect();
        key.sort();
        let indexes: Vec<(String, i64, String)> =
            sql("SELECT l.name, l.\"unique\", i.name FROM pragma_index_list(?) l \
             JOIN pragma_index_info(l.name) i WHERE l.origin <> 'pk' ORDER BY l.name, i.seqno")
            .bind(&table)
            .all(db)
            .await
            .expect("indexes");
        let references: Vec<(String, String)> =
            sql("SELECT \"from\", \"table\" FROM pragma_foreign_key_list(?)").bind(&table).all(db).await.expect("keys");
        let column = |(name, kind, not_null, key): (String, String, i64, i64)| {
            let kind = match kind.as_str() {
                "BLOB" => "bytes",
                "TEXT" => "text",
                "INTEGER" => "whole",
                "REAL" => "fraction",
                _ => "unknown to this test",
            };
            (name, (kind, not_null == 0 && key == 0))
        };
        let table_of = Table {
            columns: columns.into_iter().map(column).collect(),
            primary_key: key.into_iter().map(|(_, name)| name).collect(),
            indexes: gather(indexes).into_values().collect(),
            references: references.into_iter().collect(),
        };
        schema.insert(table, table_of);
    }
    schema
}

async fn of_mysql(db: &Db) -> BTreeMap<String, Table> {
    let mut schema: BTreeMap<String, Table> = BTreeMap::new();
    let columns: Vec<(String, String, String, String)> =
        sql("SELECT CAST(table_name AS CHAR), CAST(column_name AS CHAR), CAST(data_type AS CHAR), CAST(is_nullable AS CHAR) \
         FROM information_schema.columns WHERE table_schema = DATABASE()")
        .all(db)
        .await
        .expect("columns");
    for (table, name, kind, nullable) in columns {
        let kind = match kind.as_str() {
            "binary" | "varbinary" | "blob" | "mediumblob" => "bytes",
            "varchar" | "char" | "text" | "mediumtext" => "text",
            "bigint" => "whole",
            "double" => "fraction",
            _ => "unknown to this test",
        };
        schema.entry(table).or_default().columns.insert(name, (kind, nullable == "YES"));
    }
    schema.retain(|table, _| !table.starts_with("_sqlx"));
    for (name, table) in &mut schema {
        let indexes: Vec<(String, i64, String)> =
            sql("SELECT CAST(index_name AS CHAR), CAST(1 - non_unique AS SIGNED), CAST(column_name AS CHAR) \
             FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = ? \
             ORDER BY index_name, seq_in_index")
            .bind(name)
            .all(db)
            .await
            .expect("indexes");
        let mut indexes = gather(indexes);
        table.primary_key = indexes.remove("PRIMARY").map(|(_, columns)| columns).unwrap_or_default();
        table.indexes = indexes.into_values().collect();
        let references: Vec<(String, String)> =
            sql("SELECT CAST(column_name AS CHAR), CAST(referenced_table_name AS CHAR) \
             FROM information_schema.key_column_usage WHERE table_schema = DATABASE() AND table_name = ? \
             AND referenced_table_name IS NOT NULL")
            .bind(name)
            .all(db)
            .await
            .expect("keys");
        table.references = references.into_iter().collect();
    }
    schema
}

#[tokio::test(flavor = "multi_thread")]
async fn both_databases_have_the_same_schema() {
    let sqlite = of_sqlite(&Database::Sqlite.fresh().await).await;
    let mut mysql = of_mysql(&Database::MySql.fresh().await).await;
    assert!(sqlite.len() > 10, "{:?}", sqlite.keys());
    for (name, table) in &mut mysql {
        // InnoDB makes an index for each foreign key that has none.
        let made_by_it = |(unique, columns): &Index| {
            !unique && columns.len() == 1 && table.references.iter().any(|(column, _)| *column == columns[0])
        };
        let known = sqlite.get(name).map(|table| table.indexes.clone()).unwrap_or_default();
        table.indexes.retain(|index| known.contains(index) || !made_by_it(index));
        assert_eq!(Some(&*table), sqlite.get(name), "the table {name}: MariaDB's, then SQLite's");
    }
    assert_eq!(mysql.keys().collect::<Vec<_>>(), sqlite.keys().collect::<Vec<_>>());
}

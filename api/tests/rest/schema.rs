//! Columns of the live schema that hold a user's id.

use std::collections::HashMap;

use common::{
    db::{Db, dialect::Dialect, sql},
    transaction,
};
use uuid::Uuid;

/// A column of a table.
#[derive(Clone, Debug)]
struct Column {
    table: String,
    name: String,
    declared: String,
    /// It takes a value that the database does not choose.
    needed: bool,
    /// The table that it names a row of.
    target: Option<String>,
}

impl Column {
    fn is_user(&self) -> bool {
        // The room log has no foreign keys.
        self.target.as_deref() == Some("users")
            || self.target.is_none()
                && matches!(self.name.as_str(), "user_id" | "author_id" | "person_id" | "host_id" | "growing_user_id")
    }
}

async fn columns(db: &Db) -> Vec<Column> {
    // Each view of the server's catalogue is asked for this database alone, without a join: it may have thousands.
    let (columns, keys) = match db.dialect() {
        Dialect::Sqlite => (
            "SELECT m.name, c.name, c.type, CASE WHEN c.\"notnull\" = 1 AND c.dflt_value IS NULL THEN 1 ELSE 0 END \
             FROM sqlite_master m JOIN pragma_table_info(m.name) c \
             WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, c.cid",
            "SELECT m.name, f.\"from\", f.\"table\" FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f",
        ),
        Dialect::MySql => (
            "SELECT CAST(table_name AS CHAR), CAST(column_name AS CHAR), CAST(data_type AS CHAR), \
             CAST(is_nullable = 'NO' AND column_default IS NULL AS SIGNED) FROM information_schema.columns \
             WHERE table_schema = DATABASE() ORDER BY table_name, ordinal_position",
            "SELECT CAST(table_name AS CHAR), CAST(column_name AS CHAR), CAST(referenced_table_name AS CHAR) FROM information_schema.key_column_usage \
             WHERE table_schema = DATABASE() AND referenced_table_name IS NOT NULL",
        ),
    };
    let keys: Vec<(String, String, String)> = sql(keys).all(db).await.expect("the foreign keys");
    let targets: HashMap<(String, String), String> =
        keys.into_iter().map(|(table, column, target)| ((table, column), target)).collect();
    let columns: Vec<(String, String, String, i64)> = sql(columns).all(db).await.expect("the columns");
    let columns = columns.into_iter().map(|(table, name, declared, needed)| {
        let target = targets.get(&(table.clone(), name.clone())).cloned();
        Column { table, name, declared: declared.to_lowercase(), needed: needed == 1, target }
    });
    columns.collect()
}

/// The tables in which users' ids stand.
pub(crate) async fn tables_with_users(db: &Db) -> Vec<String> {
    let columns = columns(db).await;
    let mut tables: Vec<String> = columns.into_iter().filter(Column::is_user).map(|column| column.table).collect();
    tables.dedup();
    tables
}

/// Sees to it that every column in which users' ids stand has the one of `user`, if need be by a row made up. `meetup` is
/// one that exists. Returns how many there are.
pub(crate) async fn fill(db: &Db, user: Uuid, meetup: Uuid) -> usize {
    let columns = columns(db).await;
    let of_users: Vec<&Column> = columns.iter().filter(|column| column.is_user()).collect();
    for column in &of_users {
        let Column { table, name, .. } = column;
        let count: Option<i64> =
            sql(format!("SELECT COUNT(*) FROM {table} WHERE {name} = ?")).bind(user).scalar(db).await.expect("a count");
        // An entry of a room's log must be one: talk makes those.
        if count == Some(0) && table != "room_entries" {
            insert(db, columns.iter().filter(|c| c.table == *table).collect(), user, meetup).await;
        }
    }
    of_users.len()
}

/// A row whose columns name `user`, or say as little as they may. It need not make sense: nothing reads it.
async fn insert(db: &Db, columns: Vec<&Column>, user: Uuid, meetup: Uuid) {
    let given: Vec<&Column> = columns.into_iter().filter(|column| column.needed || column.is_user()).collect();
    let names: Vec<&str> = given.iter().map(|column| column.name.as_str()).collect();
    let (off, on) = match db.dialect() {
        Dialect::Sqlite => ("PRAGMA defer_foreign_keys = ON", "PRAGMA defer_foreign_keys = OFF"),
        Dialect::MySql => ("SET FOREIGN_KEY_CHECKS = 0", "SET FOREIGN_KEY_CHECKS = 1"),
    };
    if db.dialect() == Dialect::Sqlite {
        sql("PRAGMA foreign_keys = OFF").run(db).await.expect("no foreign keys");
    }
    let table = &given.first().expect("a column").table;
    let made = transaction!(db, |tx| async {
        sql(off).run(&mut *tx).await?;
        let mut insert = sql(format!("INSERT INTO {table} ({}) VALUES ", names.join(", "))).push("(");
        for (i, column) in given.iter().enumerate() {
            insert = insert.push(if i == 0 { "?" } else { ", ?" });
            insert = match (column.is_user(), column.target.as_deref(), column.declared.as_str()) {
                (true, ..) => insert.bind(user),
                (_, Some("meetups"), _) => insert.bind(meetup),
                (_, _, "blob" | "binary" | "varbinary") => insert.bind(Uuid::now_v7()),
                (_, _, "text" | "varchar" | "mediumtext") => insert.bind("x"),
                _ => insert.bind(1_i64),
            };
        }
        insert.push(")").run(&mut *tx).await?;
        sql(on).run(&mut *tx).await.map(drop)
    });
    made.unwrap_or_else(|error: common::db::DbError| panic!("a row of {table}: {error}"));
    if db.dialect() == Dialect::Sqlite {
        sql("PRAGMA foreign_keys = ON").run(db).await.expect("foreign keys");
    }
}

/// Every value in every table, as `(table, column, hexadecimal digits)`.
pub(crate) async fn everything(db: &Db) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for Column { table, name, .. } in columns(db).await {
        // HEX() of a text is that of its bytes on both databases.
        let values: Vec<(Option<String>,)> =
            sql(format!("SELECT HEX({name}) FROM {table}")).all(db).await.expect("values");
        found.extend(values.into_iter().filter_map(|(value,)| Some((table.clone(), name.clone(), value?))));
    }
    found
}

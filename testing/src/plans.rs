//! Query plans: checks that no statement of a service reads a whole table.

use common::db::{Db, Query, recorder, sql};

/// Starts recording the statements that read from a database outside of transactions. Drops what was recorded before.
pub fn watch(db: &Db) {
    recorder::start(db);
}

/// Checks every read since [`watch`]: none scans a table, and an index is walked from its start only where that is the
/// order of a list with a limit. Returns how many there were. Give it a database with enough rows that an index pays.
///
/// # Panics
/// With the statement and its plan, if one does.
pub async fn assert_bounded(db: &Db) -> usize {
    let recorded = recorder::stop(db).expect("watch() first");
    refresh_statistics(db).await;
    let count = recorded.len();
    for (text, values) in recorded {
        let plan = plan(db, sql(text.clone()).bind_all(values)).await;
        let bad: Vec<_> = plan.iter().filter(|step| is_unbounded(step, &text)).collect();
        assert!(bad.is_empty(), "{text}\nlooks through a whole table or index: {bad:?}\nplan: {plan:#?}");
    }
    count
}

/// One step of a plan.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    reach: Reach,
    sorts: bool,
    text: String,
}

/// What a step reads.
#[derive(Debug, PartialEq, Eq)]
enum Reach {
    /// Part of an index, or nothing stored.
    Part,
    /// An index from one end.
    WholeIndex,
    /// A table.
    WholeTable,
}

fn is_unbounded(step: &Step, statement: &str) -> bool {
    match step.reach {
        Reach::Part => false,
        Reach::WholeIndex => step.sorts || !statement.contains("LIMIT"),
        Reach::WholeTable => true,
    }
}

async fn plan(db: &Db, query: Query) -> Vec<Step> {
    match db {
        Db::Sqlite { .. } => {
            let rows: Vec<SqliteStep> = query.prefixed("EXPLAIN QUERY PLAN").all(db).await.expect("a plan");
            let sorts = rows.iter().any(|row| row.detail.starts_with("USE TEMP B-TREE"));
            rows.into_iter().map(|row| sqlite_step(row.detail, sorts)).collect()
        }
        Db::MySql(_) => {
            let rows: Vec<MySqlStep> = query.prefixed("EXPLAIN").all(db).await.expect("a plan");
            rows.into_iter().map(mysql_step).collect()
        }
    }
}

#[derive(sqlx::FromRow)]
struct SqliteStep {
    detail: String,
}

/// `SCAN t` reads a table, `SCAN t USING INDEX …` an index, `SEARCH …` a part of either (SQLite, "EXPLAIN QUERY PLAN").
fn sqlite_step(text: String, sorts: bool) -> Step {
    let reach = match text.strip_prefix("SCAN ") {
        None | Some("CONSTANT ROW") => Reach::Part,
        // Rows that the statement itself has made.
        Some(of) if of.starts_with('(') => Reach::Part,
        Some(of) if of.contains(" USING ") => Reach::WholeIndex,
        Some(_) => Reach::WholeTable,
    };
    Step { reach, sorts, text }
}

#[derive(sqlx::FromRow, Debug)]
#[expect(dead_code, reason = "printed where a statement is bad")]
struct MySqlStep {
    table: Option<String>,
    #[sqlx(rename = "type")]
    access: Option<String>,
    key: Option<String>,
    #[sqlx(rename = "Extra")]
    extra: Option<String>,
}

/// `type` is `ALL` for a table, `index` for an index (MariaDB, "EXPLAIN").
fn mysql_step(row: MySqlStep) -> Step {
    let stored = row.table.as_deref().is_some_and(|table| !table.starts_with('<'));
    let reach = match row.access.as_deref() {
        Some("ALL") if stored => Reach::WholeTable,
        Some("index") if stored => Reach::WholeIndex,
        _ => Reach::Part,
    };
    let sorts = row.extra.as_deref().is_some_and(|extra| extra.contains("filesort") || extra.contains("temporary"));
    Step { reach, sorts, text: format!("{row:?}") }
}

/// Tells the optimiser how large the tables are.
async fn refresh_statistics(db: &Db) {
    let analyze = match db {
        Db::Sqlite { .. } => "ANALYZE".to_owned(),
        Db::MySql(_) => {
            let select = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()";
            let tables: Vec<(String,)> = sql(select).all(db).await.expect("tables");
            let tables: Vec<String> = tables.into_iter().map(|(table,)| table).collect();
            format!("ANALYZE TABLE {}", tables.join(", "))
        }
    };
    sql(analyze).run(db).await.expect("statistics");
}

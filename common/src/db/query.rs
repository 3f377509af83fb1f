//! A statement with its values, and what runs it.

use std::borrow::Cow;

use sqlx::{AssertSqlSafe, FromRow, MySql, Sqlite, mysql::MySqlRow, sqlite::SqliteRow};

use super::{
    Attempts, Db, DbError, Tx,
    call::{in_time, while_connection_is_gone},
    lease::Lease,
    recorder,
    tx::TxConnection,
    value::Value,
};

/// A statement with `?` placeholders and a value for each.
#[derive(Clone, Debug)]
#[must_use = "a query does nothing until it is run"]
pub struct Query {
    text: Cow<'static, str>,
    values: Vec<Value>,
}

/// Starts a [`Query`]. The text comes from the program, never from a user: what users send is bound.
pub fn sql(text: impl Into<Cow<'static, str>>) -> Query {
    Query { text: text.into(), values: Vec::new() }
}

impl Query {
    /// Binds the next placeholder.
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Binds a placeholder for each value, in order.
    pub fn bind_all<V: Into<Value>>(mut self, values: impl IntoIterator<Item = V>) -> Self {
        self.values.extend(values.into_iter().map(Into::into));
        self
    }

    /// The statement with text put before it, such as `EXPLAIN`.
    pub fn prefixed(self, prefix: &str) -> Self {
        Self { text: format!("{prefix} {}", self.text).into(), ..self }
    }

    /// Appends text, for statements put together from parts.
    pub fn push(mut self, text: &str) -> Self {
        self.text.to_mut().push_str(text);
        self
    }

    /// Appends `(?, ?, …)` and binds the values: the right side of `IN`. An empty list matches nothing. The last value is
    /// repeated up to a power of two, so that lists of any length make few texts.
    pub fn push_list<V: Into<Value>>(self, values: impl IntoIterator<Item = V>) -> Self {
        let values: Vec<Value> = values.into_iter().map(Into::into).collect();
        let marks = vec!["?"; padded(&values).count()].join(", ");
        let list = if marks.is_empty() { "(NULL)".to_owned() } else { format!("({marks})") };
        self.push(&list).bind_all(padded(&values).cloned())
    }

    /// All rows. The statement must have its own `LIMIT` or a key that bounds it.
    ///
    /// # Errors
    /// See [`DbError`].
    pub async fn all<T: Row>(self, executor: impl Executor) -> Result<Vec<T>, DbError> {
        executor.fetch_all(self).await
    }

    /// The first row, if there is one.
    ///
    /// # Errors
    /// See [`DbError`].
    pub async fn optional<T: Row>(self, executor: impl Executor) -> Result<Option<T>, DbError> {
        executor.fetch_optional(self).await
    }

    /// The first row of a statement that always has one, such as a count.
    ///
    /// # Errors
    /// See [`DbError`].
    pub async fn one<T: Row>(self, executor: impl Executor) -> Result<T, DbError> {
        self.optional(executor).await?.ok_or(DbError::Other(sqlx::Error::RowNotFound))
    }

    /// The first column of the first row, if there is one.
    ///
    /// # Errors
    /// See [`DbError`].
    pub async fn scalar<T>(self, executor: impl Executor) -> Result<Option<T>, DbError>
    where
        (T,): Row,
    {
        Ok(self.optional::<(T,)>(executor).await?.map(|(value,)| value))
    }

    /// Runs it for its effect. Returns how many rows its conditions matched, on both databases alike.
    ///
    /// # Errors
    /// See [`DbError`].
    pub async fn run(self, executor: impl Executor) -> Result<u64, DbError> {
        executor.execute(self).await
    }
}

/// `values` with the last one repeated up to a power of two: parts of a text that are repeated for each of them make few
/// different texts. A connection prepares each text once.
pub fn padded<T>(values: &[T]) -> impl Iterator<Item = &T> {
    let last = values.last().into_iter().cycle();
    values.iter().chain(last).take(values.len().next_power_of_two())
}

/// Rows of one `INSERT`, at most: with 30 columns still below SQLite's limit of 32,766 placeholders. A power of two.
const ROWS_PER_INSERT: usize = 512;

/// Inserts rows into `table`, many with each statement. Every row has a value for each of the `columns`.
///
/// # Errors
/// See [`DbError`]; rows of earlier statements are in the transaction.
pub async fn insert_rows(tx: &mut Tx, table: &str, columns: &[&str], rows: Vec<Vec<Value>>) -> Result<(), DbError> {
    insert_rows_ending(tx, table, columns, rows, "").await
}

/// Inserts rows as [`insert_rows`] does, and sets the columns `updated` where a row with the same `key` exists.
///
/// # Errors
/// See [`DbError`]; rows of earlier statements are in the transaction.
pub async fn upsert_rows(
    tx: &mut Tx,
    table: &str,
    columns: &[&str],
    rows: Vec<Vec<Value>>,
    (key, updated): (&str, &[&str]),
) -> Result<(), DbError> {
    let end = tx.dialect().upsert(key, updated);
    insert_rows_ending(tx, table, columns, rows, &end).await
}

/// Each statement has a power of two of rows, so that any number of rows makes few texts.
async fn insert_rows_ending(
    tx: &mut Tx,
    table: &str,
    columns: &[&str],
    rows: Vec<Vec<Value>>,
    end: &str,
) -> Result<(), DbError> {
    let marks = format!("({})", vec!["?"; columns.len()].join(", "));
    let mut rows = rows.into_iter();
    while rows.len() > 0 {
        let count = (1 << rows.len().ilog2()).min(ROWS_PER_INSERT);
        let values = vec![marks.as_str(); count].join(", ");
        sql(format!("INSERT INTO {table} ({}) VALUES {values}{end}", columns.join(", ")))
            .bind_all(rows.by_ref().take(count).flatten())
            .run(&mut *tx)
            .await?;
    }
    Ok(())
}

/// What a row can become, on both databases; `#[derive(sqlx::FromRow)]` gives it.
pub trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, MySqlRow> + Send + Unpin {}
impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, MySqlRow> + Send + Unpin {}

/// What runs a [`Query`]: `&Db` for a single statement, `&mut Tx` inside a transaction.
pub trait Executor: Send {
    /// See [`Query::all`].
    fn fetch_all<T: Row>(self, query: Query) -> impl Future<Output = Result<Vec<T>, DbError>> + Send;
    /// See [`Query::optional`].
    fn fetch_optional<T: Row>(self, query: Query) -> impl Future<Output = Result<Option<T>, DbError>> + Send;
    /// See [`Query::run`].
    fn execute(self, query: Query) -> impl Future<Output = Result<u64, DbError>> + Send;
}

/// Binds the values of a [`Query`] to a statement of either database.
macro_rules! bound {
    ($make:expr, $values:expr) => {
        $values.iter().fold($make, |statement, value| match value {
            Value::Null => statement.bind(None::<i64>),
            Value::Int(value) => statement.bind(*value),
            Value::Real(value) => statement.bind(*value),
            Value::Text(value) => statement.bind(value.as_str()),
            Value::Id(value) => statement.bind(*value),
            Value::Bytes(value) => statement.bind(value.as_slice()),
        })
    };
}

/// Runs a call on a connection of a pool, which gets it back only if the call has ended.
macro_rules! lent {
    ($pool:expr, |$connection:ident| $call:expr) => {
        async {
            let mut lease = Lease::take($pool).await?;
            let $connection = lease.connection();
            let outcome = $call.await;
            lease.settle(outcome)
        }
    };
}

/// The rows of a statement of the MySQL family. Values are bound again for each attempt.
macro_rules! mysql_rows {
    ($type:ty, $text:expr, $values:expr) => {
        bound!(sqlx::query_as::<MySql, $type>(AssertSqlSafe($text)), $values)
    };
}

macro_rules! sqlite_rows {
    ($type:ty, $text:expr, $values:expr) => {
        bound!(sqlx::query_as::<Sqlite, $type>(AssertSqlSafe($text)), $values)
    };
}

impl Executor for &Db {
    async fn fetch_all<T: Row>(self, query: Query) -> Result<Vec<T>, DbError> {
        recorder::record(self, &query.text, &query.values);
        let Query { text, values } = query;
        in_time(async {
            match self {
                Db::Sqlite { readers, .. } => lent!(readers, |c| sqlite_rows!(T, text, values).fetch_all(c)).await,
                Db::MySql(pool) => while_connection_is_gone!(
                    pool.size(),
                    lent!(pool, |c| mysql_rows!(T, text.clone(), values).fetch_all(c))
                ),
            }
        })
        .await
    }

    async fn fetch_optional<T: Row>(self, query: Query) -> Result<Option<T>, DbError> {
        match self {
            Db::Sqlite { readers, .. } => {
                recorder::record(self, &query.text, &query.values);
                let Query { text, values } = query;
                in_time(lent!(readers, |c| sqlite_rows!(T, text, values).fetch_optional(c))).await
            }
            // The driver would leave the rows after the first one on the connection.
            Db::MySql(_) => Ok(self.fetch_all(query).await?.into_iter().next()),
        }
    }

    async fn execute(self, query: Query) -> Result<u64, DbError> {
        let Query { text, values } = query;
        let mut attempts = Attempts::default();
        loop {
            let text = AssertSqlSafe(text.clone());
            let outcome = in_time(async {
                match self {
                    Db::Sqlite { writer, .. } => {
                        let statement = bound!(sqlx::query::<Sqlite>(text), values);
                        Ok(lent!(writer, |c| statement.execute(c)).await?.rows_affected())
                    }
                    Db::MySql(pool) => {
                        let statement = bound!(sqlx::query::<MySql>(text), values);
                        Ok(lent!(pool, |c| statement.execute(c)).await?.rows_affected())
                    }
                }
            })
            .await;
            // A statement that gave way to another transaction has done nothing.
            if let Some(outcome) = attempts.unless_again(outcome).await {
                return outcome;
            }
        }
    }
}

impl Executor for &mut Tx {
    async fn fetch_all<T: Row>(self, query: Query) -> Result<Vec<T>, DbError> {
        self.begin_call()?;
        let Query { text, values } = query;
        let outcome = in_time(async {
            match &mut self.connection {
                TxConnection::Sqlite(lease) => sqlite_rows!(T, text, values).fetch_all(lease.connection()).await,
                TxConnection::MySql(lease) => mysql_rows!(T, text, values).fetch_all(lease.connection()).await,
            }
        })
        .await;
        self.end_call(outcome)
    }

    async fn fetch_optional<T: Row>(self, query: Query) -> Result<Option<T>, DbError> {
        Ok(self.fetch_all(query).await?.into_iter().next())
    }

    async fn execute(self, query: Query) -> Result<u64, DbError> {
        self.begin_call()?;
        let Query { text, values } = query;
        let text = AssertSqlSafe(text);
        let outcome = in_time(async {
            Ok(match &mut self.connection {
                TxConnection::Sqlite(lease) => {
                    bound!(sqlx::query::<Sqlite>(text), values).execute(lease.connection()).await?.rows_affected()
                }
                TxConnection::MySql(lease) => {
                    bound!(sqlx::query::<MySql>(text), values).execute(lease.connection()).await?.rows_affected()
                }
            })
        })
        .await;
        self.end_call(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_padded_to_a_power_of_two() {
        for (values, expected) in [(vec![], vec![]), (vec![1], vec![1]), (vec![1, 2, 3], vec![1, 2, 3, 3])] {
            assert_eq!(padded(&values).copied().collect::<Vec<i32>>(), expected);
        }
        let texts: std::collections::BTreeSet<String> =
            (0..=512).map(|length| sql("SELECT 1 IN ").push_list(0..length).text.into_owned()).collect();
        assert_eq!(texts.len(), 11, "{texts:?}");
    }
}

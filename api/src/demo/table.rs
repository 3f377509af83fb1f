//! Rows of one table, collected in memory and inserted in batches.

use common::db::{DbError, Tx, Value, insert_rows};

/// The rows of one table.
pub(super) struct Table {
    name: &'static str,
    columns: Vec<&'static str>,
    rows: Vec<Vec<Value>>,
}

impl Table {
    /// Without rows. Each row has a value for each of the columns.
    pub(super) fn new(name: &'static str, columns: &[&'static str]) -> Self {
        Self { name, columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn push(&mut self, row: Vec<Value>) {
        self.rows.push(row);
    }

    /// Adds a row with named columns, which are the same for all rows.
    pub(super) fn push_named(&mut self, row: impl IntoIterator<Item = (&'static str, Value)>) {
        let (columns, row) = row.into_iter().unzip();
        self.columns = columns;
        self.rows.push(row);
    }

    /// Inserts the rows; may be repeated with the transaction.
    pub(super) async fn insert(&self, tx: &mut Tx) -> Result<(), DbError> {
        insert_rows(tx, self.name, &self.columns, self.rows.clone()).await
    }
}

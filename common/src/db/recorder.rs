//! Recorder of the statements that read from a database, for tests that check query plans.
//!
//! Off unless a test starts it: a process that does not record pays for one relaxed load a statement.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{Db, value::Value};

/// Statements by their text, each with the values of its first run.
pub type Statements = BTreeMap<String, Vec<Value>>;
/// Recorded statements of each database.
type Recorded = BTreeMap<String, Statements>;

static RECORDED: Mutex<Recorded> = Mutex::new(BTreeMap::new());
/// Databases that are being recorded.
static RECORDING: AtomicUsize = AtomicUsize::new(0);

fn recorded() -> MutexGuard<'static, Recorded> {
    RECORDED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells one database from the others of this process.
fn name(db: &Db) -> String {
    match db {
        Db::Sqlite { readers, .. } => readers.connect_options().get_filename().display().to_string(),
        Db::MySql(pool) => pool.connect_options().get_database().unwrap_or_default().to_owned(),
    }
}

/// Starts recording the statements that read from `db` outside of transactions. Drops what was recorded of it before.
pub fn start(db: &Db) {
    let mut recorded = recorded();
    recorded.insert(name(db), BTreeMap::new());
    RECORDING.store(recorded.len(), Ordering::Relaxed);
}

/// Stops recording `db` and returns its statements; `None` if it was not recorded.
pub fn stop(db: &Db) -> Option<Statements> {
    let mut recorded = recorded();
    let statements = recorded.remove(&name(db));
    RECORDING.store(recorded.len(), Ordering::Relaxed);
    statements
}

/// Records a statement, if its database is being recorded.
pub(super) fn record(db: &Db, text: &str, values: &[Value]) {
    if RECORDING.load(Ordering::Relaxed) > 0
        && let Some(statements) = recorded().get_mut(&name(db))
    {
        statements.entry(text.to_owned()).or_insert_with(|| values.to_vec());
    }
}

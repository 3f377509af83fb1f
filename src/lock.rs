//! Exclusive lock of an embedded database: one process for one SQLite file, because live delivery is in-process and
//! two processes would not deliver each other's entries.

use std::{
    fs::{File, TryLockError},
    io,
    path::PathBuf,
};

use common::{config::SecretUrl, db};

/// Why the lock of a database is not held.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    #[error("the database {} is in use by another mingizuk: stop that one, or set another MINGIZUK_DATABASE_URL", .0.display())]
    InUse(PathBuf),
    #[error("cannot lock {}: {}", .0.display(), .1)]
    Failed(PathBuf, io::Error),
}

/// Takes the lock of an embedded database: `<file>.lock`, held until it is dropped or the process ends, however it does. A
/// database server needs none.
///
/// # Errors
/// [`LockError::InUse`] when another process holds it, [`LockError::Failed`] when the file cannot be written.
pub(crate) fn database(url: &SecretUrl) -> Result<Option<File>, LockError> {
    let Some(database) = db::sqlite_file(url) else { return Ok(None) };
    let mut path = database.clone().into_os_string();
    path.push(".lock");
    let path = PathBuf::from(path);
    let open = || -> io::Result<File> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        File::options().write(true).create(true).truncate(false).open(&path)
    };
    let file = open().map_err(|error| LockError::Failed(path.clone(), error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(LockError::InUse(database)),
        Err(TryLockError::Error(error)) => Err(LockError::Failed(path, error)),
    }
}

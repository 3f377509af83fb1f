//! One service process for one SQLite file: what is appended is delivered live by the process that appends it, so the
//! people of two processes would not hear each other.

use std::{
    fs::{File, TryLockError},
    io,
    path::PathBuf,
};

use common::{config::SecretUrl, db};

use crate::serve::ServeError;

/// Takes the lock of an embedded database: `<file>.lock`, held until it is dropped or the process ends, however it does. A
/// database server needs none.
///
/// # Errors
/// [`ServeError::InUse`] when another process holds it, [`ServeError::Lock`] when the file cannot be written.
pub(crate) fn database(url: &SecretUrl) -> Result<Option<File>, ServeError> {
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
    let file = open().map_err(|error| ServeError::Lock(path.clone(), error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(ServeError::InUse(database)),
        Err(TryLockError::Error(error)) => Err(ServeError::Lock(path, error)),
    }
}

//! Replacement of a password in SQL, with what it ends: other sessions and the address of the calendar feed.

use common::{
    db::{Db, DbError, sql},
    time::Timestamp,
    transaction,
};
use uuid::Uuid;

use crate::{auth::sessions, feeds};

/// Replaces the password hash `old` by `new` and ends every session of the user but `keep`. Returns the ids of the
/// sessions that ended, or `None` if another request replaced the password meanwhile.
///
/// # Errors
/// See [`DbError`].
pub async fn replace_password(
    db: &Db,
    user: Uuid,
    old: &str,
    new: &str,
    keep: Uuid,
    now: Timestamp,
) -> Result<Option<Vec<Uuid>>, DbError> {
    transaction!(db, |tx| async {
        let replaced = sql("UPDATE users SET password_hash = ? WHERE id = ? AND password_hash = ?")
            .bind(new)
            .bind(user)
            .bind(old)
            .run(&mut *tx)
            .await?;
        if replaced == 0 {
            return Ok(None);
        }
        // A holder of the old password may know the address of the feed too.
        feeds::store::revoke(&mut *tx, user).await?;
        Ok::<_, DbError>(Some(sessions::revoke_all_but(tx, user, Some(keep), now).await?))
    })
}

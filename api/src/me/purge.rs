//! Purge of accounts whose withdrawal is final, with their personal data.
//!
//! Chat messages stay, attributed to "탈퇴한 회원", and hosted meetups stay for their members. Every step is idempotent, so
//! an interrupted purge is completed by the next run.

use std::collections::BTreeMap;

use common::{
    db::{Db, DbError, Tx, sql},
    membership::MemberState,
    outbox::RelayError,
    rooms::RoomError,
    time::Timestamp,
    transaction,
};
use uuid::Uuid;
use wire::Person;

use super::rules;
use crate::{
    auth::store,
    context::Context,
    meetups::{error::MeetupError, members},
};

/// Accounts or memberships of one batch.
const BATCH: u32 = 100;
/// Length of the shortest month: no withdrawal becomes final sooner.
const SHORTEST: std::time::Duration = std::time::Duration::from_secs(28 * 86_400);

/// Why an account could not be purged.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The room log.
    #[error(transparent)]
    Rooms(#[from] RoomError),
    /// Entries of the outbox could not be appended.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// A meetup that could not be left.
    #[error(transparent)]
    Meetup(#[from] MeetupError),
    /// Some accounts could not be purged; the others were.
    #[error("{0} accounts could not be purged")]
    Some(usize),
}

/// Purges every account whose withdrawal is final. Returns how many.
///
/// # Errors
/// What stopped the search for accounts, or [`PurgeError::Some`]: one that fails does not keep the others.
pub async fn purge_withdrawn(cx: &Context) -> Result<u64, PurgeError> {
    let now = cx.env.clock.now();
    let (mut purged, mut failed, mut after) = (0, 0, (Timestamp(1), Uuid::nil()));
    loop {
        let batch = withdrawn_before(&cx.db, now - SHORTEST, after).await?;
        let Some(last) = batch.last() else { break };
        after = *last;
        for (withdrawn_at, user) in batch.into_iter().filter(|(at, _)| rules::final_from(*at) < now) {
            match purge(cx, user, withdrawn_at).await {
                Ok(done) => purged += u64::from(done),
                Err(error) => {
                    failed += 1;
                    tracing::error!(%user, %error, "purge of an account failed");
                }
            }
        }
    }
    if failed > 0 { Err(PurgeError::Some(failed)) } else { Ok(purged) }
}

async fn withdrawn_before(
    db: &Db,
    until: Timestamp,
    (at, id): (Timestamp, Uuid),
) -> Result<Vec<(Timestamp, Uuid)>, DbError> {
    sql("SELECT withdrawn_at, id FROM users WHERE withdrawn_at >= ? AND (withdrawn_at > ? OR id > ?) \
         AND withdrawn_at <= ? ORDER BY withdrawn_at, id LIMIT ?")
    .bind(at)
    .bind(at)
    .bind(id)
    .bind(until)
    .bind(BATCH)
    .all(db)
    .await
}

/// Purges one account. Each step may be repeated: a purge that was interrupted ends at the next run. `false`: the account
/// was restored, or purged, since it was found.
async fn purge(cx: &Context, user: Uuid, withdrawn_at: Timestamp) -> Result<bool, PurgeError> {
    if !transaction!(cx.db, |tx| disable(tx, user, withdrawn_at))? {
        return Ok(false);
    }
    leave_meetups(cx, user).await?;
    // Entries still in the outbox name the person: they must be in the logs before these are rewritten.
    cx.relay.drain().await?;
    cx.rooms.anonymise(user).await?;
    transaction!(cx.db, |tx| remove(tx, user))?;
    Ok(true)
}

/// Makes log-in and restoration impossible: they would bring back half of the account.
async fn disable(tx: &mut Tx, user: Uuid, withdrawn_at: Timestamp) -> Result<bool, DbError> {
    let found = store::lock_user(tx, user).await?;
    if found.and_then(|user| user.withdrawn_at) != Some(withdrawn_at) {
        return Ok(false);
    }
    sql("DELETE FROM restore_tokens WHERE user_id = ?").bind(user).run(&mut *tx).await?;
    sql("UPDATE users SET email = NULL, email_key = NULL, password_hash = NULL WHERE id = ?")
        .bind(user)
        .run(&mut *tx)
        .await?;
    Ok(true)
}

/// Leaves the meetups that are not over, so that waiting people move up and the rooms get their entries.
async fn leave_meetups(cx: &Context, user: Uuid) -> Result<(), PurgeError> {
    let mut after = Uuid::nil();
    loop {
        let open: Vec<(Uuid,)> = sql("SELECT m.id FROM meetup_members mm JOIN meetups m ON m.id = mm.meetup_id \
             WHERE mm.user_id = ? AND mm.state <> ? AND m.id > ? AND m.cancelled_at IS NULL AND m.ends_at > ? \
             AND m.host_id <> ? ORDER BY m.id LIMIT ?")
        .bind(user)
        .bind(MemberState::Removed.as_str())
        .bind(after)
        .bind(cx.env.clock.now())
        .bind(user)
        .bind(BATCH)
        .all(&cx.db)
        .await?;
        let Some((last,)) = open.last() else { return Ok(()) };
        after = *last;
        for (meetup,) in open {
            members::leave_withdrawn(cx, meetup, user).await?;
        }
    }
}

/// Subtracts the `rows` of a user from the counts of their meetups, in batches.
async fn uncount(tx: &mut Tx, user: Uuid, rows: &str, column: &str) -> Result<(), DbError> {
    let mut after = Uuid::nil();
    loop {
        let counts: Vec<(Uuid, i64)> = sql(format!(
            "SELECT meetup_id, COUNT(*) FROM {rows} AND user_id = ? AND meetup_id > ? \
             GROUP BY meetup_id ORDER BY meetup_id LIMIT ?"
        ))
        .bind(user)
        .bind(after)
        .bind(BATCH)
        .all(&mut *tx)
        .await?;
        let Some((last, _)) = counts.last() else { return Ok(()) };
        after = *last;
        let mut meetups: BTreeMap<i64, Vec<Uuid>> = BTreeMap::new();
        for (meetup, count) in counts {
            meetups.entry(count).or_default().push(meetup);
        }
        for (count, meetups) in meetups {
            sql(format!("UPDATE meetups SET {column} = {column} - ? WHERE id IN "))
                .bind(count)
                .push_list(meetups)
                .run(&mut *tx)
                .await?;
        }
    }
}

/// Deletes every row of the account; tables with `ON DELETE CASCADE` follow.
async fn remove(tx: &mut Tx, user: Uuid) -> Result<(), DbError> {
    if store::lock_user(tx, user).await?.is_none() {
        return Ok(());
    }
    for (rows, column) in [
        ("meetup_members WHERE state = 'member'", "member_count"),
        ("meetup_members WHERE state = 'waiting'", "waiting_count"),
        ("meetup_likes WHERE 1 = 1", "like_count"),
        ("comments WHERE 1 = 1", "comment_count"),
    ] {
        uncount(tx, user, rows, column).await?;
    }
    for statement in [
        "DELETE FROM meetup_members WHERE user_id = ?",
        "DELETE FROM meetup_likes WHERE user_id = ?",
        "DELETE FROM comments WHERE user_id = ?",
    ] {
        sql(statement).bind(user).run(&mut *tx).await?;
    }
    let heir = Person::withdrawn().id;
    sql("UPDATE meetups SET host_id = ? WHERE host_id = ?").bind(heir).bind(user).run(&mut *tx).await?;
    sql("DELETE FROM users WHERE id = ?").bind(user).run(&mut *tx).await?;
    Ok(())
}

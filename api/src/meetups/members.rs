//! Members and waiting list of a meetup in SQL: joining, leaving, and moving up.
//!
//! Every change holds the lock of the meetup's row, so that no race admits more people than there are places. Where both
//! are locked, an account's row is locked before a meetup's.

use common::{
    bootstrap::Backends,
    db::{DbError, Executor, Tx, sql},
    membership::MemberState,
    outbox::Outbox,
    outbox_transaction,
    time::Timestamp,
};
use uuid::Uuid;
use wire::{Body, Change, Person};

use super::{error::MeetupError, row::MembershipRow};
use crate::auth::store as accounts;

/// People moved up by one statement, at most.
const BATCH: i64 = 200;

/// A meetup's row while a transaction holds its lock.
#[derive(Debug, sqlx::FromRow)]
pub struct Locked {
    /// Its host.
    pub host_id: Uuid,
    /// When it ends.
    pub ends_at: Timestamp,
    /// When it was called off.
    pub cancelled_at: Option<Timestamp>,
    /// Places, if they are limited.
    pub capacity: Option<i64>,
    /// Places taken.
    pub member_count: i64,
    /// People who wait for a place.
    pub waiting_count: i64,
}

impl Locked {
    /// Whether it accepts no more members: ended or cancelled.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.cancelled_at.is_some() || self.ends_at <= now
    }

    /// Free places; `i64::MAX` without a limit.
    pub fn free_places(&self) -> i64 {
        self.capacity.map_or(i64::MAX, |capacity| capacity - self.member_count)
    }
}

/// Takes the lock of a meetup's row.
///
/// # Errors
/// [`MeetupError::NotFound`], or the database's.
pub async fn lock(tx: &mut Tx, meetup: Uuid) -> Result<Locked, MeetupError> {
    let select = format!(
        "SELECT host_id, ends_at, cancelled_at, capacity, member_count, waiting_count FROM meetups WHERE id = ?{}",
        tx.dialect().for_update()
    );
    sql(select).bind(meetup).optional(tx).await?.ok_or(MeetupError::NotFound)
}

/// The row of a user in a meetup.
///
/// # Errors
/// See [`DbError`].
pub async fn find(executor: impl Executor, meetup: Uuid, user: Uuid) -> Result<Option<MembershipRow>, DbError> {
    sql("SELECT state, since FROM meetup_members WHERE meetup_id = ? AND user_id = ?")
        .bind(meetup)
        .bind(user)
        .optional(executor)
        .await
}

/// Those of `meetups`, one page at most, in which a user has a row.
///
/// # Errors
/// See [`DbError`].
pub async fn with_row(executor: impl Executor, user: Uuid, meetups: &[Uuid]) -> Result<Vec<Uuid>, DbError> {
    let find = sql("SELECT meetup_id FROM meetup_members WHERE user_id = ? AND meetup_id IN ").bind(user);
    let found: Vec<(Uuid,)> = find.push_list(meetups.iter().copied()).all(executor).await?;
    Ok(found.into_iter().map(|(meetup,)| meetup).collect())
}

/// Joins a meetup, or its waiting list when it is full; idempotent.
///
/// # Errors
/// [`MeetupError::NoAccount`], [`MeetupError::NotFound`], [`MeetupError::Over`], [`MeetupError::Removed`], or the
/// database's.
pub async fn join(backends: &Backends, meetup: Uuid, user: Uuid) -> Result<MembershipRow, MeetupError> {
    outbox_transaction!(backends, |tx, outbox| async {
        accounts::lock_active_user(tx, user).await?.ok_or(MeetupError::NoAccount)?;
        join_locked(tx, outbox, meetup, user).await
    })
}

async fn join_locked(tx: &mut Tx, outbox: &Outbox<'_>, meetup: Uuid, user: Uuid) -> Result<MembershipRow, MeetupError> {
    let (mut locked, now) = (lock(tx, meetup).await?, outbox.env.clock.now());
    if has_unclaimed_place(&locked, now) {
        move_up(tx, outbox, meetup, locked.free_places()).await?;
        locked = lock(tx, meetup).await?;
    }
    match find(&mut *tx, meetup, user).await? {
        Some(row) if row.is(MemberState::Removed) => return Err(MeetupError::Removed),
        Some(row) => return Ok(row),
        None if locked.is_over(now) => return Err(MeetupError::Over),
        None => {}
    }
    let state = if locked.free_places() > 0 { MemberState::Member } else { MemberState::Waiting };
    let since = match state {
        MemberState::Waiting => after_last_waiting(tx, meetup, now).await?,
        _ => now,
    };
    sql("INSERT INTO meetup_members (meetup_id, user_id, state, since) VALUES (?, ?, ?, ?)")
        .bind(meetup)
        .bind(user)
        .bind(state.as_str())
        .bind(since)
        .run(&mut *tx)
        .await?;
    adjust_count(&mut *tx, meetup, state, 1).await?;
    if state == MemberState::Member {
        put_member_entry(tx, outbox, meetup, user, Change::Joined).await?;
    }
    Ok(MembershipRow { state: state.as_str().to_owned(), since })
}

/// Whether a place is free while somebody waits: everybody who waited had withdrawn when it became free, and one has
/// restored the account since.
fn has_unclaimed_place(locked: &Locked, now: Timestamp) -> bool {
    locked.waiting_count > 0 && locked.free_places() > 0 && !locked.is_over(now)
}

/// Gives a restored account the places that became free while it was withdrawn.
///
/// # Errors
/// See [`MeetupError`].
pub async fn move_up_restored(backends: &Backends, user: Uuid) -> Result<(), MeetupError> {
    let mut after = Uuid::nil();
    loop {
        let waits: Vec<(Uuid,)> = sql("SELECT m.id FROM meetup_members mm JOIN meetups m ON m.id = mm.meetup_id \
             WHERE mm.user_id = ? AND mm.state = ? AND m.id > ? AND m.cancelled_at IS NULL AND m.ends_at > ? \
             ORDER BY m.id LIMIT ?")
        .bind(user)
        .bind(MemberState::Waiting.as_str())
        .bind(after)
        .bind(backends.env.clock.now())
        .bind(BATCH)
        .all(&backends.db)
        .await?;
        let Some((last,)) = waits.last() else { return Ok(()) };
        after = *last;
        for (meetup,) in waits {
            outbox_transaction!(backends, |tx, outbox| async {
                let locked = lock(tx, meetup).await?;
                if has_unclaimed_place(&locked, outbox.env.clock.now()) {
                    move_up(tx, outbox, meetup, locked.free_places()).await?;
                }
                Ok::<_, MeetupError>(())
            })?;
        }
    }
}

/// A time later than that of everybody who waits: two who join within a millisecond, or at services whose clocks differ,
/// wait in the order in which they joined.
async fn after_last_waiting(tx: &mut Tx, meetup: Uuid, now: Timestamp) -> Result<Timestamp, DbError> {
    let last: Option<Timestamp> =
        sql("SELECT since FROM meetup_members WHERE meetup_id = ? AND state = ? ORDER BY since DESC LIMIT 1")
            .bind(meetup)
            .bind(MemberState::Waiting.as_str())
            .scalar(tx)
            .await?;
    Ok(last.map_or(now, |last| now.max(Timestamp(last.millis() + 1))))
}

/// Leaves a meetup or its waiting list; whoever waits longest moves up. Idempotent.
///
/// # Errors
/// [`MeetupError::NoAccount`], [`MeetupError::NotFound`], [`MeetupError::HostCannotLeave`], or the database's.
pub async fn leave(backends: &Backends, meetup: Uuid, user: Uuid) -> Result<(), MeetupError> {
    outbox_transaction!(backends, |tx, outbox| async {
        accounts::lock_active_user(tx, user).await?.ok_or(MeetupError::NoAccount)?;
        leave_locked(tx, outbox, meetup, user).await
    })
}

/// As [`leave`], for an account that is withdrawn and about to be purged.
///
/// # Errors
/// [`MeetupError::NotFound`], [`MeetupError::HostCannotLeave`], or the database's.
pub async fn leave_withdrawn(backends: &Backends, meetup: Uuid, user: Uuid) -> Result<(), MeetupError> {
    outbox_transaction!(backends, |tx, outbox| leave_locked(tx, outbox, meetup, user))
}

async fn leave_locked(tx: &mut Tx, outbox: &Outbox<'_>, meetup: Uuid, user: Uuid) -> Result<(), MeetupError> {
    let locked = lock(tx, meetup).await?;
    if locked.host_id == user {
        return Err(MeetupError::HostCannotLeave);
    }
    let Some(row) = find(&mut *tx, meetup, user).await?.filter(|row| !row.is(MemberState::Removed)) else {
        return Ok(());
    };
    sql("DELETE FROM meetup_members WHERE meetup_id = ? AND user_id = ?").bind(meetup).bind(user).run(&mut *tx).await?;
    if row.is(MemberState::Waiting) {
        return Ok(adjust_count(&mut *tx, meetup, MemberState::Waiting, -1).await?);
    }
    adjust_count(&mut *tx, meetup, MemberState::Member, -1).await?;
    put_member_entry(tx, outbox, meetup, user, Change::Left).await?;
    if !locked.is_over(outbox.env.clock.now()) {
        move_up(tx, outbox, meetup, locked.free_places().saturating_add(1)).await?;
    }
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Waiting {
    user_id: Uuid,
    nickname: String,
}

/// Gives free places to those who wait longest; in a meetup without a limit, to everybody who waits. A withdrawn account
/// keeps its place in the waiting list: it may be restored.
///
/// # Errors
/// See [`DbError`].
pub async fn move_up(tx: &mut Tx, outbox: &Outbox<'_>, meetup: Uuid, mut places: i64) -> Result<(), DbError> {
    while places > 0 {
        let moved = move_up_batch(tx, outbox, meetup, places.min(BATCH)).await?;
        if moved < BATCH {
            return Ok(());
        }
        places -= moved;
    }
    Ok(())
}

/// Returns how many moved up.
async fn move_up_batch(tx: &mut Tx, outbox: &Outbox<'_>, meetup: Uuid, places: i64) -> Result<i64, DbError> {
    let next: Vec<Waiting> =
        sql("SELECT mm.user_id, u.nickname FROM meetup_members mm JOIN users u ON u.id = mm.user_id \
         WHERE mm.meetup_id = ? AND mm.state = ? AND u.withdrawn_at IS NULL ORDER BY mm.since, mm.user_id LIMIT ?")
        .bind(meetup)
        .bind(MemberState::Waiting.as_str())
        .bind(places)
        .all(&mut *tx)
        .await?;
    if next.is_empty() {
        return Ok(0);
    }
    sql("UPDATE meetup_members SET state = ?, since = ? WHERE meetup_id = ? AND user_id IN ")
        .bind(MemberState::Member.as_str())
        .bind(outbox.env.clock.now())
        .bind(meetup)
        .push_list(next.iter().map(|waiting| waiting.user_id))
        .run(&mut *tx)
        .await?;
    let moved = i64::try_from(next.len()).unwrap_or(i64::MAX);
    adjust_count(&mut *tx, meetup, MemberState::Member, moved).await?;
    adjust_count(&mut *tx, meetup, MemberState::Waiting, -moved).await?;
    let joined = |waiting: Waiting| {
        let user = Person { id: waiting.user_id, nickname: waiting.nickname };
        Body::Member { user, change: Change::Joined }
    };
    let bodies: Vec<Body> = next.into_iter().map(joined).collect();
    outbox.put(tx, meetup, &bodies).await?;
    Ok(moved)
}

/// Adds `by` to a meetup's count of members, or of people who wait.
///
/// # Errors
/// See [`DbError`].
pub async fn adjust_count(executor: impl Executor, meetup: Uuid, state: MemberState, by: i64) -> Result<(), DbError> {
    let column = if state == MemberState::Member { "member_count" } else { "waiting_count" };
    sql(format!("UPDATE meetups SET {column} = {column} + ? WHERE id = ?")).bind(by).bind(meetup).run(executor).await?;
    Ok(())
}

/// Queues a `member` entry for the room's log.
///
/// # Errors
/// See [`DbError`].
pub async fn put_member_entry(
    tx: &mut Tx,
    outbox: &Outbox<'_>,
    meetup: Uuid,
    user: Uuid,
    change: Change,
) -> Result<(), DbError> {
    let nickname: Option<String> = sql("SELECT nickname FROM users WHERE id = ?").bind(user).scalar(&mut *tx).await?;
    let user = Person { id: user, nickname: nickname.unwrap_or_default() };
    outbox.put(tx, meetup, &[Body::Member { user, change }]).await
}

/// A member with their nickname.
#[derive(Debug, sqlx::FromRow)]
pub struct MemberRow {
    /// Who.
    pub user_id: Uuid,
    /// Their nickname.
    pub nickname: String,
    /// Since when.
    pub since: Timestamp,
}

/// The members of a meetup in the order they joined, at most `limit`, after a place in that order.
///
/// # Errors
/// See [`DbError`].
pub async fn list(
    executor: impl Executor,
    meetup: Uuid,
    after: Option<(Timestamp, Uuid)>,
    limit: u32,
) -> Result<Vec<MemberRow>, DbError> {
    let mut query =
        sql("SELECT mm.user_id, u.nickname, mm.since FROM meetup_members mm JOIN users u ON u.id = mm.user_id \
         WHERE mm.meetup_id = ? AND mm.state = ?")
        .bind(meetup)
        .bind(MemberState::Member.as_str());
    if let Some((since, user)) = after {
        query =
            query.push(" AND (mm.since > ? OR (mm.since = ? AND mm.user_id > ?))").bind(since).bind(since).bind(user);
    }
    query.push(" ORDER BY mm.since, mm.user_id LIMIT ?").bind(limit).all(executor).await
}

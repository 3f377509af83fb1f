//! Who takes part in a meetup, in SQL. Every change holds the lock of the meetup's row.

use common::{
    db::{Db, DbError, Executor, Tx, sql},
    ids::Env,
    membership::MemberState,
    outbox,
    time::Timestamp,
    transaction,
};
use uuid::Uuid;
use wire::{Body, Change, Person};

use super::store::MeetupError;

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
    /// Who waits for one.
    pub waiting_count: i64,
}

impl Locked {
    /// Whether it takes nobody any more.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.cancelled_at.is_some() || self.ends_at <= now
    }

    /// Places that nobody has.
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

/// Someone's row in a meetup.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct MembershipRow {
    /// See [`MemberState`].
    pub state: String,
    /// Since when.
    pub since: Timestamp,
}

impl MembershipRow {
    /// Whether it says this.
    pub fn is(&self, state: MemberState) -> bool {
        self.state == state.as_str()
    }
}

/// Someone's row in a meetup.
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

/// Which of `meetups`, few, someone has a row in.
///
/// # Errors
/// See [`DbError`].
pub async fn among(executor: impl Executor, user: Uuid, meetups: &[Uuid]) -> Result<Vec<Uuid>, DbError> {
    let find = sql("SELECT meetup_id FROM meetup_members WHERE user_id = ? AND meetup_id IN ").bind(user);
    let found: Vec<(Uuid,)> = find.push_list(meetups.iter().copied()).all(executor).await?;
    Ok(found.into_iter().map(|(meetup,)| meetup).collect())
}

/// Joins a meetup, or its waiting list when it is full. Joining twice is the same as once.
///
/// # Errors
/// [`MeetupError::NotFound`], [`MeetupError::Over`], [`MeetupError::Removed`], or the database's.
pub async fn join(db: &Db, env: &Env, meetup: Uuid, user: Uuid) -> Result<MembershipRow, MeetupError> {
    transaction!(db, |tx| join_in(tx, env, meetup, user))
}

async fn join_in(tx: &mut Tx, env: &Env, meetup: Uuid, user: Uuid) -> Result<MembershipRow, MeetupError> {
    let (mut locked, now) = (lock(tx, meetup).await?, env.clock.now());
    if has_left_someone_waiting(&locked, now) {
        move_up(tx, env, meetup, locked.free_places()).await?;
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
        MemberState::Waiting => behind_all(tx, meetup, now).await?,
        _ => now,
    };
    sql("INSERT INTO meetup_members (meetup_id, user_id, state, since) VALUES (?, ?, ?, ?)")
        .bind(meetup)
        .bind(user)
        .bind(state.as_str())
        .bind(since)
        .run(&mut *tx)
        .await?;
    count(&mut *tx, meetup, state, 1).await?;
    if state == MemberState::Member {
        tell(tx, env, meetup, user, Change::Joined).await?;
    }
    Ok(MembershipRow { state: state.as_str().to_owned(), since })
}

/// Whether someone waits although there is a place: they had withdrawn when it became free, and have come back.
fn has_left_someone_waiting(locked: &Locked, now: Timestamp) -> bool {
    locked.waiting_count > 0 && locked.free_places() > 0 && !locked.is_over(now)
}

/// Gives someone who has come back the places that became free while they were away.
///
/// # Errors
/// See [`MeetupError`].
pub async fn come_back(db: &Db, env: &Env, user: Uuid) -> Result<(), MeetupError> {
    let mut after = Uuid::nil();
    loop {
        let waits: Vec<(Uuid,)> = sql("SELECT m.id FROM meetup_members mm JOIN meetups m ON m.id = mm.meetup_id \
             WHERE mm.user_id = ? AND mm.state = ? AND m.id > ? AND m.cancelled_at IS NULL AND m.ends_at > ? \
             ORDER BY m.id LIMIT ?")
        .bind(user)
        .bind(MemberState::Waiting.as_str())
        .bind(after)
        .bind(env.clock.now())
        .bind(BATCH)
        .all(db)
        .await?;
        let Some((last,)) = waits.last() else { return Ok(()) };
        after = *last;
        for (meetup,) in waits {
            transaction!(db, |tx| async {
                let locked = lock(tx, meetup).await?;
                if has_left_someone_waiting(&locked, env.clock.now()) {
                    move_up(tx, env, meetup, locked.free_places()).await?;
                }
                Ok::<_, MeetupError>(())
            })?;
        }
    }
}

/// A time later than that of everyone who waits: two who come within a millisecond, or to services whose clocks differ, wait in the
/// order in which they came.
async fn behind_all(tx: &mut Tx, meetup: Uuid, now: Timestamp) -> Result<Timestamp, DbError> {
    let last: Option<Timestamp> =
        sql("SELECT since FROM meetup_members WHERE meetup_id = ? AND state = ? ORDER BY since DESC LIMIT 1")
            .bind(meetup)
            .bind(MemberState::Waiting.as_str())
            .scalar(tx)
            .await?;
    Ok(last.map_or(now, |last| now.max(Timestamp(last.millis() + 1))))
}

/// Leaves a meetup or its waiting list; whoever waits longest moves up. Leaving twice is the same as once.
///
/// # Errors
/// [`MeetupError::NotFound`], [`MeetupError::HostCannotLeave`], or the database's.
pub async fn leave(db: &Db, env: &Env, meetup: Uuid, user: Uuid) -> Result<(), MeetupError> {
    transaction!(db, |tx| leave_in(tx, env, meetup, user))
}

async fn leave_in(tx: &mut Tx, env: &Env, meetup: Uuid, user: Uuid) -> Result<(), MeetupError> {
    let locked = lock(tx, meetup).await?;
    if locked.host_id == user {
        return Err(MeetupError::HostCannotLeave);
    }
    let Some(row) = find(&mut *tx, meetup, user).await?.filter(|row| !row.is(MemberState::Removed)) else {
        return Ok(());
    };
    sql("DELETE FROM meetup_members WHERE meetup_id = ? AND user_id = ?").bind(meetup).bind(user).run(&mut *tx).await?;
    if row.is(MemberState::Waiting) {
        return Ok(count(&mut *tx, meetup, MemberState::Waiting, -1).await?);
    }
    count(&mut *tx, meetup, MemberState::Member, -1).await?;
    tell(tx, env, meetup, user, Change::Left).await?;
    if !locked.is_over(env.clock.now()) {
        move_up(tx, env, meetup, locked.free_places().saturating_add(1)).await?;
    }
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Waiting {
    user_id: Uuid,
    nickname: String,
}

/// Gives free places to those who wait longest; in a meetup without a limit, to everyone who waits. Whoever has withdrawn keeps
/// waiting: they may come back.
///
/// # Errors
/// See [`DbError`].
pub async fn move_up(tx: &mut Tx, env: &Env, meetup: Uuid, mut places: i64) -> Result<(), DbError> {
    while places > 0 {
        let moved = move_up_batch(tx, env, meetup, places.min(BATCH)).await?;
        if moved < BATCH {
            return Ok(());
        }
        places -= moved;
    }
    Ok(())
}

/// Returns how many moved up.
async fn move_up_batch(tx: &mut Tx, env: &Env, meetup: Uuid, places: i64) -> Result<i64, DbError> {
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
        .bind(env.clock.now())
        .bind(meetup)
        .push_list(next.iter().map(|waiting| waiting.user_id))
        .run(&mut *tx)
        .await?;
    let moved = i64::try_from(next.len()).unwrap_or(i64::MAX);
    count(&mut *tx, meetup, MemberState::Member, moved).await?;
    count(&mut *tx, meetup, MemberState::Waiting, -moved).await?;
    let joined = |waiting: Waiting| {
        let user = Person { id: waiting.user_id, nickname: waiting.nickname };
        Body::Member { user, change: Change::Joined }
    };
    let bodies: Vec<Body> = next.into_iter().map(joined).collect();
    outbox::put(tx, env, meetup, &bodies).await?;
    Ok(moved)
}

/// Changes how many take part or wait.
///
/// # Errors
/// See [`DbError`].
pub async fn count(executor: impl Executor, meetup: Uuid, state: MemberState, by: i64) -> Result<(), DbError> {
    let column = if state == MemberState::Member { "member_count" } else { "waiting_count" };
    sql(format!("UPDATE meetups SET {column} = {column} + ? WHERE id = ?")).bind(by).bind(meetup).run(executor).await?;
    Ok(())
}

/// Queues the `member` entry of the room's log.
///
/// # Errors
/// See [`DbError`].
pub async fn tell(tx: &mut Tx, env: &Env, meetup: Uuid, user: Uuid, change: Change) -> Result<(), DbError> {
    let nickname: Option<String> = sql("SELECT nickname FROM users WHERE id = ?").bind(user).scalar(&mut *tx).await?;
    let user = Person { id: user, nickname: nickname.unwrap_or_default() };
    outbox::put(tx, env, meetup, &[Body::Member { user, change }]).await
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

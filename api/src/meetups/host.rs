//! Operations of the host in SQL: change, cancel, hand over, remove a member. Each holds the lock of the host's account and
//! then that of the meetup's row.

use std::collections::BTreeSet;

use common::{
    bootstrap::Backends,
    db::{DbError, Tx, sql},
    membership::MemberState,
    outbox::Outbox,
    outbox_transaction,
    time::Timestamp,
};
use uuid::Uuid;
use wire::Change;

use super::{
    cancel,
    error::MeetupError,
    members::{self, Locked},
    model::{Meetup, MeetupChanges, NewMeetup},
    row::MeetupRow,
    rules, store,
    terms::search_text,
};
use crate::{auth::store as accounts, input::Fields};

/// Takes the locks of the host's account and of the meetup's row.
async fn lock(tx: &mut Tx, meetup: Uuid, host: Uuid) -> Result<Locked, MeetupError> {
    accounts::lock_active_user(tx, host).await?.ok_or(MeetupError::NoAccount)?;
    let locked = members::lock(tx, meetup).await?;
    if locked.host_id == host { Ok(locked) } else { Err(MeetupError::NotTheHost) }
}

/// The locked meetup, which is not over, and the time, read after the wait for the lock.
async fn lock_open(
    tx: &mut Tx,
    outbox: &Outbox<'_>,
    meetup: Uuid,
    host: Uuid,
) -> Result<(Locked, Timestamp), MeetupError> {
    let locked = lock(tx, meetup, host).await?;
    let now = outbox.env.clock.now();
    if locked.is_over(now) { Err(MeetupError::Over) } else { Ok((locked, now)) }
}

async fn read(tx: &mut Tx, meetup: Uuid) -> Result<MeetupRow, MeetupError> {
    store::find(&mut *tx, meetup).await?.ok_or(MeetupError::NotFound)
}

/// Changes a meetup that is not over. When it gains places, waiting people move up.
///
/// # Errors
/// [`MeetupError::Invalid`] if it may not be like that, or why the user may not change it.
pub async fn change(
    backends: &Backends,
    meetup: Uuid,
    host: Uuid,
    changes: &MeetupChanges,
) -> Result<MeetupRow, MeetupError> {
    outbox_transaction!(backends, |tx, outbox| change_in(tx, outbox, meetup, host, changes))
}

async fn change_in(
    tx: &mut Tx,
    outbox: &Outbox<'_>,
    meetup: Uuid,
    host: Uuid,
    changes: &MeetupChanges,
) -> Result<MeetupRow, MeetupError> {
    let (locked, now) = lock_open(tx, outbox, meetup, host).await?;
    let before = read(tx, meetup).await?.into_meetup(now);
    let mut fields = Fields::new();
    let after = rules::apply_changes(&mut fields, &before, changes.clone(), now);
    fields.finish().map_err(|failure| MeetupError::Invalid(Box::new(failure)))?;
    if after.capacity.is_some_and(|capacity| i64::from(capacity) < locked.member_count) {
        return Err(MeetupError::TooManyMembers);
    }
    update(tx, meetup, &before, &after, now).await?;
    let places = after.capacity.map_or(i64::MAX, |capacity| i64::from(capacity) - locked.member_count);
    members::move_up(tx, outbox, meetup, places).await?;
    read(tx, meetup).await
}

async fn update(tx: &mut Tx, meetup: Uuid, before: &Meetup, after: &NewMeetup, now: Timestamp) -> Result<(), DbError> {
    let columns = store::columns(after);
    let assignments: Vec<String> = columns.iter().map(|(name, _)| format!("{name} = ?")).collect();
    sql(format!("UPDATE meetups SET {}, updated_at = ? WHERE id = ?", assignments.join(", ")))
        .bind_all(columns.into_iter().map(|(_, value)| value))
        .bind(now)
        .bind(meetup)
        .run(&mut *tx)
        .await?;
    if search_text(&before.title, &before.description, &before.place)
        == search_text(&after.title, &after.description, &after.place)
    {
        return Ok(());
    }
    sql("DELETE FROM meetup_terms WHERE meetup_id = ?").bind(meetup).run(&mut *tx).await?;
    store::insert_terms(tx, meetup, after).await
}

/// Cancels a meetup; idempotent.
///
/// # Errors
/// Why the user may not.
pub async fn cancel(backends: &Backends, meetup: Uuid, host: Uuid) -> Result<(), MeetupError> {
    outbox_transaction!(backends, |tx, outbox| async {
        let locked = lock(tx, meetup, host).await?;
        if locked.cancelled_at.is_some() {
            return Ok(());
        }
        if locked.is_over(outbox.env.clock.now()) {
            return Err(MeetupError::Over);
        }
        Ok(cancel::cancel_locked(tx, outbox, vec![meetup]).await?)
    })
}

/// Makes a member the host.
///
/// # Errors
/// [`MeetupError::HeirNotAMember`] if the heir is none, or why the user may not.
pub async fn hand_over(backends: &Backends, meetup: Uuid, host: Uuid, heir: Uuid) -> Result<MeetupRow, MeetupError> {
    outbox_transaction!(backends, |tx, outbox| async {
        // A withdrawal cancels the meetups that its account hosts: none may be handed to it meanwhile.
        let heir_is_active = lock_active(tx, [host, heir]).await?.contains(&heir);
        let (_, now) = lock_open(tx, outbox, meetup, host).await?;
        let row = members::find(&mut *tx, meetup, heir).await?;
        if !heir_is_active || !row.is_some_and(|row| row.is(MemberState::Member)) {
            return Err(MeetupError::HeirNotAMember);
        }
        if heir != host {
            let update = sql("UPDATE meetups SET host_id = ?, updated_at = ? WHERE id = ?");
            update.bind(heir).bind(now).bind(meetup).run(&mut *tx).await?;
            members::put_member_entry(tx, outbox, meetup, heir, Change::Host).await?;
        }
        read(tx, meetup).await
    })
}

/// Locks accounts in the order of their ids, so that two hosts who hand over to each other do not wait for each other.
/// Returns those that are active.
async fn lock_active(tx: &mut Tx, users: [Uuid; 2]) -> Result<BTreeSet<Uuid>, DbError> {
    let mut active = BTreeSet::new();
    for user in BTreeSet::from(users) {
        if accounts::lock_active_user(tx, user).await?.is_some() {
            active.insert(user);
        }
    }
    Ok(active)
}

/// Removes someone, who cannot come back; whoever waits longest moves up. Removing them twice is the same as once.
///
/// # Errors
/// [`MeetupError::NotFound`] if they are neither a member nor waiting, or why the user may not.
pub async fn remove(backends: &Backends, meetup: Uuid, host: Uuid, user: Uuid) -> Result<(), MeetupError> {
    outbox_transaction!(backends, |tx, outbox| remove_in(tx, outbox, meetup, host, user))
}

async fn remove_in(tx: &mut Tx, outbox: &Outbox<'_>, meetup: Uuid, host: Uuid, user: Uuid) -> Result<(), MeetupError> {
    let (locked, now) = (lock(tx, meetup, host).await?, outbox.env.clock.now());
    if user == host {
        return Err(MeetupError::HostCannotLeave);
    }
    let row = members::find(&mut *tx, meetup, user).await?.ok_or(MeetupError::NotFound)?;
    if row.is(MemberState::Removed) {
        return Ok(());
    }
    sql("UPDATE meetup_members SET state = ?, since = ? WHERE meetup_id = ? AND user_id = ?")
        .bind(MemberState::Removed.as_str())
        .bind(now)
        .bind(meetup)
        .bind(user)
        .run(&mut *tx)
        .await?;
    if row.is(MemberState::Waiting) {
        return Ok(members::adjust_count(&mut *tx, meetup, MemberState::Waiting, -1).await?);
    }
    members::adjust_count(&mut *tx, meetup, MemberState::Member, -1).await?;
    members::put_member_entry(tx, outbox, meetup, user, Change::Removed).await?;
    if !locked.is_over(now) {
        members::move_up(tx, outbox, meetup, locked.free_places().saturating_add(1)).await?;
    }
    Ok(())
}

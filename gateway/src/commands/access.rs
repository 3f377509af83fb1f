//! Checks that commands share: whether the user is a member, the connection has joined the room, and the room takes messages.
//!
//! The room's log keeps a [`Subscriber`] up to date, so a command of a joined room asks the database only about the meetup's end.

use std::sync::Arc;

use common::membership::{Membership, Standing};
use uuid::Uuid;
use wire::ErrorCode;

use crate::{connection::Connection, context::Context, refusal::Refusal, room::subscriber::Subscriber};

/// The user's membership of a meetup.
///
/// # Errors
/// [`ErrorCode::NotAMember`] if there is none; [`ErrorCode::Unavailable`] if the database does not answer.
pub async fn membership(cx: &Context, connection: &Connection, room: Uuid) -> Result<Membership, Refusal> {
    match cx.standings.get((room, connection.person.id)).await? {
        Standing::Member(membership) => Ok(membership),
        // Whether a meetup exists is no secret of its room, but one answer is enough.
        Standing::Outsider | Standing::NoSuchMeetup => Err(Refusal::not_a_member()),
    }
}

/// The connection's subscriber in a room.
///
/// # Errors
/// [`ErrorCode::NotJoined`] if it has not joined; [`ErrorCode::NotAMember`] if its user is no member any more.
pub fn subscriber(connection: &Connection, room: Uuid) -> Result<Arc<Subscriber>, Refusal> {
    match connection.subscriber(room) {
        None => Err(Refusal::new(None, ErrorCode::NotJoined, "join the room first")),
        Some(subscriber) if subscriber.has_ended() => Err(Refusal::not_a_member()),
        Some(subscriber) => Ok(subscriber),
    }
}

/// The connection's subscriber in a room that takes messages.
///
/// # Errors
/// Those of [`subscriber`]; [`ErrorCode::RoomReadOnly`] if the meetup is over.
pub async fn writable_subscriber(
    cx: &Context,
    connection: &Connection,
    room: Uuid,
) -> Result<Arc<Subscriber>, Refusal> {
    let subscriber = subscriber(connection, room)?;
    if !subscriber.may_write(cx.clock.now()) {
        // The meetup may have been given a later end since the connection joined.
        subscriber.set_end(membership(cx, connection, room).await?);
    }
    if subscriber.may_write(cx.clock.now()) {
        Ok(subscriber)
    } else {
        Err(Refusal::new(None, ErrorCode::RoomReadOnly, "the meetup is over"))
    }
}

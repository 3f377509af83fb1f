//! `join` and `leave`: subscribing a connection to a room, from a position of its own or from the latest page.
//!
//! Invariant: what `joined` brings and what the room delivers afterwards is the log without gap or duplicate. The page is read
//! while the room goes on, so [`Room::subscribe`] adds what the room has delivered meanwhile, in the same critical section that
//! adds the subscriber.

use std::sync::Arc;

use common::{
    membership::Membership,
    rooms::{Entered, Page, Range, RawEntry},
};
use uuid::Uuid;
use wire::{ErrorCode, Frame, Position};

use super::access;
use crate::{
    connection::Connection,
    context::Context,
    refusal::Refusal,
    room::{FRESH_ENTRIES, Room, SubscribeError, subscriber::Subscriber},
    transport::{encoded::Encoded, frame},
};

/// How often a join reads the log again because the room went on meanwhile.
const JOIN_ATTEMPTS: usize = 16;

/// What `joined` says that does not depend on the position.
struct Joining {
    id: u64,
    membership: Membership,
    entered: Entered,
    /// Whether the page is exactly what came after the client's position.
    recovered: bool,
}

/// Subscribes the connection to a room. Its `joined` frame is queued by the room itself, before anything else of the room.
///
/// # Errors
/// [`ErrorCode::TooManyRooms`], [`ErrorCode::NotAMember`]; [`ErrorCode::Unavailable`] if a backend does not answer or the room
/// moves on faster than its log can be read.
pub async fn join(
    cx: &Context,
    connection: &Connection,
    id: u64,
    room_id: Uuid,
    since: Option<Position>,
) -> Result<Vec<Encoded>, Refusal> {
    if !connection.may_join(room_id, cx.config.rooms_per_connection) {
        return Err(Refusal::new(None, ErrorCode::TooManyRooms, "too many rooms joined; leave one first"));
    }
    if !cx.hub.has(room_id) {
        // A stranger must not have a room opened, or a log begun for a meetup that there is not.
        access::membership(cx, connection, room_id).await?;
    }
    // The order matters: once the room is subscribed to, a removal that the membership check does not see yet arrives as an
    // entry.
    let room = cx.hub.room(room_id).await?;
    let membership = access::membership(cx, connection, room_id).await?;
    let enter = cx.rooms.enter(room_id, &connection.person, connection.id);
    let (entered, page) = tokio::join!(enter, first_page(cx, room_id, since));
    let entered = entered?;
    let outcome = match page {
        Ok((page, recovered)) => {
            subscribe(cx, connection, room, page, &Joining { id, membership, entered, recovered }).await
        }
        Err(refusal) => Err(refusal),
    };
    if outcome.is_err() && connection.subscriber(room_id).is_none() {
        drop(cx.rooms.exit(room_id, connection.person.id, connection.id).await);
    }
    outcome.map(|()| Vec::new())
}

/// The page that a join begins with, and whether it is exactly what came after `since`.
async fn first_page(cx: &Context, room: Uuid, since: Option<Position>) -> Result<(Page, bool), Refusal> {
    if let Some(since) = since {
        let page = cx.rooms.read(room, Range::After(since.seq), cx.config.resume_entries).await?;
        let contiguous = page.entries.first().is_none_or(|first| first.seq == since.seq + 1);
        let last = page.entries.last().map_or(since.seq, |entry| entry.seq);
        if page.head.epoch == since.epoch && contiguous && last == page.head.seq {
            return Ok((page, true));
        }
    }
    Ok((cx.rooms.read(room, Range::Latest, FRESH_ENTRIES).await?, false))
}

/// Subscribes right behind what `page` brings, whatever the room delivers meanwhile.
async fn subscribe(
    cx: &Context,
    connection: &Connection,
    mut room: Arc<Room>,
    mut page: Page,
    joining: &Joining,
) -> Result<(), Refusal> {
    let id = room.id;
    for _ in 0..JOIN_ATTEMPTS {
        let have = Position { seq: page.entries.last().map_or(page.head.seq, |entry| entry.seq), ..page.head };
        let subscriber = |after| {
            let queue = Arc::clone(&connection.queue);
            Subscriber::new(connection.id, connection.person.id, queue, after, joining.membership)
        };
        let joined = |subscriber: &Subscriber, missed: Vec<RawEntry>| {
            page.entries.extend(missed);
            joined_frame(id, have, &page, subscriber, joining)
        };
        match room.subscribe(have, subscriber, joined) {
            Ok(subscriber) => {
                connection.add_room(room, subscriber);
                return Ok(());
            }
            Err(SubscribeError::Behind) => {
                let more = cx.rooms.read(id, Range::After(have.seq), cx.config.resume_entries).await?;
                page.entries.extend(more.entries);
                page = Page { entries: page.entries, ..more };
            }
            Err(SubscribeError::Closed) => {
                tokio::task::yield_now().await;
                room = cx.hub.room(id).await?;
            }
            Err(SubscribeError::OtherEpoch) => {
                room.request_resync();
                tokio::task::yield_now().await;
                page = cx.rooms.read(id, Range::Latest, FRESH_ENTRIES).await?;
            }
        }
    }
    Err(Refusal::unavailable("the room receives entries faster than its log is read; try again shortly"))
}

fn joined_frame(room: Uuid, have: Position, page: &Page, subscriber: &Subscriber, joining: &Joining) -> Encoded {
    let seq = page.entries.last().map_or(have.seq, |entry| entry.seq);
    let Entered { online, read_seq } = joining.entered;
    let joined = Frame::Joined {
        id: Some(joining.id),
        room,
        epoch: have.epoch,
        seq,
        recovered: joining.recovered,
        entries: Vec::new(),
        // Damage to the log shows where the entry is read.
        notice: page.latest_notice().unwrap_or_default(),
        role: subscriber.role(),
        online,
        read_seq,
        unread: seq.saturating_sub(read_seq),
    };
    frame::encode_joined(&joined, &page.entries)
}

/// Ends the connection's subscription to a room; if it has none, nothing happens.
pub async fn leave(cx: &Context, connection: &Connection, id: u64, room: Uuid) -> Vec<Encoded> {
    if let Some(room) = connection.remove_room(room) {
        exit(cx, connection, &room).await;
    }
    vec![frame::encode(&Frame::Left { id, room })]
}

/// Ends all subscriptions of a connection: it is closed.
pub async fn leave_all(cx: &Context, connection: &Connection) {
    let rooms = connection.remove_rooms();
    // Concurrently: with a Redis that does not answer each takes as long as its timeout.
    futures_util::future::join_all(rooms.iter().map(|room| exit(cx, connection, room))).await;
}

async fn exit(cx: &Context, connection: &Connection, room: &Room) {
    room.unsubscribe(connection.id);
    if let Err(error) = cx.rooms.exit(room.id, connection.person.id, connection.id).await {
        // The presence entry expires by itself.
        tracing::debug!(%error, "presence exit failed");
    }
}

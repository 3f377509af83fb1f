//! `join` and `leave`: subscribing a connection to a room, from a position of its own or from the latest page.
//!
//! Invariant: what `joined` brings and what the room delivers afterwards is the log without gap or duplicate. The page is read
//! while the room goes on, so [`Room::subscribe`] adds what the room has delivered meanwhile, in the same critical section that
//! adds the subscriber.
//!
//! Invariant: a subscriber is authorised at its position or at a later one. The membership is read after the page, and again
//! whenever the page grows; entries between the page and the subscription that may change it are looked for by the room.

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
    let mut room = cx.hub.room(room_id).await?;
    let mut page = JoinPage::first(cx, room_id, since).await?;
    // After the page: a removal that this membership does not show yet is an entry after the page, where the room finds it.
    let membership = access::membership(cx, connection, room_id).await?;
    let entered = cx.rooms.enter(room_id, &connection.person, connection.id).await?;
    let outcome = subscribe(cx, connection, &mut room, &mut page, Joining { id, membership, entered }).await;
    if outcome.is_err() && connection.subscriber(room_id).is_none() {
        drop(cx.rooms.exit(room_id, connection.person.id, connection.id).await);
    }
    outcome.map(|()| Vec::new())
}

/// The page of a `joined` frame.
struct JoinPage {
    page: Page,
    /// Whether it is exactly everything after the client's position.
    recovered: bool,
}

impl JoinPage {
    /// What came after `since`, or the latest entries.
    async fn first(cx: &Context, room: Uuid, since: Option<Position>) -> Result<Self, Refusal> {
        if let Some(since) = since {
            let page = cx.rooms.read(room, Range::After(since.seq), cx.config.resume_entries).await?;
            let contiguous = page.entries.first().is_none_or(|first| first.seq == since.seq + 1);
            let last = page.entries.last().map_or(since.seq, |entry| entry.seq);
            if page.head.epoch == since.epoch && contiguous && last == page.head.seq {
                return Ok(Self { page, recovered: true });
            }
        }
        Self::latest(cx, room).await
    }

    async fn latest(cx: &Context, room: Uuid) -> Result<Self, Refusal> {
        Ok(Self { page: cx.rooms.read(room, Range::Latest, FRESH_ENTRIES).await?, recovered: false })
    }

    /// The position that the client is at once it has applied the page.
    fn end(&self) -> Position {
        let Page { head, entries, .. } = &self.page;
        Position { seq: entries.last().map_or(head.seq, |entry| entry.seq), ..*head }
    }

    /// Adds what the log has after the page. Starts over with the latest entries if the log began another epoch meanwhile.
    async fn read_on(&mut self, cx: &Context, room: Uuid) -> Result<(), Refusal> {
        let end = self.end();
        let more = cx.rooms.read(room, Range::After(end.seq), cx.config.resume_entries).await?;
        if more.head.epoch != end.epoch {
            *self = Self::latest(cx, room).await?;
            return Ok(());
        }
        let mut entries = std::mem::take(&mut self.page.entries);
        entries.extend(more.entries);
        self.page = Page { entries, ..more };
        Ok(())
    }
}

/// Subscribes right behind the page, whatever the room delivers meanwhile. Whatever is read later than the membership makes the
/// membership be read again: a subscriber is authorised at its position or at a later one.
async fn subscribe(
    cx: &Context,
    connection: &Connection,
    room: &mut Arc<Room>,
    page: &mut JoinPage,
    mut joining: Joining,
) -> Result<(), Refusal> {
    let id = room.id;
    for _ in 0..JOIN_ATTEMPTS {
        let have = page.end();
        let subscriber = |after| {
            let queue = Arc::clone(&connection.queue);
            Subscriber::new(connection.id, connection.person.id, queue, after, joining.membership)
        };
        let joined = |subscriber: &Subscriber, missed: Vec<RawEntry>| {
            page.page.entries.extend(missed);
            joined_frame(id, have, page, subscriber, &joining)
        };
        match room.subscribe(connection.person.id, have, subscriber, joined) {
            Ok(subscriber) => {
                connection.add_room(Arc::clone(room), subscriber);
                return Ok(());
            }
            Err(SubscribeError::Closed) => {
                tokio::task::yield_now().await;
                *room = cx.hub.room(id).await?;
                continue;
            }
            Err(SubscribeError::Behind | SubscribeError::MembershipChanged) => page.read_on(cx, id).await?,
            Err(SubscribeError::OtherEpoch) => {
                room.request_resync();
                tokio::task::yield_now().await;
                *page = JoinPage::latest(cx, id).await?;
            }
        }
        joining.membership = access::membership(cx, connection, id).await?;
    }
    Err(Refusal::unavailable("the room receives entries faster than its log is read; try again shortly"))
}

fn joined_frame(room: Uuid, have: Position, page: &JoinPage, subscriber: &Subscriber, joining: &Joining) -> Encoded {
    let JoinPage { page, recovered } = page;
    let seq = page.entries.last().map_or(have.seq, |entry| entry.seq);
    let Entered { online, read_seq } = joining.entered;
    let joined = Frame::Joined {
        id: Some(joining.id),
        room,
        epoch: have.epoch,
        seq,
        recovered: *recovered,
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

//! An authenticated connection, and carrying out its commands.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use common::{
    db::DbError,
    membership::{Membership, Standing},
    rooms::{self, Appended, Draft, Entered, Page, Range, RawEntry, RoomError},
    text,
    time::Timestamp,
    tokens::Access,
};
use uuid::Uuid;
use wire::{Body, Command, Ephemeral, ErrorCode, Frame, NONCE_CHARS, NOTICE_CHARS, Person, Position, Role};

use crate::{
    frame::{self, Refusal},
    outgoing::Encoded,
    queue::Queue,
    room::{FRESH_ENTRIES, NotYet, Room},
    seat::Seat,
    server::Gateway,
};

/// How often a join reads the log again because the room went on meanwhile.
const JOIN_ATTEMPTS: usize = 16;
/// How long a client waits before it repeats what a backend could not do.
const RETRY_AFTER_MS: u64 = 1_000;

/// A room that a connection has joined, and its place there.
type Joined = (Arc<Room>, Arc<Seat>);

/// What a client asks for.
#[derive(Debug)]
pub enum Request {
    /// One command.
    Command(Command),
    /// Messages to one room that came one right after the other: they are appended together.
    Sends(Uuid, Vec<Send>),
    /// Something that was refused as soon as it was read, and is answered in its turn.
    Refused(Refusal),
}

/// A message that a client sends.
#[derive(Debug)]
pub struct Send {
    /// Chosen by the client.
    pub id: u64,
    /// The same for every attempt to send this message.
    pub nonce: String,
    /// The text.
    pub text: String,
}

/// An authenticated connection, as its commands see it.
pub struct Connection {
    /// Its id.
    pub id: Uuid,
    /// Who it speaks for.
    pub person: Person,
    /// What its rooms have for it.
    pub queue: Arc<Queue>,
    /// The token it speaks with; a newer one of the same user may replace it.
    access: Mutex<Access>,
    gateway: Arc<Gateway>,
    rooms: Mutex<HashMap<Uuid, Joined>>,
}

impl From<rooms::Refusal> for Refusal {
    fn from(refused: rooms::Refusal) -> Self {
        let code = match refused {
            rooms::Refusal::NoSuchMessage => ErrorCode::NoSuchMessage,
            rooms::Refusal::NotTheAuthor => ErrorCode::NotTheAuthor,
            rooms::Refusal::RoomClosed => ErrorCode::RoomReadOnly,
        };
        Self::new(None, code, refused.to_string())
    }
}

impl From<RoomError> for Refusal {
    fn from(error: RoomError) -> Self {
        match &error {
            RoomError::Refused(refused) => (*refused).into(),
            RoomError::Unavailable(_) | RoomError::Corrupt(_) => unavailable(&error),
        }
    }
}

impl From<DbError> for Refusal {
    fn from(error: DbError) -> Self {
        unavailable(&error)
    }
}

fn unavailable(error: &dyn std::error::Error) -> Refusal {
    tracing::warn!(%error, "a command failed");
    Refusal {
        retry_after_ms: Some(RETRY_AFTER_MS),
        ..Refusal::new(None, ErrorCode::Unavailable, "a backend does not answer; try again shortly")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing between lock and unlock can panic half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connection {
    /// A connection that has joined no room.
    pub fn new(id: Uuid, person: Person, access: Access, queue: Arc<Queue>, gateway: Arc<Gateway>) -> Self {
        Self { id, person, queue, access: Mutex::new(access), gateway, rooms: Mutex::default() }
    }

    /// The log-in session that the connection speaks for.
    pub fn session(&self) -> Uuid {
        lock(&self.access).session
    }

    /// When the connection's token stops being valid.
    pub fn token_expires_at(&self) -> Timestamp {
        lock(&self.access).expires_at
    }

    /// How long the connection's token is still valid.
    pub fn token_left(&self) -> Duration {
        self.token_expires_at().since(self.gateway.clock.now())
    }

    /// Carries out a request. Returns the frames to write, in order; a refusal is one of them.
    pub async fn carry_out(self: Arc<Self>, request: Request) -> Vec<Encoded> {
        let command = match request {
            Request::Refused(refusal) => return vec![self.refuse(refusal)],
            Request::Sends(room, sends) => return self.send(room, sends).await,
            Request::Command(command) => command,
        };
        let id = command.id();
        let outcome = match command {
            Command::Join { id, room, since } => self.join(id, room, since).await,
            Command::Send { id, room, nonce, text } => Ok(self.send(room, vec![Send { id, nonce, text }]).await),
            Command::Edit { id, room, seq, text } => self.edit(id, room, seq, &text).await,
            Command::Delete { id, room, seq } => self.delete(id, room, seq).await,
            Command::Read { room, seq } => self.read(room, seq).await,
            Command::Typing { room } => self.typing(room).await,
            Command::Notice { id, room, text } => self.notice(id, room, text.as_deref()).await,
            Command::Refresh { id, token } => self.refresh(id, &token).await,
            Command::Leave { id, room } => Ok(self.leave(id, room).await),
            Command::Hello { .. } => Err(Refusal::new(None, ErrorCode::BadRequest, "already authenticated")),
        };
        outcome.unwrap_or_else(|refusal| vec![self.refuse(Refusal { id, ..refusal })])
    }

    /// The frame of a refusal, counted.
    pub fn refuse(&self, refusal: Refusal) -> Encoded {
        self.gateway.count_error(refusal.code);
        frame::encode(&refusal.into_frame())
    }

    /// Gives up every seat: the connection is gone.
    pub async fn leave_all(&self) {
        let rooms: Vec<Joined> = lock(&self.rooms).drain().map(|(_, joined)| joined).collect();
        // Together: with a Redis that does not answer each takes as long as may be waited for it.
        futures_util::future::join_all(rooms.iter().map(|(room, _)| self.exit(room))).await;
    }

    async fn exit(&self, room: &Room) {
        room.detach(self.id);
        if let Err(error) = self.gateway.rooms.exit(room.id, self.person.id, self.id).await {
            // Presence forgets the connection by itself a little later.
            tracing::debug!(%error, "leaving was not told");
        }
    }

    async fn join(&self, id: u64, room_id: Uuid, since: Option<Position>) -> Result<Vec<Encoded>, Refusal> {
        self.check_room_limit(room_id)?;
        if !self.gateway.hub.has(room_id) {
            // A stranger must not have a room opened, or a log begun for a meetup that there is not.
            self.membership(room_id).await?;
        }
        // The order matters: subscribed to the room first, a removal that the membership check does not see yet arrives as
        // an entry.
        let room = self.gateway.hub.room(room_id).await?;
        let membership = self.membership(room_id).await?;
        let enter = self.gateway.rooms.enter(room_id, &self.person, self.id);
        let (entered, page) = tokio::join!(enter, self.first_page(room_id, since));
        let entered = entered?;
        let outcome = match page {
            Ok((page, recovered)) => self.take_seat(id, room, membership, entered, page, recovered).await,
            Err(refusal) => Err(refusal),
        };
        if outcome.is_err() && !lock(&self.rooms).contains_key(&room_id) {
            drop(self.gateway.rooms.exit(room_id, self.person.id, self.id).await);
        }
        outcome
    }

    /// Takes the seat right behind what `page` brings, whatever the room delivers meanwhile.
    async fn take_seat(
        &self,
        id: u64,
        mut room: Arc<Room>,
        membership: Membership,
        entered: Entered,
        mut page: Page,
        recovered: bool,
    ) -> Result<Vec<Encoded>, Refusal> {
        let room_id = room.id;
        for _ in 0..JOIN_ATTEMPTS {
            let have = Position { seq: page.entries.last().map_or(page.head.seq, |entry| entry.seq), ..page.head };
            let seat = |after| Seat::new(self.id, self.person.id, Arc::clone(&self.queue), after, membership);
            let joined = |seat: &Seat, missed: Vec<RawEntry>| {
                page.entries.extend(missed);
                let seq = page.entries.last().map_or(have.seq, |entry| entry.seq);
                let joined = Frame::Joined {
                    id: Some(id),
                    room: room_id,
                    epoch: have.epoch,
                    seq,
                    recovered,
                    entries: Vec::new(),
                    // Damage to the log shows where the entry is read.
                    notice: page.latest_notice().unwrap_or_default(),
                    role: seat.role(),
                    online: entered.online,
                    read_seq: entered.read_seq,
                    unread: seq.saturating_sub(entered.read_seq),
                };
                frame::encode_joined(&joined, &page.entries)
            };
            match room.attach(have, seat, joined) {
                Ok(seat) => {
                    lock(&self.rooms).insert(room_id, (room, seat));
                    // The room has told it.
                    return Ok(Vec::new());
                }
                Err(NotYet::Behind) => {
                    let more = self
                        .gateway
                        .rooms
                        .read(room_id, Range::After(have.seq), self.gateway.config.resume_entries)
                        .await?;
                    page.entries.extend(more.entries);
                    page = Page { entries: page.entries, ..more };
                }
                Err(NotYet::Closed) => {
                    tokio::task::yield_now().await;
                    room = self.gateway.hub.room(room_id).await?;
                }
                Err(NotYet::OtherEpoch) => {
                    room.check();
                    tokio::task::yield_now().await;
                    page = self.gateway.rooms.read(room_id, Range::Latest, FRESH_ENTRIES).await?;
                }
            }
        }
        Err(Refusal {
            retry_after_ms: Some(RETRY_AFTER_MS),
            ..Refusal::new(id, ErrorCode::Unavailable, "the room is too busy")
        })
    }

    fn check_room_limit(&self, room: Uuid) -> Result<(), Refusal> {
        let mut rooms = lock(&self.rooms);
        rooms.retain(|_, (_, seat)| !seat.is_vacated());
        if !rooms.contains_key(&room) && rooms.len() >= self.gateway.config.rooms_per_connection {
            return Err(Refusal::new(None, ErrorCode::TooManyRooms, "leave a room first"));
        }
        Ok(())
    }

    async fn membership(&self, room: Uuid) -> Result<Membership, Refusal> {
        match self.gateway.standings.get((room, self.person.id)).await? {
            Standing::Member(membership) => Ok(membership),
            // Whether a meetup exists is no secret of its room, but one answer is enough.
            Standing::Outsider | Standing::NoSuchMeetup => Err(not_a_member()),
        }
    }

    /// What a join begins with, and whether it is exactly what came after `since`.
    async fn first_page(&self, room: Uuid, since: Option<Position>) -> Result<(Page, bool), Refusal> {
        let store = &self.gateway.rooms;
        let limit = self.gateway.config.resume_entries;
        if let Some(since) = since {
            let page = store.read(room, Range::After(since.seq), limit).await?;
            let contiguous = page.entries.first().is_none_or(|first| first.seq == since.seq + 1);
            let last = page.entries.last().map_or(since.seq, |entry| entry.seq);
            if page.head.epoch == since.epoch && contiguous && last == page.head.seq {
                return Ok((page, true));
            }
        }
        Ok((store.read(room, Range::Latest, FRESH_ENTRIES).await?, false))
    }

    /// Appends messages together, and answers each.
    async fn send(&self, room: Uuid, sends: Vec<Send>) -> Vec<Encoded> {
        let seat = self.writable_seat(room).await;
        let mut drafts = Vec::with_capacity(sends.len());
        let mut answers = Vec::with_capacity(sends.len());
        for send in sends {
            let id = send.id;
            let draft = seat.as_ref().map_err(Clone::clone).and_then(|seat| self.draft(seat.role(), send));
            answers.push((id, draft.map(|draft| drafts.push(draft))));
        }
        let mut outcomes = self.append_all(room, drafts).await.into_iter();
        let none = || Err(RoomError::Corrupt("an append without an outcome".to_owned()).into());
        let answer =
            |(id, valid): (u64, Result<(), Refusal>)| match valid.and_then(|()| outcomes.next().unwrap_or_else(none)) {
                Ok(appended) => {
                    self.gateway.metrics.sends.inc();
                    ack(id, room, appended)
                }
                Err(refusal) => self.refuse(Refusal { id: Some(id), ..refusal }),
            };
        answers.into_iter().map(answer).collect()
    }

    /// What a message becomes, if its nonce and its text are valid.
    fn draft(&self, role: Role, send: Send) -> Result<Draft, Refusal> {
        let Send { nonce, text, .. } = send;
        if nonce.is_empty() || nonce.chars().count() > NONCE_CHARS {
            return Err(Refusal::new(None, ErrorCode::BadNonce, format!("a nonce has 1 to {NONCE_CHARS} characters")));
        }
        let text = Some(clean(&text, self.gateway.config.message_chars)?);
        let user = self.person.clone();
        let body = Body::Message { user, nonce: nonce.clone(), text, edited_at: None, deleted_at: None };
        Ok(Draft { author: self.person.id, role, nonce: Some(nonce), at: self.gateway.clock.now(), body })
    }

    /// One outcome for each draft.
    async fn append_all(&self, room: Uuid, drafts: Vec<Draft>) -> Vec<Result<Appended, Refusal>> {
        let count = drafts.len();
        if count == 0 {
            return Vec::new();
        }
        match self.gateway.rooms.append_all(room, drafts).await {
            Ok(outcomes) => outcomes.into_iter().map(|outcome| outcome.map_err(Refusal::from)).collect(),
            Err(error) => vec![Err(error.into()); count],
        }
    }

    async fn edit(&self, id: u64, room: Uuid, target: u64, text: &str) -> Result<Vec<Encoded>, Refusal> {
        let role = self.writable_seat(room).await?.role();
        let text = clean(text, self.gateway.config.message_chars)?;
        self.append(id, room, role, Body::Edited { user: self.person.clone(), target, text }).await
    }

    async fn delete(&self, id: u64, room: Uuid, target: u64) -> Result<Vec<Encoded>, Refusal> {
        let role = self.writable_seat(room).await?.role();
        self.append(id, room, role, Body::Deleted { user: self.person.clone(), target }).await
    }

    async fn read(&self, room: Uuid, seq: u64) -> Result<Vec<Encoded>, Refusal> {
        self.seat(room)?;
        self.gateway.rooms.mark_read(room, &self.person, seq).await?;
        Ok(Vec::new())
    }

    async fn typing(&self, room: Uuid) -> Result<Vec<Encoded>, Refusal> {
        self.writable_seat(room).await?;
        self.gateway.rooms.tell(&Ephemeral::Typing { room, user: self.person.clone() }).await?;
        Ok(Vec::new())
    }

    async fn notice(&self, id: u64, room: Uuid, text: Option<&str>) -> Result<Vec<Encoded>, Refusal> {
        if self.writable_seat(room).await?.role() != Role::Host {
            return Err(Refusal::new(id, ErrorCode::NotTheHost, "only the host sets the notice"));
        }
        let text = text.map(|text| clean(text, NOTICE_CHARS)).transpose()?;
        self.append(id, room, Role::Host, Body::Notice { user: self.person.clone(), text }).await
    }

    async fn append(&self, id: u64, room: Uuid, role: Role, body: Body) -> Result<Vec<Encoded>, Refusal> {
        let draft = Draft { author: self.person.id, role, nonce: None, at: self.gateway.clock.now(), body };
        Ok(vec![ack(id, room, self.gateway.rooms.append(room, draft).await?)])
    }

    async fn refresh(&self, id: u64, token: &str) -> Result<Vec<Encoded>, Refusal> {
        match self.gateway.tokens.verify(token) {
            Ok(access) if access.user == self.person.id => {
                if self.gateway.sessions.get((access.user, access.session)).await?.is_none() {
                    return Err(Refusal::new(id, ErrorCode::BadToken, "the session has ended"));
                }
                *lock(&self.access) = access;
                Ok(vec![frame::encode(&Frame::Ack { id, room: None, seq: None, at: None, duplicate: None })])
            }
            Ok(_) => Err(Refusal::new(id, ErrorCode::BadToken, "the token is another user's")),
            Err(error) => Err(Refusal::new(id, ErrorCode::BadToken, error.to_string())),
        }
    }

    async fn leave(&self, id: u64, room: Uuid) -> Vec<Encoded> {
        let joined = lock(&self.rooms).remove(&room);
        if let Some((joined, _)) = joined {
            self.exit(&joined).await;
        }
        vec![frame::encode(&Frame::Left { id, room })]
    }

    /// The seat, if the connection has joined the room and its user is still a member.
    fn seat(&self, room: Uuid) -> Result<Arc<Seat>, Refusal> {
        let seat = lock(&self.rooms).get(&room).map(|(_, seat)| Arc::clone(seat));
        match seat {
            None => Err(Refusal::new(None, ErrorCode::NotJoined, "join the room first")),
            Some(seat) if seat.is_vacated() => Err(not_a_member()),
            Some(seat) => Ok(seat),
        }
    }

    /// The same, if the room takes messages.
    async fn writable_seat(&self, room: Uuid) -> Result<Arc<Seat>, Refusal> {
        let seat = self.seat(room)?;
        if !seat.may_write(self.gateway.clock.now()) {
            // The meetup may have been given a later end since the seat was taken.
            seat.set_end(self.membership(room).await?);
        }
        if seat.may_write(self.gateway.clock.now()) {
            Ok(seat)
        } else {
            Err(Refusal::new(None, ErrorCode::RoomReadOnly, "the meetup is over"))
        }
    }
}

fn ack(id: u64, room: Uuid, appended: Appended) -> Encoded {
    let Appended { position, at, duplicate } = appended;
    let (seq, at, duplicate) = (Some(position.seq), Some(at), Some(duplicate));
    frame::encode(&Frame::Ack { id, room: Some(room), seq, at, duplicate })
}

fn not_a_member() -> Refusal {
    Refusal::new(None, ErrorCode::NotAMember, "only members of the meetup may do this")
}

fn clean(text: &str, max: usize) -> Result<String, Refusal> {
    text::clean(text, max).map_err(|error| Refusal::new(None, ErrorCode::BadText, format!("the text {error}")))
}

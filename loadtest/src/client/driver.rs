//! The task behind a [`Client`](super::Client): one connection after another.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use uuid::Uuid;
use wire::{Command, Entry, Frame, close};

use super::{
    CommandError, Connection, ConnectionError, Event, Greeting, Incoming, Options, Request, Sent, View,
    connection::{PATIENCE, reply_id},
    view::Taken,
};

/// Runs until every handle of the client is dropped.
pub(super) async fn run(options: Options, inbox: mpsc::Receiver<Request>, view: watch::Sender<View>) {
    let rooms = options.rooms.iter().map(|room| (*room, Room::default())).collect();
    view.send_modify(|view| view.rooms = options.rooms.iter().map(|room| (*room, Default::default())).collect());
    Driver { options, inbox, view, rooms, once: HashMap::new(), renewal: None, gateway: 0 }.run().await;
}

/// A message that is not acknowledged yet.
struct Outgoing {
    nonce: String,
    text: String,
    reply: oneshot::Sender<Result<Sent, CommandError>>,
}

/// What is under way in a room.
#[derive(Default)]
struct Room {
    joining: Option<(u64, Instant)>,
    queue: VecDeque<Outgoing>,
    /// The command that carries the head of the queue, and until when its answer is awaited.
    sending: Option<(u64, Instant)>,
    /// Not to be sent to before this.
    not_before: Option<Instant>,
}

/// A newer token that the gateway has to be told of.
struct Renewal {
    /// The command that carries it.
    sending: Option<u64>,
    not_before: Instant,
}

struct Driver {
    options: Options,
    inbox: mpsc::Receiver<Request>,
    view: watch::Sender<View>,
    rooms: HashMap<Uuid, Room>,
    once: HashMap<u64, oneshot::Sender<Result<Frame, CommandError>>>,
    renewal: Option<Renewal>,
    gateway: usize,
}

/// Why a connection ended.
enum End {
    /// The client was dropped.
    Dropped,
    /// Come back after this long, or with backoff.
    Again(Option<Duration>),
    /// Do not come back before the token changes.
    Stop(u16),
}

impl Driver {
    async fn run(mut self) {
        loop {
            let end = match self.connect().await {
                Ok((connection, heartbeat)) => {
                    self.options.backoff.reset();
                    self.serve(connection, heartbeat).await
                }
                Err(error) => self.ended(&error, None),
            };
            self.forget_connection();
            let proceed = match end {
                End::Dropped => return,
                End::Again(after) => {
                    self.gateway += 1;
                    let wait = after.unwrap_or_else(|| self.options.backoff.next(&mut rand::rng()));
                    self.pause(Some(Instant::now() + wait)).await
                }
                End::Stop(code) => {
                    self.view.send_modify(|view| view.stopped = Some(code));
                    self.refuse_everything();
                    self.pause(None).await
                }
            };
            if !proceed {
                return;
            }
        }
    }

    async fn connect(&self) -> Result<(Connection, Duration), ConnectionError> {
        let url = &self.options.gateways[self.gateway % self.options.gateways.len()];
        let began = Instant::now();
        let (connection, welcome) = Connection::greet(url, Greeting::Header(&self.options.token)).await?;
        self.tell(Event::Connected { took: began.elapsed() });
        self.view.send_modify(|view| {
            view.connected = true;
            view.stopped = None;
            view.welcomes += 1;
        });
        Ok((connection, welcome.heartbeat))
    }

    /// Takes requests while there is no connection. False when the client was dropped.
    async fn pause(&mut self, until: Option<Instant>) -> bool {
        loop {
            let request = tokio::select! {
                request = self.inbox.recv() => request,
                () = sleep_until(until) => return true,
            };
            match request {
                None => return false,
                Some(Request::Token(token)) => {
                    self.options.token = token;
                    return true;
                }
                Some(Request::Once { reply, .. }) => drop(reply.send(Err(CommandError::NotConnected))),
                Some(Request::Send { reply, .. }) if until.is_none() => {
                    drop(reply.send(Err(CommandError::NotConnected)))
                }
                Some(request) => drop(self.note(request)),
            }
        }
    }

    async fn serve(&mut self, mut connection: Connection, heartbeat: Duration) -> End {
        let silence = heartbeat + PATIENCE;
        let mut heard = Instant::now();
        let mut come_back = None;
        loop {
            if let Err(error) = self.send_due(&mut connection).await {
                return self.ended(&error, come_back);
            }
            let wake = self.next_due().unwrap_or(heard + silence).min(heard + silence);
            tokio::select! {
                incoming = connection.next() => {
                    heard = Instant::now();
                    match incoming {
                        Ok(Incoming::Entry(entry)) => self.take_entry(*entry),
                        Ok(Incoming::Frame(frame)) => match *frame {
                            Frame::Reconnect { after_ms } => come_back = Some(Duration::from_millis(after_ms)),
                            frame => self.take_frame(frame),
                        },
                        Ok(Incoming::Ephemeral(_) | Incoming::Unknown(_) | Incoming::Ping) => {}
                        Err(error) => return self.ended(&error, come_back),
                    }
                }
                request = self.inbox.recv() => match request {
                    None => {
                        connection.close().await;
                        return End::Dropped;
                    }
                    Some(Request::Cut) => return self.ended(&ConnectionError::Closed(1006), None),
                    Some(request) => if let Err(error) = self.act(&mut connection, request).await {
                        return self.ended(&error, come_back);
                    },
                },
                () = tokio::time::sleep_until(wake) => {
                    if self.overdue() || heard.elapsed() >= silence {
                        return self.ended(&ConnectionError::Timeout, come_back);
                    }
                }
            }
        }
    }

    /// Carries out a request that needs the connection, or notes it.
    async fn act(&mut self, connection: &mut Connection, request: Request) -> Result<(), ConnectionError> {
        let command = match request {
            Request::Once { command, reply } => {
                let id = connection.next_id();
                self.once.insert(id, reply);
                command(id)
            }
            request => match self.note(request) {
                Some(room) => Command::Leave { id: connection.next_id(), room },
                None => return Ok(()),
            },
        };
        connection.send(&command).await
    }

    /// Notes what is to be done; the room, if it is to be left.
    fn note(&mut self, request: Request) -> Option<Uuid> {
        match request {
            Request::Join(room) => {
                self.rooms.entry(room).or_default();
                self.view.send_modify(|view| {
                    view.rooms.entry(room).or_default();
                });
            }
            Request::Leave(room) => {
                self.rooms.remove(&room);
                self.view.send_modify(|view| drop(view.rooms.remove(&room)));
                return Some(room);
            }
            Request::Send { room, nonce, text, reply } => match self.rooms.get_mut(&room) {
                Some(state) => state.queue.push_back(Outgoing { nonce, text, reply }),
                None => drop(reply.send(Err(CommandError::Code(wire::ErrorCode::NotJoined)))),
            },
            Request::Token(token) => {
                self.options.token = token;
                self.renewal = Some(Renewal { sending: None, not_before: Instant::now() });
            }
            Request::Once { .. } | Request::Cut => {}
        }
        None
    }

    /// Sends the joins and messages whose time has come.
    async fn send_due(&mut self, connection: &mut Connection) -> Result<(), ConnectionError> {
        let now = Instant::now();
        let mut commands = Vec::new();
        if let Some(renewal) =
            self.renewal.as_mut().filter(|now| now.sending.is_none() && now.not_before <= Instant::now())
        {
            let id = connection.next_id();
            renewal.sending = Some(id);
            commands.push(Command::Refresh { id, token: self.options.token.clone() });
        }
        {
            let view = self.view.borrow();
            for (id, room) in &mut self.rooms {
                let seen = view.rooms.get(id);
                if room.not_before.is_some_and(|time| time > now) || room.joining.is_some() {
                    continue;
                }
                room.not_before = None;
                if seen.is_some_and(|seen| !seen.live && seen.refused.is_none()) {
                    let number = connection.next_id();
                    room.joining = Some((number, now + PATIENCE));
                    let since = seen.and_then(|seen| seen.position);
                    commands.push(Command::Join { id: number, room: *id, since });
                } else if room.sending.is_none()
                    && seen.is_some_and(|seen| seen.live)
                    && let Some(Outgoing { nonce, text, .. }) = room.queue.front()
                {
                    let number = connection.next_id();
                    room.sending = Some((number, now + PATIENCE));
                    let (nonce, text) = (nonce.clone(), text.clone());
                    commands.push(Command::Send { id: number, room: *id, nonce, text });
                }
            }
        }
        for command in &commands {
            connection.send(command).await?;
        }
        Ok(())
    }

    fn next_due(&self) -> Option<Instant> {
        let deadlines =
            |room: &Room| [room.not_before, room.joining.map(|(_, due)| due), room.sending.map(|(_, due)| due)];
        let renewal =
            self.renewal.as_ref().filter(|renewal| renewal.sending.is_none()).map(|renewal| renewal.not_before);
        self.rooms.values().flat_map(deadlines).flatten().chain(renewal).min()
    }

    /// Whether an answer should have come by now.
    fn overdue(&self) -> bool {
        let now = Instant::now();
        self.rooms.values().any(|room| [room.joining, room.sending].into_iter().flatten().any(|(_, due)| due <= now))
    }

    fn tell(&self, event: Event<'_>) {
        if let Some(observer) = &self.options.observer {
            observer.observe(event);
        }
    }

    fn take_entry(&mut self, entry: Entry) {
        self.tell(Event::Entry(&entry));
        let keep = self.options.keep;
        self.view.send_if_modified(|view| {
            let Some(room) = view.rooms.get_mut(&entry.room).filter(|room| room.live) else { return false };
            if room.take(entry, keep) == Taken::Gap {
                room.live = false;
            }
            true
        });
    }

    fn take_frame(&mut self, frame: Frame) {
        match frame {
            Frame::Joined { room, epoch, seq, recovered, entries, notice, role, .. } => {
                let keep = self.options.keep;
                self.tell(Event::Joined { room, seq, recovered, entries: &entries });
                if let Some(state) = self.rooms.get_mut(&room) {
                    state.joining = None;
                }
                self.view.send_modify(|view| {
                    if let Some(seen) = view.rooms.get_mut(&room) {
                        seen.take_page(wire::Position { epoch, seq }, recovered, entries, keep);
                        (seen.notice, seen.role) = (notice, Some(role));
                    }
                });
            }
            frame => {
                if let Some(id) = reply_id(&frame) {
                    self.take_reply(id, frame);
                }
            }
        }
    }

    fn take_reply(&mut self, id: u64, frame: Frame) {
        if let Some(reply) = self.once.remove(&id) {
            return drop(reply.send(Ok(frame)));
        }
        if self.renewal.take_if(|renewal| renewal.sending == Some(id)).is_some() {
            // A token that is refused for good ends the connection in time, and with it the client.
            if let Frame::Error { temporary: true, retry_after_ms, .. } = frame {
                self.renewal =
                    Some(Renewal { sending: None, not_before: Instant::now() + retry_after(retry_after_ms) });
            }
            return;
        }
        let concerns = |room: &Room| [room.joining, room.sending].into_iter().flatten().any(|(number, _)| number == id);
        let Some((room_id, room)) = self.rooms.iter_mut().find(|(_, room)| concerns(room)) else { return };
        match frame {
            Frame::Ack { seq: Some(seq), at: Some(at), duplicate, .. } => {
                room.sending = None;
                if let Some(done) = room.queue.pop_front() {
                    drop(done.reply.send(Ok(Sent { seq, at, duplicate: duplicate.unwrap_or(false) })));
                }
            }
            Frame::Error { code, temporary, retry_after_ms, .. } => {
                let joining = room.joining.take().is_some_and(|(number, _)| number == id);
                room.sending = room.sending.take().filter(|_| joining);
                if temporary {
                    room.not_before = Some(Instant::now() + retry_after(retry_after_ms));
                } else if joining {
                    let room_id = *room_id;
                    self.view.send_modify(|view| {
                        if let Some(seen) = view.rooms.get_mut(&room_id) {
                            seen.refused = Some(code);
                        }
                    });
                } else if let Some(refused) = room.queue.pop_front() {
                    drop(refused.reply.send(Err(CommandError::Code(code))));
                }
            }
            _ => {}
        }
    }

    /// What to do after the connection ended with `error`.
    fn ended(&self, error: &ConnectionError, come_back: Option<Duration>) -> End {
        let code = match error {
            ConnectionError::Closed(code) => *code,
            ConnectionError::Refused(status) if *status == 401 => close::UNAUTHENTICATED,
            ConnectionError::Refused(status) if *status == 403 => close::FORBIDDEN,
            _ => 1006,
        };
        self.view.send_modify(|view| view.last_close = Some(code));
        self.tell(Event::Ended { code });
        match code {
            close::BAD_FRAME | close::UNAUTHENTICATED | close::FORBIDDEN => End::Stop(code),
            _ => End::Again(come_back),
        }
    }

    fn forget_connection(&mut self) {
        // The next connection begins with the newest token.
        self.renewal = None;
        for room in self.rooms.values_mut() {
            (room.joining, room.sending, room.not_before) = (None, None, None);
        }
        for (_, reply) in self.once.drain() {
            drop(reply.send(Err(CommandError::NotConnected)));
        }
        self.view.send_modify(|view| {
            view.connected = false;
            for room in view.rooms.values_mut() {
                (room.live, room.refused) = (false, None);
            }
        });
    }

    fn refuse_everything(&mut self) {
        for outgoing in self.rooms.values_mut().flat_map(|room| room.queue.drain(..)) {
            drop(outgoing.reply.send(Err(CommandError::NotConnected)));
        }
    }
}

/// How long to wait after a temporary refusal: a little longer than told, and not as long as everybody else.
fn retry_after(told: Option<u64>) -> Duration {
    Duration::from_millis(told.unwrap_or(250)).mul_f64(rand::random_range(1.0..1.5))
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

//! One connection, from its handshake to its close: one task that reads commands and has them carried out in order. Replies and
//! what rooms deliver are written by whoever has them; what a slow socket does not take at once, this task writes.
//!
//! What a client has sent without waiting for answers is read at once, up to a limit. Until that is carried out, or while what
//! was written waits to be read, nothing further is read: the backpressure of a client that pipelines. Deliveries go on.

use std::{collections::VecDeque, future::Future, num::NonZeroU32, pin::Pin, sync::Arc, time::Duration};

use common::tokens::{Access, TokenError};
use futures_util::FutureExt;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{Error, Message};
use uuid::Uuid;
use wire::{Command, ErrorCode, Frame, close};

use crate::{
    connection::{Connection, Request, Send},
    frame::{self, Refusal},
    outgoing::Encoded,
    queue::{Closing, Queue},
    server::Gateway,
    socket::Socket,
};

/// Commands sent before the time that a refusal named, before the connection is closed with 4429: so many at once, and so many a
/// second for long. Who waits as told is refused as often as it takes.
const REFUSAL_BURST: NonZeroU32 = NonZeroU32::new(200).unwrap();
const REFUSALS_PER_SECOND: NonZeroU32 = NonZeroU32::new(5).unwrap();
/// Frames read at once, at most.
const READ_AT_ONCE: usize = 16;
/// How long before its token expires a connection is told.
const EXPIRY_WARNING: Duration = Duration::from_secs(30);
/// How long what is under way may take when a connection ends, and the other side to receive the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

type Running = Pin<Box<dyn Future<Output = Vec<Encoded>> + std::marker::Send>>;

/// Why a session ends: a reason to tell the client, or none when the client has closed or the socket is gone.
type End = Option<Closing>;

const fn end(code: u16, reason: &'static str) -> End {
    Some(Closing { code, reason })
}

/// Runs a connection until it ends. `token` came with the upgrade, if one did.
pub async fn run(gateway: Arc<Gateway>, mut socket: Socket, queue: Arc<Queue>, token: Option<String>) {
    let id = gateway.ids.next_id();
    let span = tracing::info_span!("connection", connection = %id);
    let conversation = converse(&gateway, &mut socket, &queue, id, token);
    let reason = tracing::Instrument::instrument(conversation, span.clone()).await;
    let close = async {
        match reason {
            Some(closing) => {
                gateway.metrics.closes.with_label_values(&[&closing.code.to_string()]).inc();
                span.in_scope(|| tracing::debug!(code = closing.code, reason = closing.reason, "closing"));
                socket.close(&queue, closing).await
            }
            None => socket.finish(&queue).await,
        }
    };
    drop(tokio::time::timeout(CLOSE_TIMEOUT, Box::pin(close)).await);
}

async fn converse(
    gateway: &Arc<Gateway>,
    socket: &mut Socket,
    queue: &Arc<Queue>,
    id: Uuid,
    token: Option<String>,
) -> End {
    let access =
        match tokio::time::timeout(gateway.config.hello_timeout, Box::pin(access(gateway, socket, queue, token))).await
        {
            Ok(Ok(access)) => access,
            Ok(Err(reason)) => return reason,
            Err(_) => return end(close::NO_HELLO, "no hello in time"),
        };
    let user = access.user;
    let changes = gateway.session_changes();
    let admit = gateway.rooms.admit(user, id, gateway.config.connections_per_user);
    let (person, admitted) = tokio::join!(gateway.sessions.get((user, access.session)), admit);
    let reason = match (person, admitted) {
        (Ok(Some(person)), Ok(true)) => {
            let connection = Connection::new(id, person, access, Arc::clone(queue), Arc::clone(gateway));
            serve(gateway, socket, Arc::new(connection), changes).await
        }
        (Ok(None), _) => end(close::FORBIDDEN, "the session has ended"),
        (Ok(Some(_)), Ok(false)) => return end(close::TOO_MANY, "too many connections of this user"),
        (Err(error), _) => {
            tracing::warn!(%error, "a connection could not be authenticated");
            end(close::TRY_AGAIN, "the database does not answer")
        }
        (_, Err(error)) => {
            tracing::warn!(%error, "a connection could not be counted");
            end(close::TRY_AGAIN, "the room log does not answer")
        }
    };
    if let Err(error) = gateway.rooms.dismiss(user, id).await {
        // It is counted no longer once it has not been heard of for a while.
        tracing::debug!(%error, "a connection was not counted out");
    }
    reason
}

/// Serves an authenticated connection, whose session was looked up after so many `changes` of sessions.
async fn serve(gateway: &Arc<Gateway>, socket: &mut Socket, connection: Arc<Connection>, changes: u64) -> End {
    tracing::debug!(user = %connection.person.id, "authenticated");
    let registered = gateway.register(&connection);
    if gateway.session_changes() != changes {
        gateway.check_session(connection.id).await;
    }
    let reason = Session::new(gateway, socket, &connection).run().await;
    drop(registered);
    connection.leave_all().await;
    reason
}

/// What the token says, which came with the upgrade or comes with the first frame.
async fn access(gateway: &Gateway, socket: &mut Socket, queue: &Queue, token: Option<String>) -> Result<Access, End> {
    let token = match token {
        Some(token) => token,
        None => hello(socket, queue).await?,
    };
    gateway.tokens.verify(&token).map_err(|error| match error {
        TokenError::Invalid => end(close::UNAUTHENTICATED, "the token is not valid"),
        TokenError::Expired => end(close::UNAUTHENTICATED, "the token has expired"),
    })
}

async fn hello(socket: &mut Socket, queue: &Queue) -> Result<String, End> {
    loop {
        if queue.blocked().is_some() {
            // It has been sent nothing but answers to its pings.
            return Err(None);
        }
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                return match frame::decode(&text) {
                    Ok(Command::Hello { token }) => Ok(token),
                    Ok(_) => Err(end(close::UNAUTHENTICATED, "the first frame must be hello")),
                    Err(_) => Err(end(close::BAD_FRAME, "the first frame is no hello")),
                };
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Binary(_) | Message::Frame(_))) => return Err(end(close::BAD_FRAME, "not a text frame")),
            Some(Ok(Message::Close(_))) | None => return Err(None),
            Some(Err(error)) => return Err(end_of(&error)),
        }
    }
}

/// What to tell the client about a frame that could not be read.
fn end_of(error: &Error) -> End {
    match error {
        Error::Capacity(_) => end(close::BAD_FRAME, "the frame is too large"),
        Error::Utf8(_) => end(close::BAD_FRAME, "the text is not UTF-8"),
        Error::Protocol(_) => end(close::BAD_FRAME, "not a WebSocket frame"),
        _ => None,
    }
}

/// Where the heartbeat is.
enum Heart {
    /// The next ping is due then.
    Rests(Instant),
    /// A pong is due by then; and how much the socket had not taken when it was sent.
    Awaits(Instant, Option<usize>),
}

struct Session<'a> {
    gateway: &'a Gateway,
    socket: &'a mut Socket,
    connection: &'a Arc<Connection>,
    rate: DefaultDirectRateLimiter,
    refusals: DefaultDirectRateLimiter,
    /// Until when the client was told to wait.
    told_to_wait: Instant,
    heart: Heart,
    warned: bool,
    /// What was read and is not carried out yet.
    asked: VecDeque<Request>,
    /// What was read after that: the end.
    ending: Option<End>,
    running: Option<Running>,
}

impl<'a> Session<'a> {
    fn new(gateway: &'a Gateway, socket: &'a mut Socket, connection: &'a Arc<Connection>) -> Self {
        let limit = |per_second: u32| NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN);
        let (rate, burst) = (limit(gateway.config.commands_per_second), limit(gateway.config.command_burst));
        Self {
            gateway,
            socket,
            connection,
            rate: RateLimiter::direct(Quota::per_second(rate).allow_burst(burst)),
            refusals: RateLimiter::direct(Quota::per_second(REFUSALS_PER_SECOND).allow_burst(REFUSAL_BURST)),
            told_to_wait: Instant::now(),
            heart: Heart::Rests(Instant::now() + gateway.config.heartbeat),
            warned: false,
            asked: VecDeque::new(),
            ending: None,
            running: None,
        }
    }

    async fn run(mut self) -> End {
        let connection = Arc::clone(self.connection);
        connection.queue.reply(frame::encode(&self.gateway.welcome(self.connection)));
        self.gateway.send_away_if_stopping(&connection.queue);
        let mut timer = std::pin::pin!(tokio::time::sleep_until(self.next_due()));
        loop {
            // Who does not read what was written gets no further command carried out.
            let blocked = connection.queue.blocked().is_some();
            if !blocked && self.running.is_none() {
                if let Some(request) = self.next_request() {
                    self.running = Some(Box::pin(Arc::clone(self.connection).carry_out(request)));
                } else if let Some(reason) = self.ending {
                    return reason;
                }
            }
            let reads = !blocked && self.running.is_none();
            let step = tokio::select! {
                outcome = connection.queue.written(blocked) => outcome,
                replies = running(&mut self.running) => {
                    self.running = None;
                    connection.queue.reply_all(replies);
                    Ok(())
                }
                message = self.socket.next(), if reads => {
                    self.receive_all(message).await;
                    Ok(())
                }
                () = timer.as_mut() => self.tick(),
            };
            if let Err(reason) = step {
                if reason.is_some_and(|closing| closing.code != close::SLOW_READER) {
                    self.finish_running().await;
                }
                return reason;
            }
            let due = self.next_due();
            if due != timer.deadline() {
                timer.as_mut().reset(due);
            }
        }
    }

    /// What is under way when the connection is to end is finished and answered first.
    async fn finish_running(&mut self) {
        let Some(running) = self.running.take() else { return };
        if let Ok(replies) = tokio::time::timeout(CLOSE_TIMEOUT, running).await {
            self.connection.queue.reply_all(replies);
        }
    }

    /// What is to be carried out next. The memory of many is not kept.
    fn next_request(&mut self) -> Option<Request> {
        let next = self.asked.pop_front();
        if next.is_none() {
            self.asked = VecDeque::new();
        }
        next
    }

    /// Takes a message, and what has come behind it.
    async fn receive_all(&mut self, first: Option<Result<Message, Error>>) {
        let mut outcome = self.receive(first).await;
        let mut read = 1;
        while outcome.is_ok()
            && read < READ_AT_ONCE
            && let Some(message) = self.socket.next().now_or_never()
        {
            outcome = self.receive(message).await;
            read += 1;
        }
        // What came before is carried out all the same.
        self.ending = outcome.err();
    }

    async fn receive(&mut self, message: Option<Result<Message, Error>>) -> Result<(), End> {
        match message {
            Some(Ok(Message::Text(text))) => self.command(&text),
            Some(Ok(Message::Pong(_))) => {
                self.control()?;
                self.heart = Heart::Rests(Instant::now() + self.gateway.config.heartbeat);
                Ok(())
            }
            // The answer to a ping was made while it was read.
            Some(Ok(Message::Ping(_))) => {
                self.control()?;
                self.socket.flush().await.map_err(|error| end_of(&error))
            }
            Some(Ok(Message::Binary(_) | Message::Frame(_))) => Err(end(close::BAD_FRAME, "not a text frame")),
            Some(Ok(Message::Close(_))) | None => Err(None),
            Some(Err(error)) => Err(end_of(&error)),
        }
    }

    /// Pings and pongs count like commands; nothing can be answered to too many of them but the end.
    fn control(&self) -> Result<(), End> {
        if self.rate.check().is_err() && self.refusals.check().is_err() {
            return Err(end(close::TOO_MANY, "too many pings, again and again"));
        }
        Ok(())
    }

    fn command(&mut self, text: &str) -> Result<(), End> {
        self.gateway.metrics.frames_in.inc();
        let decoded = frame::decode(text);
        if let Err(too_soon) = self.rate.check() {
            if Instant::now() < self.told_to_wait && self.refusals.check().is_err() {
                return Err(end(close::TOO_MANY, "too many commands, again and again"));
            }
            let wait = too_soon.wait_time_from(governor::clock::Clock::now(&governor::clock::DefaultClock::default()));
            self.told_to_wait = Instant::now() + wait;
            let id = decoded.map_or_else(|refusal| refusal.id, |command| command.id());
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
            let refusal = Refusal::new(id, ErrorCode::RateLimited, "too many commands");
            self.asked.push_back(Request::Refused(Refusal { retry_after_ms: Some(wait_ms), ..refusal }));
            return Ok(());
        }
        match decoded {
            Ok(command) => self.ask(command),
            Err(refusal) => self.asked.push_back(Request::Refused(refusal)),
        }
        Ok(())
    }

    fn ask(&mut self, command: Command) {
        match (command, self.asked.back_mut()) {
            (Command::Send { id, room, nonce, text }, Some(Request::Sends(same, sends))) if *same == room => {
                sends.push(Send { id, nonce, text });
            }
            (Command::Send { id, room, nonce, text }, _) => {
                self.asked.push_back(Request::Sends(room, vec![Send { id, nonce, text }]));
            }
            (command, _) => self.asked.push_back(Request::Command(command)),
        }
    }

    /// When something is due without anyone doing anything: a ping, a pong, a warning, the end of the token.
    fn next_due(&self) -> Instant {
        let (Heart::Rests(heart) | Heart::Awaits(heart, _)) = self.heart;
        let left = self.connection.token_left();
        let token = if self.warned { left } else { left.saturating_sub(EXPIRY_WARNING) };
        heart.min(Instant::now() + token)
    }

    fn tick(&mut self) -> Result<(), End> {
        self.check_token()?;
        let now = Instant::now();
        let queue = &self.connection.queue;
        match self.heart {
            Heart::Rests(due) if due <= now => {
                queue.reply(Encoded::PING);
                self.heart = Heart::Awaits(now + self.gateway.config.pong_timeout, queue.blocked());
            }
            Heart::Awaits(due, left) if due <= now => {
                let blocked = queue.blocked();
                // While a command is under way nothing is read, so a pong may be waiting unread; and who reads slowly has
                // perhaps not come to the ping yet.
                if self.running.is_none() && blocked == left {
                    return Err(end(close::NO_PONG, "no pong"));
                }
                self.heart = Heart::Awaits(now + self.gateway.config.pong_timeout, blocked);
            }
            Heart::Rests(_) | Heart::Awaits(..) => {}
        }
        Ok(())
    }

    fn check_token(&mut self) -> Result<(), End> {
        let left = self.connection.token_left();
        if left.is_zero() {
            return Err(end(close::UNAUTHENTICATED, "the token has expired"));
        }
        if left > EXPIRY_WARNING {
            // Refreshed: there will be another warning.
            self.warned = false;
        } else if !self.warned {
            self.warned = true;
            let in_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
            self.connection.queue.reply(frame::encode(&Frame::Expiring { in_ms }));
        }
        Ok(())
    }
}

/// The replies of the command under way; never, if there is none.
async fn running(running: &mut Option<Running>) -> Vec<Encoded> {
    match running {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

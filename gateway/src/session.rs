//! Session: the task of one connection, from its upgrade to its close. It reads commands and has them executed in order.
//!
//! Replies and deliveries are written to the socket by whoever has them; what a slow socket does not take at once, this task
//! writes.
//!
//! What a client has sent without waiting for answers is read at once, up to a limit. Until that is executed, or while the socket
//! takes no more, nothing further is read: the backpressure of a client that pipelines. Deliveries go on.

use std::{future::Future, num::NonZeroU32, pin::Pin, sync::Arc, time::Duration};

use futures_util::FutureExt;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{Error, Message};
use uuid::Uuid;
use wire::{ErrorCode, Frame, Limits, close};

use crate::{
    authentication,
    commands::{
        self, join,
        request::{self, Pending},
    },
    connection::Connection,
    context::Context,
    drain,
    refusal::Refusal,
    revocation,
    transport::{
        encoded::Encoded,
        frame,
        queue::{End, Queue, end},
        socket::{Socket, end_of},
    },
};

/// Refused commands that a client may send before their `retry_after_ms` has passed: so many at once, and so many a second for long.
/// Beyond that it is closed with 4429. A client that waits as told is never closed.
const REFUSAL_BURST: NonZeroU32 = NonZeroU32::new(200).unwrap();
const REFUSALS_PER_SECOND: NonZeroU32 = NonZeroU32::new(5).unwrap();
/// Frames read at once, at most.
const READ_AT_ONCE: usize = 16;
/// How long before its token expires a client gets `expiring`.
const EXPIRY_WARNING: Duration = Duration::from_secs(30);
/// How long the command under execution may take when a connection ends, and the closing handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// The command under execution, and its replies.
type Running = Pin<Box<dyn Future<Output = Vec<Encoded>> + Send>>;

/// Runs a connection until it is closed. `token` came with the upgrade, if one did.
pub async fn run(cx: Arc<Context>, mut socket: Socket, queue: Arc<Queue>, token: Option<String>) {
    let id = cx.ids.next_id();
    let span = tracing::info_span!("connection", connection = %id);
    let session = authenticate_and_serve(&cx, &mut socket, &queue, id, token);
    let reason = tracing::Instrument::instrument(session, span.clone()).await;
    let close = async {
        match reason {
            Some(closing) => {
                cx.metrics.closes.with_label_values(&[&closing.code.to_string()]).inc();
                span.in_scope(|| tracing::debug!(code = closing.code, reason = closing.reason, "closing"));
                socket.close(&queue, closing).await
            }
            None => socket.finish(&queue).await,
        }
    };
    drop(tokio::time::timeout(CLOSE_TIMEOUT, Box::pin(close)).await);
}

/// Authenticates a connection and serves it until it is to be closed. Returns how.
async fn authenticate_and_serve(
    cx: &Arc<Context>,
    socket: &mut Socket,
    queue: &Arc<Queue>,
    id: Uuid,
    token: Option<String>,
) -> End {
    let access = match authentication::verify(cx, socket, queue, token).await {
        Ok(access) => access,
        Err(reason) => return reason,
    };
    let user = access.user;
    let revocations = cx.registry.revocations();
    let connection = match authentication::admit(cx, id, access, queue).await {
        Ok(connection) => connection,
        Err(reason) => return reason,
    };
    let reason = serve(cx, socket, Arc::new(connection), revocations).await;
    authentication::dismiss(cx, user, id).await;
    reason
}

/// Serves an authenticated connection, whose session was looked up after so many `revocations`.
async fn serve(cx: &Arc<Context>, socket: &mut Socket, connection: Arc<Connection>, revocations: u64) -> End {
    tracing::debug!(user = %connection.person.id, "authenticated");
    let registration = cx.registry.register(&connection);
    if cx.registry.revocations() != revocations {
        revocation::check(cx, connection.id).await;
    }
    let reason = Session::new(cx, socket, &connection).run().await;
    drop(registration);
    join::leave_all(cx, &connection).await;
    reason
}

/// The first frame of an authenticated connection.
fn welcome(cx: &Context, connection: &Connection) -> Frame {
    let config = &cx.config;
    Frame::Welcome {
        connection: connection.id,
        user: connection.person.clone(),
        heartbeat_ms: u64::try_from(config.heartbeat.as_millis()).unwrap_or(u64::MAX),
        token_expires_at: connection.token_expires_at(),
        limits: Limits {
            text_chars: config.message_chars,
            frame_bytes: config.frame_bytes,
            commands_per_second: config.commands_per_second,
            command_burst: config.command_burst,
            connections_per_user: config.connections_per_user,
            rooms_per_connection: config.rooms_per_connection,
            queue_bytes: config.queue_bytes,
            queue_frames: config.queue_frames,
        },
    }
}

/// State of the heartbeat.
enum Heartbeat {
    /// Nothing is awaited.
    Idle {
        /// When the next ping is due.
        next_ping: Instant,
    },
    /// A ping was queued.
    AwaitingPong {
        /// When the connection is closed without a pong.
        deadline: Instant,
        /// Bytes that the socket had not taken when the ping was queued, or at the last deadline.
        unsent: Option<usize>,
    },
}

/// The read loop of an authenticated connection.
struct Session<'a> {
    cx: &'a Arc<Context>,
    socket: &'a mut Socket,
    connection: &'a Arc<Connection>,
    /// Limits commands and control frames; beyond it commands are refused.
    rate: DefaultDirectRateLimiter,
    /// Limits refused commands; beyond it the connection is closed with 4429.
    refusals: DefaultDirectRateLimiter,
    /// Commands before it count towards 4429: the client was told to wait until then.
    retry_after: Instant,
    heartbeat: Heartbeat,
    /// Whether `expiring` was sent for the current token.
    warned: bool,
    /// Read, not yet executed.
    pending: Pending,
    /// How the session ends once `pending` is executed, if the client has ended it.
    ending: Option<End>,
    running: Option<Running>,
}

impl<'a> Session<'a> {
    fn new(cx: &'a Arc<Context>, socket: &'a mut Socket, connection: &'a Arc<Connection>) -> Self {
        let limit = |per_second: u32| NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN);
        let (rate, burst) = (limit(cx.config.commands_per_second), limit(cx.config.command_burst));
        Self {
            cx,
            socket,
            connection,
            rate: RateLimiter::direct(Quota::per_second(rate).allow_burst(burst)),
            refusals: RateLimiter::direct(Quota::per_second(REFUSALS_PER_SECOND).allow_burst(REFUSAL_BURST)),
            retry_after: Instant::now(),
            heartbeat: Heartbeat::Idle { next_ping: Instant::now() + cx.config.heartbeat },
            warned: false,
            pending: Pending::default(),
            ending: None,
            running: None,
        }
    }

    async fn run(mut self) -> End {
        let connection = Arc::clone(self.connection);
        connection.queue.reply(frame::encode(&welcome(self.cx, self.connection)));
        if self.cx.registry.is_draining() {
            // Registered too late to be drained with the others.
            drain::end(&connection.queue);
        }
        let mut timer = std::pin::pin!(tokio::time::sleep_until(self.next_deadline()));
        loop {
            // A client that does not read its replies gets no further command executed.
            let blocked = connection.queue.blocked().is_some();
            if !blocked && self.running.is_none() {
                if let Some(request) = self.pending.pop() {
                    let (cx, connection) = (Arc::clone(self.cx), Arc::clone(&connection));
                    self.running = Some(Box::pin(commands::execute(cx, connection, request)));
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
            let deadline = self.next_deadline();
            if deadline != timer.deadline() {
                timer.as_mut().reset(deadline);
            }
        }
    }

    /// Finishes and answers the command under execution before the connection is closed.
    async fn finish_running(&mut self) {
        let Some(running) = self.running.take() else { return };
        if let Ok(replies) = tokio::time::timeout(CLOSE_TIMEOUT, running).await {
            self.connection.queue.reply_all(replies);
        }
    }

    /// Reads a frame, and those that have arrived behind it.
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
        // Commands before the end are executed all the same.
        self.ending = outcome.err();
    }

    /// Handles one frame; the error is how the session ends.
    async fn receive(&mut self, message: Option<Result<Message, Error>>) -> Result<(), End> {
        match message {
            Some(Ok(Message::Text(text))) => self.receive_command(&text),
            Some(Ok(Message::Pong(_))) => {
                self.count_control()?;
                self.heartbeat = Heartbeat::Idle { next_ping: Instant::now() + self.cx.config.heartbeat };
                Ok(())
            }
            // The library has queued the pong while it read the ping.
            Some(Ok(Message::Ping(_))) => {
                self.count_control()?;
                self.socket.flush().await.map_err(|error| end_of(&error))
            }
            Some(Ok(Message::Binary(_) | Message::Frame(_))) => Err(end(close::BAD_FRAME, "not a text frame")),
            Some(Ok(Message::Close(_))) | None => Err(None),
            Some(Err(error)) => Err(end_of(&error)),
        }
    }

    /// Pings and pongs count as commands. They cannot be refused, so too many of them close the connection.
    fn count_control(&self) -> Result<(), End> {
        if self.rate.check().is_err() && self.refusals.check().is_err() {
            return Err(end(close::TOO_MANY, "too many pings"));
        }
        Ok(())
    }

    /// Decodes a command and adds it to those that wait; beyond the rate limit, its refusal.
    fn receive_command(&mut self, text: &str) -> Result<(), End> {
        self.cx.metrics.frames_in.inc();
        let decoded = request::decode(text);
        if let Err(too_soon) = self.rate.check() {
            if Instant::now() < self.retry_after && self.refusals.check().is_err() {
                return Err(end(close::TOO_MANY, "too many commands, in spite of retry_after_ms"));
            }
            let wait = too_soon.wait_time_from(governor::clock::Clock::now(&governor::clock::DefaultClock::default()));
            self.retry_after = Instant::now() + wait;
            let id = decoded.map_or_else(|refusal| refusal.id, |command| command.id());
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
            let refusal = Refusal::new(id, ErrorCode::RateLimited, "too many commands");
            self.pending.push_refusal(Refusal { retry_after_ms: Some(wait_ms), ..refusal });
            return Ok(());
        }
        match decoded {
            Ok(command) => self.pending.push(command),
            Err(refusal) => self.pending.push_refusal(refusal),
        }
        Ok(())
    }

    /// The next deadline: a ping, a pong, the warning before the token expires, its expiry.
    fn next_deadline(&self) -> Instant {
        let (Heartbeat::Idle { next_ping: heartbeat } | Heartbeat::AwaitingPong { deadline: heartbeat, .. }) =
            self.heartbeat;
        let left = self.connection.token_left(self.cx.clock.now());
        let token = if self.warned { left } else { left.saturating_sub(EXPIRY_WARNING) };
        heartbeat.min(Instant::now() + token)
    }

    /// Does what is due.
    fn tick(&mut self) -> Result<(), End> {
        self.check_token()?;
        let now = Instant::now();
        let queue = &self.connection.queue;
        let deadline = now + self.cx.config.pong_timeout;
        match self.heartbeat {
            Heartbeat::Idle { next_ping } if next_ping <= now => {
                queue.reply(Encoded::PING);
                self.heartbeat = Heartbeat::AwaitingPong { deadline, unsent: queue.blocked() };
            }
            Heartbeat::AwaitingPong { deadline: reached, unsent: before } if reached <= now => {
                let unsent = queue.blocked();
                // While a command is executed nothing is read, so a pong may be waiting unread. And a client that reads slowly
                // may not have come to the ping yet.
                if self.running.is_none() && unsent == before {
                    return Err(end(close::NO_PONG, "no pong"));
                }
                self.heartbeat = Heartbeat::AwaitingPong { deadline, unsent };
            }
            Heartbeat::Idle { .. } | Heartbeat::AwaitingPong { .. } => {}
        }
        Ok(())
    }

    /// Ends the session of an expired token; sends `expiring` once before that.
    fn check_token(&mut self) -> Result<(), End> {
        let left = self.connection.token_left(self.cx.clock.now());
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

/// Waits for the replies of the command under execution: for ever, if there is none.
async fn running(running: &mut Option<Running>) -> Vec<Encoded> {
    match running {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

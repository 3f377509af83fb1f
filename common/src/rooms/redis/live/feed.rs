//! Subscriber connection to one server: subscribes, unsubscribes, and passes on what is published there.
//!
//! A subscription is confirmed by the server itself, with one push for each channel, and only then is the caller answered. A
//! connection on which a confirmation does not come in time, or that is lost, has ended for good; the owner opens another.
//! What is published is passed on as it is read, so that a process that cannot keep up slows the server's sending (TCP) and
//! needs no queue.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use redis_protocol::resp3::types::BytesFrame;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::super::client::{Address, Command, Endpoint, Reply, Socket, Writer, error_of, text_of};
use crate::rooms::RoomError;

/// Requests waiting to be sent, at most; one more fails at once.
const QUEUE: usize = 100_000;
/// Channels of one command, at most.
pub(super) const CHANNELS: usize = 500;
/// Confirmations that may be under way: their pushes stay far below what a server lets a subscriber lag behind.
const UNCONFIRMED: usize = 8 * CHANNELS;

/// What a server tells a subscriber by itself.
pub(super) enum Event<'a> {
    /// Something was published.
    Message {
        /// Where.
        channel: &'a str,
        /// What.
        text: &'a str,
    },
    /// The server has ended a subscription that nobody ended here: it no longer has the channel's slot.
    Dropped {
        /// Of what.
        channel: &'a str,
    },
    /// The connection has ended.
    Ended,
}

/// Hears of what happens on a connection. Called by its task, so that it must not block.
pub(super) type Listener = Box<dyn Fn(Event<'_>) + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// For a channel of a slot that is on its way to this server.
    Asking,
    Subscribe,
    Unsubscribe,
}

struct Request {
    kind: Kind,
    channels: Vec<String>,
    done: oneshot::Sender<Result<(), RoomError>>,
}

/// A command that was sent and is not confirmed.
struct Unconfirmed {
    kind: Kind,
    channels: VecDeque<String>,
    sent: Instant,
    /// Absent for `ASKING`.
    done: Option<oneshot::Sender<Result<(), RoomError>>>,
}

/// A handle to the connection, which ends when it is dropped.
pub(super) struct Feed {
    address: Address,
    requests: mpsc::Sender<Request>,
    end: CancellationToken,
}

impl Feed {
    /// Begins to connect.
    pub(super) fn open(endpoint: Arc<Endpoint>, address: Address, timeout: Duration, listener: Listener) -> Self {
        let (sender, requests) = mpsc::channel(QUEUE);
        let end = CancellationToken::new();
        let feed = Self { address: address.clone(), requests: sender, end: end.clone() };
        tokio::spawn(async move {
            let mut connection = Connection { timeout, requests, listener, unconfirmed: VecDeque::new(), channels: 0 };
            let outcome = end.run_until_cancelled(connection.run(&endpoint, &address)).await;
            let error = outcome.and_then(Result::err).unwrap_or_else(ended);
            tracing::debug!(%error, %address, "a subscriber connection ended");
            end.cancel();
            connection.fail(&error);
            (connection.listener)(Event::Ended);
        });
        feed
    }

    pub(super) const fn address(&self) -> &Address {
        &self.address
    }

    /// Subscribes to at most [`CHANNELS`] channels of one slot and waits until the server has done so. Subscribing twice is harmless. `asking` if the
    /// slot is on its way to this server.
    ///
    /// # Errors
    /// With the server's words when it refuses, or when the connection ends.
    pub(super) async fn subscribe(&self, channels: Vec<String>, asking: bool) -> Result<(), RoomError> {
        self.request(if asking { Kind::Asking } else { Kind::Subscribe }, channels).await
    }

    /// Ends a subscription.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe): in either case the server does not have it any more.
    pub(super) async fn unsubscribe(&self, channel: String) -> Result<(), RoomError> {
        self.request(Kind::Unsubscribe, vec![channel]).await
    }

    async fn request(&self, kind: Kind, channels: Vec<String>) -> Result<(), RoomError> {
        let (done, outcome) = oneshot::channel();
        let full = |_| {
            RoomError::Unavailable("too many subscriptions wait for Redis, or their connection has ended".to_owned())
        };
        self.requests.try_send(Request { kind, channels, done }).map_err(full)?;
        outcome.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Ends the connection.
    pub(super) fn end(&self) {
        self.end.cancel();
    }

    /// Whether the connection has ended, or is about to say so.
    pub(super) fn has_ended(&self) -> bool {
        self.end.is_cancelled()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

fn ended() -> RoomError {
    RoomError::Unavailable("the subscriber connection has ended".to_owned())
}

/// The task of a [`Feed`].
struct Connection {
    timeout: Duration,
    requests: mpsc::Receiver<Request>,
    listener: Listener,
    unconfirmed: VecDeque<Unconfirmed>,
    /// Channels in `unconfirmed`.
    channels: usize,
}

impl Connection {
    async fn run(&mut self, endpoint: &Endpoint, address: &Address) -> Result<(), RoomError> {
        let socket = Socket::connect(endpoint, address, self.timeout).await?;
        let (mut reader, mut writer) = socket.split();
        loop {
            let oldest = self.unconfirmed.front().map(|first| first.sent + self.timeout);
            tokio::select! {
                biased;
                reply = reader.next() => self.take(reply?)?,
                request = self.requests.recv(), if self.channels < UNCONFIRMED => match request {
                    Some(request) => self.send(request, &mut writer).await?,
                    None => return Ok(()),
                },
                () = sleep_until(oldest.unwrap_or_else(Instant::now)), if oldest.is_some() => {
                    let late = format!("{address}: a subscription was not confirmed within {} ms", self.timeout.as_millis());
                    return Err(RoomError::Unavailable(late));
                }
            }
        }
    }

    async fn send(&mut self, request: Request, writer: &mut Writer) -> Result<(), RoomError> {
        let Request { kind, channels, done } = request;
        let (mut bytes, sent) = (Vec::new(), Instant::now());
        if kind == Kind::Asking {
            bytes.extend_from_slice(&Command::without_key("ASKING").encode());
            self.unconfirmed.push_back(Unconfirmed { kind, channels: VecDeque::new(), sent, done: None });
        }
        let (kind, name) = match kind {
            Kind::Unsubscribe => (kind, "SUNSUBSCRIBE"),
            Kind::Asking | Kind::Subscribe => (Kind::Subscribe, "SSUBSCRIBE"),
        };
        let command = channels.iter().fold(Command::without_key(name), |command, channel| command.arg(channel));
        bytes.extend_from_slice(&command.encode());
        self.channels += channels.len();
        self.unconfirmed.push_back(Unconfirmed { kind, channels: channels.into(), sent, done: Some(done) });
        writer.send(&bytes, self.timeout).await
    }

    /// Takes what the server sends: confirmations in the order of the commands, and what happens by itself in between.
    fn take(&mut self, reply: Reply) -> Result<(), RoomError> {
        if let Some(error) = error_of(&reply) {
            return self.refuse(error);
        }
        match &reply {
            BytesFrame::Push { data, .. } => {
                let mut words = data.iter().filter_map(text_of);
                match (words.next(), words.next(), words.next()) {
                    (Some("smessage"), Some(channel), Some(text)) => {
                        (self.listener)(Event::Message { channel, text });
                        Ok(())
                    }
                    (Some("ssubscribe"), Some(channel), _) => self.confirm(Kind::Subscribe, channel),
                    (Some("sunsubscribe"), Some(channel), _) => {
                        if self.is_next(Kind::Unsubscribe, channel) {
                            return self.confirm(Kind::Unsubscribe, channel);
                        }
                        (self.listener)(Event::Dropped { channel });
                        Ok(())
                    }
                    _ => Err(confused()),
                }
            }
            _ if self.unconfirmed.front().is_some_and(|first| first.kind == Kind::Asking) => {
                self.unconfirmed.pop_front();
                Ok(())
            }
            _ => Err(confused()),
        }
    }

    fn is_next(&self, kind: Kind, channel: &str) -> bool {
        self.unconfirmed
            .front()
            .is_some_and(|first| first.kind == kind && first.channels.iter().any(|it| it == channel))
    }

    fn confirm(&mut self, kind: Kind, channel: &str) -> Result<(), RoomError> {
        let Some(first) = self.unconfirmed.front_mut().filter(|first| first.kind == kind) else {
            return Err(confused());
        };
        // In the order of the command, so that it is the first as a rule.
        let place = first.channels.iter().position(|it| it == channel).ok_or_else(confused)?;
        first.channels.remove(place);
        self.channels -= 1;
        if first.channels.is_empty()
            && let Some(Unconfirmed { done: Some(done), .. }) = self.unconfirmed.pop_front()
        {
            // Whoever does not wait any more need not know.
            drop(done.send(Ok(())));
        }
        Ok(())
    }

    /// An error answers a whole command.
    fn refuse(&mut self, error: &str) -> Result<(), RoomError> {
        let first = self.unconfirmed.pop_front().ok_or_else(confused)?;
        self.channels -= first.channels.len();
        let refused = RoomError::Unavailable(error.to_owned());
        match first.done {
            Some(done) => {
                drop(done.send(Err(refused)));
                Ok(())
            }
            None => Err(refused),
        }
    }

    fn fail(&mut self, error: &RoomError) {
        self.requests.close();
        let waiting = self.unconfirmed.drain(..).filter_map(|first| first.done);
        let queued = std::iter::from_fn(|| self.requests.try_recv().ok()).map(|request| request.done);
        let reason = match error {
            RoomError::Unavailable(why) => why.clone(),
            error => error.to_string(),
        };
        for done in waiting.chain(queued) {
            drop(done.send(Err(RoomError::Unavailable(reason.clone()))));
        }
    }
}

fn confused() -> RoomError {
    RoomError::Unavailable("the server sent something that was not expected".to_owned())
}

//! The chat client: it stays connected, resumes where it was, and sends until it is acknowledged.
//!
//! - After a lost connection it comes back with jittered backoff, at another gateway if it knows several, and joins
//!   every room from the position it had reached.
//! - A message is sent again, with the same nonce, until it is acknowledged or refused for good. One message of a room is
//!   under way at a time, so that retries cannot change the order of what a user said.
//! - Entries are taken in by `seq`: twice is once, and a gap leads to a new join.
//!
//! What the client has seen is a [`View`]; [`Client::wait_for`] waits until it satisfies a condition.

pub mod backoff;
pub mod connection;
mod driver;
pub mod observer;
pub mod view;

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;
use wire::Timestamp;
use wire::{Command, ErrorCode, Frame};

pub use self::{
    backoff::Backoff,
    connection::{Connection, ConnectionError, Greeting, Incoming, Welcome},
    observer::{Event, Observer},
    view::{RoomView, View},
};
use crate::failure::{Failure, Outcome};

/// Requests waiting for the connection's task; more wait with their callers.
const REQUESTS: usize = 1024;

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Gateways (`ws://host:port/ws`); after a lost connection the next one is tried.
    pub gateways: Vec<String>,
    /// The access token.
    pub token: String,
    /// Rooms to join at once.
    pub rooms: Vec<Uuid>,
    /// Waits between attempts to connect.
    pub backoff: Backoff,
    /// Entries to remember of each room.
    pub keep: usize,
    /// Who is told of everything as it happens.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Options {
    /// A client of one gateway that begins with no room.
    pub fn new(gateway: impl Into<String>, token: impl Into<String>) -> Self {
        Self {
            gateways: vec![gateway.into()],
            token: token.into(),
            rooms: Vec::new(),
            backoff: Backoff::new(Duration::from_millis(50), Duration::from_secs(2)),
            keep: 100_000,
            observer: None,
        }
    }
}

/// An acknowledged message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its number in the log.
    pub seq: u64,
    /// When it was accepted.
    pub at: Timestamp,
    /// Whether an earlier attempt had been accepted already.
    pub duplicate: bool,
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The gateway refused it for good.
    #[error("refused: {0:?}")]
    Code(ErrorCode),
    /// The client has stopped, or the answer did not come.
    #[error("the client has no connection")]
    NotConnected,
}

pub(crate) enum Request {
    Join(Uuid),
    Leave(Uuid),
    Send { room: Uuid, nonce: String, text: String, reply: oneshot::Sender<Result<Sent, CommandError>> },
    Once { command: Box<dyn FnOnce(u64) -> Command + Send>, reply: oneshot::Sender<Result<Frame, CommandError>> },
    Token(String),
    Cut,
}

/// A chat client. Dropping it closes its connection.
#[derive(Debug)]
pub struct Client {
    requests: mpsc::Sender<Request>,
    view: watch::Receiver<View>,
    task: tokio::task::JoinHandle<()>,
}

impl Client {
    /// Starts connecting.
    pub fn start(options: Options) -> Self {
        let (requests, inbox) = mpsc::channel(REQUESTS);
        let (publish, view) = watch::channel(View::default());
        let task = tokio::spawn(driver::run(options, inbox, publish));
        Self { requests, view, task }
    }

    /// Joins a room, now and after every reconnect.
    pub async fn join(&self, room: Uuid) {
        drop(self.requests.send(Request::Join(room)).await);
    }

    /// Ends the delivery of a room.
    pub async fn leave(&self, room: Uuid) {
        drop(self.requests.send(Request::Leave(room)).await);
    }

    /// Sends a message until it is acknowledged, however many connections that takes.
    ///
    /// # Errors
    /// [`CommandError`] when it never will be.
    pub async fn send(&self, room: Uuid, text: impl Into<String>) -> Result<Sent, CommandError> {
        self.send_as(room, Uuid::new_v4().simple().to_string(), text).await
    }

    /// As [`send`](Self::send), with a nonce of the caller's.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_as(&self, room: Uuid, nonce: String, text: impl Into<String>) -> Result<Sent, CommandError> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Send { room, nonce, text: text.into(), reply };
        self.requests.send(request).await.map_err(|_| CommandError::NotConnected)?;
        answer.await.map_err(|_| CommandError::NotConnected)?
    }

    /// Sends any other command once and returns its reply, which may be a refusal. `command` is given its `id`.
    ///
    /// # Errors
    /// [`CommandError::NotConnected`] when there is no connection or it is lost before the reply.
    pub async fn request(&self, command: impl FnOnce(u64) -> Command + Send + 'static) -> Result<Frame, CommandError> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Once { command: Box::new(command), reply };
        self.requests.send(request).await.map_err(|_| CommandError::NotConnected)?;
        answer.await.map_err(|_| CommandError::NotConnected)?
    }

    /// Uses another access token from now on; connects again if the old one was refused.
    pub async fn set_token(&self, token: impl Into<String>) {
        drop(self.requests.send(Request::Token(token.into())).await);
    }

    /// Drops the connection without a good-bye, as a tunnel does; the client comes back by itself.
    pub async fn cut(&self) {
        drop(self.requests.send(Request::Cut).await);
    }

    /// What the client has seen so far.
    pub fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// What the client has seen of a room so far.
    pub fn room(&self, room: Uuid) -> RoomView {
        self.view.borrow().rooms.get(&room).cloned().unwrap_or_default()
    }

    /// Waits until what was seen satisfies `condition`.
    ///
    /// # Errors
    /// After `limit`, naming `awaited` and what was there instead.
    pub async fn wait_for(&self, limit: Duration, awaited: &str, condition: impl FnMut(&View) -> bool) -> Outcome {
        let mut view = self.view.clone();
        let found = tokio::time::timeout(limit, view.wait_for(condition)).await;
        match found {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Failure::new(format!("{awaited}: the client has ended"))),
            Err(_) => Err(Failure::new(format!("{awaited}: not within {} ms; {}", limit.as_millis(), self.summary()))),
        }
    }

    /// Waits until every room is joined.
    ///
    /// # Errors
    /// After `limit`.
    pub async fn wait_live(&self, limit: Duration) -> Outcome {
        self.wait_for(limit, "joined", |view| view.live() && !view.rooms.is_empty()).await
    }

    /// Waits until the log of `room` has been seen up to `seq`.
    ///
    /// # Errors
    /// After `limit`.
    pub async fn wait_seq(&self, limit: Duration, room: Uuid, seq: u64) -> Outcome {
        self.wait_for(limit, &format!("entry {seq}"), |view| {
            view.rooms.get(&room).and_then(|room| room.position).is_some_and(|position| position.seq >= seq)
        })
        .await
    }

    fn summary(&self) -> String {
        let view = self.view.borrow();
        let seqs: Vec<u64> = view.rooms.values().filter_map(|room| room.position).map(|at| at.seq).collect();
        format!(
            "connected {}, welcomes {}, last close {:?}, stopped {:?}, seen up to {seqs:?}",
            view.connected, view.welcomes, view.last_close, view.stopped
        )
    }

    /// Closes the connection and waits for its end.
    pub async fn close(self) {
        drop(self.requests);
        drop(tokio::time::timeout(Duration::from_secs(5), self.task).await);
    }
}

//! A pipelined connection for commands: many wait for their replies at once, and each gets its own, in order.
//!
//! The connection is made anew whenever it is lost, and also when it is open but answers nothing for as long as a command
//! may take. Whoever waits then is answered [`RoomError::Unavailable`]. While no connection can be made, commands are
//! refused at once: nothing waits in line for a server that is gone.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};

use super::{
    command::Command,
    endpoint::{Address, Endpoint},
    reply::{Reply, error_of},
    socket::Socket,
};
use crate::rooms::RoomError;

/// Commands waiting to be sent on one connection, at most; one more fails at once.
const QUEUE: usize = 10_000;
/// Commands sent with one write, at most.
const BATCH: usize = 256;
/// Commands sent and not answered, at most; the others wait in the queue.
const UNANSWERED: usize = 4_096;
/// Waits between attempts to connect: the first, and the longest.
const BACKOFF: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(1)];
/// The connection is not made anew for a `READONLY` more often than this.
const RENEWAL: Duration = Duration::from_secs(1);

/// Commands that are sent one right after the other, and who waits for the replies.
struct Request {
    bytes: Bytes,
    commands: usize,
    answer: oneshot::Sender<Result<Vec<Reply>, RoomError>>,
}

/// A request that was sent.
struct Waiting {
    commands: usize,
    replies: Vec<Reply>,
    answer: oneshot::Sender<Result<Vec<Reply>, RoomError>>,
}

/// A handle to the connection, which ends when it is dropped.
pub(super) struct Pipe(mpsc::Sender<Request>);

impl Pipe {
    /// Begins to connect.
    pub(super) fn open(endpoint: Arc<Endpoint>, address: Address, timeout: Duration) -> Self {
        let (sender, requests) = mpsc::channel(QUEUE);
        tokio::spawn(Connection { endpoint, address, timeout, requests, renewed: None }.run());
        Self(sender)
    }

    /// Sends commands without any other between them; one reply each. The caller limits how long it waits.
    ///
    /// # Errors
    /// When there is no connection, or it is lost before all have been answered: what took effect is unknown then.
    pub(super) async fn send(&self, commands: &[&Command]) -> Result<Vec<Reply>, RoomError> {
        let bytes = match commands {
            [command] => command.encode(),
            _ => commands.iter().flat_map(|command| command.encode()).collect(),
        };
        let (answer, replies) = oneshot::channel();
        self.0.try_send(Request { bytes, commands: commands.len(), answer }).map_err(|error| {
            RoomError::Unavailable(match error {
                mpsc::error::TrySendError::Full(_) => "too many commands wait for Redis".to_owned(),
                mpsc::error::TrySendError::Closed(_) => "the connections to Redis are closed".to_owned(),
            })
        })?;
        replies.await.unwrap_or_else(|_| Err(RoomError::Unavailable("the connections to Redis are closed".to_owned())))
    }
}

/// The task of a [`Pipe`].
struct Connection {
    endpoint: Arc<Endpoint>,
    address: Address,
    timeout: Duration,
    requests: mpsc::Receiver<Request>,
    /// When the connection was last given up for a `READONLY`.
    renewed: Option<Instant>,
}

impl Connection {
    async fn run(mut self) {
        let mut backoff = BACKOFF[0];
        loop {
            match Socket::connect(&self.endpoint, &self.address, self.timeout).await {
                Ok(socket) => {
                    backoff = BACKOFF[0];
                    match self.serve(socket).await {
                        Ok(()) => return,
                        Err(error) => tracing::debug!(%error, address = %self.address, "connecting to Redis again"),
                    }
                }
                Err(error) => {
                    let retry_at = Instant::now() + backoff;
                    backoff = (backoff * 2).min(BACKOFF[1]);
                    if !self.refuse_until(retry_at, &error).await {
                        return;
                    }
                }
            }
        }
    }

    /// Answers everything with why there is no connection; `false` when the handle was dropped.
    async fn refuse_until(&mut self, retry_at: Instant, error: &RoomError) -> bool {
        loop {
            tokio::select! {
                () = sleep_until(retry_at) => return true,
                request = self.requests.recv() => match request {
                    Some(request) => drop(request.answer.send(Err(RoomError::Unavailable(reason(error))))),
                    None => return false,
                },
            }
        }
    }

    /// Carries commands and replies until the handle is dropped (`Ok`) or the connection cannot be used any more.
    async fn serve(&mut self, socket: Socket) -> Result<(), RoomError> {
        let mut waiting = VecDeque::new();
        let outcome = self.exchange(socket, &mut waiting).await;
        if let Err(error) = &outcome {
            let reason = format!("{}: {}", self.address, reason(error));
            for Waiting { answer, .. } in waiting {
                // Whoever does not wait any more need not know.
                drop(answer.send(Err(RoomError::Unavailable(reason.clone()))));
            }
        }
        outcome
    }

    async fn exchange(&mut self, socket: Socket, waiting: &mut VecDeque<Waiting>) -> Result<(), RoomError> {
        let (mut reader, mut writer) = socket.split();
        let (mut batch, mut bytes) = (Vec::with_capacity(BATCH), Vec::new());
        // When the server last did something, or had nothing to do.
        let mut alive = Instant::now();
        let mut renewing = false;
        while !(renewing && waiting.is_empty()) {
            tokio::select! {
                biased;
                reply = reader.next() => {
                    alive = Instant::now();
                    renewing |= self.take_reply(waiting, reply?);
                }
                count = self.requests.recv_many(&mut batch, BATCH), if !renewing && waiting.len() < UNANSWERED => {
                    if count == 0 {
                        return Ok(());
                    }
                    if waiting.is_empty() {
                        alive = Instant::now();
                    }
                    bytes.clear();
                    for Request { bytes: command, commands, answer } in batch.drain(..) {
                        // Whoever has given up does not want it done any more.
                        if !answer.is_closed() {
                            bytes.extend_from_slice(&command);
                            waiting.push_back(Waiting { commands, replies: Vec::with_capacity(commands), answer });
                        }
                    }
                    writer.send(&bytes, self.timeout).await?;
                }
                () = sleep_until(alive + self.timeout), if !waiting.is_empty() => {
                    return Err(RoomError::Unavailable(format!("no answer within {} ms", self.timeout.as_millis())));
                }
            }
        }
        Err(RoomError::Unavailable("the server takes no writes".to_owned()))
    }

    /// Gives a reply to whoever is next in line. Returns whether the connection leads to the wrong server: a replica, also
    /// one that was the master when the connection was made.
    fn take_reply(&mut self, waiting: &mut VecDeque<Waiting>, reply: Reply) -> bool {
        let read_only = error_of(&reply).is_some_and(|error| error.starts_with("READONLY"));
        if let Some(first) = waiting.front_mut() {
            first.replies.push(reply);
            if first.replies.len() == first.commands
                && let Some(Waiting { replies, answer, .. }) = waiting.pop_front()
            {
                drop(answer.send(Ok(replies)));
            }
        }
        let renew = read_only && self.renewed.is_none_or(|renewed| renewed.elapsed() > RENEWAL);
        if renew {
            self.renewed = Some(Instant::now());
        }
        renew
    }
}

fn reason(error: &RoomError) -> String {
    match error {
        RoomError::Unavailable(why) => why.clone(),
        error => error.to_string(),
    }
}

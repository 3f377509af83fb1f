//! Outbound queue of one connection, bounded in frames and bytes; overflow closes the connection with 4508.
//!
//! It owns the socket's write half. A frame is written by whoever pushes it, if the socket takes it: waking another task for each
//! delivery would cost as much as the write. What the socket does not take waits in the queue for the connection's own task.

use std::{
    io,
    net::Shutdown,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::{net::tcp::OwnedWriteHalf, sync::Notify};
use wire::close;

use super::encoded::{Encoded, WriteBuffer};

/// A close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// The close code.
    pub code: u16,
    /// The reason, for people who debug a client.
    pub reason: &'static str,
}

/// Why a session ends: the close frame to send, or none when the client has closed or the socket is broken.
pub type End = Option<Closing>;

/// The end with a close frame.
pub const fn end(code: u16, reason: &'static str) -> End {
    Some(Closing { code, reason })
}

/// Bounded outbound queue of one connection.
///
/// Overflow policy: the queue is emptied and the connection closed with 4508; the client resumes from its last `seq`.
#[derive(Debug)]
pub struct Queue {
    socket: OwnedWriteHalf,
    state: Mutex<State>,
    changed: Notify,
    max_frames: usize,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    buffer: WriteBuffer,
    /// Bytes of replies in the buffer. They do not count towards the limit, because while they wait no command is read.
    reply_bytes: usize,
    /// The socket takes no more for now.
    blocked: bool,
    /// Writing failed: the connection is gone.
    broken: bool,
    /// The close frame to be sent once the buffer is written.
    closing: Option<Closing>,
}

impl Queue {
    /// An empty queue. It allocates nothing until something waits.
    pub fn new(socket: OwnedWriteHalf, max_frames: usize, max_bytes: usize) -> Self {
        Self { socket, state: Mutex::default(), changed: Notify::new(), max_frames, max_bytes }
    }

    /// Shuts down the write half; the other side can still read what was written.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn shut_down(&self) -> io::Result<()> {
        socket2::SockRef::from(self.socket.as_ref()).shutdown(Shutdown::Write)
    }

    /// Pushes frames in order. Returns how many: all, or none if the connection is closing or they overflow the queue.
    pub fn push(&self, frames: impl Iterator<Item = Encoded>) -> usize {
        let mut state = self.lock();
        if state.closing.is_some() {
            return 0;
        }
        let before = state.buffer.len();
        frames.for_each(|frame| state.buffer.push(frame));
        let after = state.buffer.len();
        self.write(&mut state);
        if state.buffer.len() > self.max_frames || state.buffer.bytes() > self.max_bytes + state.reply_bytes {
            state.closing = Some(Closing { code: close::SLOW_READER, reason: "the queue overflowed; resume" });
            state.buffer.keep_partial();
            drop(state);
            self.changed.notify_one();
            return 0;
        }
        after - before
    }

    /// Pushes frames that may be lost, unless the queue is half full: entries of the log have precedence.
    pub fn push_best_effort(&self, frames: impl Iterator<Item = Encoded>) {
        if !self.is_half_full() {
            self.push(frames.take(self.max_frames / 2));
        }
    }

    /// Whether the queue is half full, in frames or bytes.
    pub fn is_half_full(&self) -> bool {
        let state = self.lock();
        state.buffer.len() >= self.max_frames / 2 || state.buffer.bytes() >= self.max_bytes / 2
    }

    /// Pushes a reply to the connection's own command. It does not count towards the limits; no command is read until it is
    /// written.
    pub fn reply(&self, frame: Encoded) {
        self.reply_all([frame]);
    }

    /// Pushes several replies, in order.
    pub fn reply_all(&self, frames: impl IntoIterator<Item = Encoded>) {
        let mut state = self.lock();
        for frame in frames {
            state.reply_bytes += frame.size();
            state.buffer.push(frame);
        }
        self.write(&mut state);
    }

    /// Closes the connection once the queue is written. If it is called again, the first close frame stays.
    pub fn close(&self, closing: Closing) {
        self.lock().closing.get_or_insert(closing);
        self.changed.notify_one();
    }

    /// Bytes that wait, if the socket takes no more for now.
    pub fn blocked(&self) -> Option<usize> {
        let state = self.lock();
        state.blocked.then(|| state.buffer.bytes())
    }

    /// Writes the queue, as the socket takes it, until the connection is to be closed; if it was `blocked`, only until the
    /// queue is empty. Safe to cancel.
    ///
    /// # Errors
    /// How the session ends.
    pub async fn written(&self, blocked: bool) -> Result<(), End> {
        loop {
            let still_blocked = {
                let mut state = self.lock();
                self.write(&mut state);
                if state.broken {
                    return Err(None);
                }
                match state.closing {
                    Some(closing) if !state.blocked || closing.code == close::SLOW_READER => return Err(Some(closing)),
                    _ => {}
                }
                state.blocked
            };
            if still_blocked {
                tokio::select! {
                    // An error shows at the next write.
                    _ = self.socket.writable() => {}
                    () = self.changed.notified() => {}
                }
            } else if blocked {
                return Ok(());
            } else {
                self.changed.notified().await;
            }
        }
    }

    /// Writes the queue until it is empty, closing or not. Safe to cancel.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn drained(&self) -> io::Result<()> {
        loop {
            {
                let mut state = self.lock();
                self.write(&mut state);
                if state.broken {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                if !state.blocked {
                    return Ok(());
                }
            }
            self.socket.writable().await?;
        }
    }

    /// Writes what the socket takes. If it begins to block, wakes the task in [`Queue::written`].
    fn write(&self, state: &mut State) {
        if state.broken || state.buffer.is_empty() {
            return;
        }
        let outcome = state.buffer.write_with(|slices| match slices {
            [one] => self.socket.try_write(one),
            several => self.socket.try_write_vectored(several),
        });
        let was_blocked = std::mem::replace(&mut state.blocked, matches!(outcome, Ok(false)));
        state.reply_bytes = state.reply_bytes.min(state.buffer.bytes());
        match outcome {
            Ok(false) if !was_blocked => self.changed.notify_one(),
            Ok(_) => {}
            Err(_) => {
                state.broken = true;
                state.buffer = WriteBuffer::default();
                self.changed.notify_one();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing between lock and unlock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{iter, time::Duration};

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        time::timeout,
    };

    use super::*;

    /// Longer than any step takes.
    const TEST_TIMEOUT: Duration = Duration::from_secs(20);
    const BYE: Closing = Closing { code: close::RESTART, reason: "bye" };

    /// A queue, and the other side of its socket.
    pub(crate) async fn connected(max_frames: usize, max_bytes: usize) -> (Queue, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let (other, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let stream = accepted.expect("accepted").0;
        stream.writable().await.expect("a new socket");
        (Queue::new(stream.into_split().1, max_frames, max_bytes), other.expect("connected"))
    }

    /// Replies until the socket takes no more. Returns how many bytes that were.
    fn block(queue: &Queue) -> usize {
        let mut bytes = 0;
        while queue.blocked().is_none() {
            let frame = Encoded::text(&"x".repeat(100_000));
            bytes += frame.size();
            queue.reply(frame);
        }
        bytes
    }

    async fn read(other: &mut TcpStream, bytes: usize) -> Vec<u8> {
        let mut taken = vec![0; bytes];
        timeout(TEST_TIMEOUT, other.read_exact(&mut taken)).await.expect("in time").expect("read");
        taken
    }

    #[tokio::test]
    async fn frames_are_written_immediately_and_in_order() {
        let (queue, mut other) = connected(3, 100).await;
        assert_eq!(queue.push(["a", "b"].into_iter().map(Encoded::text)), 2);
        assert_eq!(read(&mut other, 6).await, b"\x81\x01a\x81\x01b");
        assert_eq!(queue.blocked(), None);
    }

    #[tokio::test]
    async fn blocked_frames_are_written_once_the_socket_takes_them() {
        let (queue, mut other) = connected(3, 100).await;
        let bytes = block(&queue);
        assert_eq!(queue.push(iter::once(Encoded::text("last"))), 1);
        let (written, taken) = tokio::join!(timeout(TEST_TIMEOUT, queue.written(true)), read(&mut other, bytes + 6));
        assert_eq!(written.expect("in time"), Ok(()));
        assert!(taken.ends_with(b"\x81\x04last"));
    }

    #[tokio::test]
    async fn overflow_in_frames_or_bytes_closes_and_empties_the_queue() {
        for (max_frames, max_bytes) in [(3, 100_000), (100_000, 6)] {
            let (queue, _other) = connected(max_frames, max_bytes).await;
            block(&queue);
            let pushed = iter::repeat_with(|| queue.push(iter::once(Encoded::text("x")))).take(10);
            assert!(pushed.last() == Some(0), "no overflow");
            assert_eq!(queue.written(true).await.map_err(|end| end.map(|end| end.code)), Err(Some(close::SLOW_READER)));
            let state = queue.lock();
            assert!(state.buffer.len() <= 1, "{} frames wait", state.buffer.len());
        }
    }

    #[tokio::test]
    async fn best_effort_frames_never_overflow_the_queue() {
        let (queue, _other) = connected(40, 1_000_000).await;
        block(&queue);
        let before = queue.lock().buffer.len();
        for _ in 0..90 {
            queue.push_best_effort(iter::once(Encoded::text("x")));
        }
        let state = queue.lock();
        assert_eq!((state.closing, state.buffer.len() - before > 10), (None, true));
    }

    #[tokio::test]
    async fn close_writes_the_queue_first_and_keeps_the_first_reason() {
        let (queue, mut other) = connected(2, 100).await;
        let bytes = block(&queue);
        queue.close(BYE);
        queue.close(Closing { code: close::FORBIDDEN, reason: "other" });
        assert_eq!(queue.push(iter::once(Encoded::text("late"))), 0);
        let (ended, _) = tokio::join!(timeout(TEST_TIMEOUT, queue.written(true)), read(&mut other, bytes));
        assert_eq!(ended.expect("in time"), Err(Some(BYE)));
    }

    #[tokio::test]
    async fn a_broken_connection_ends_without_a_close_frame() {
        let (queue, mut other) = connected(2, 100).await;
        other.set_zero_linger().expect("a reset");
        other.shutdown().await.expect("closed");
        drop(other);
        let ended = async { while queue.written(false).await != Err(None) {} };
        let writes = async {
            loop {
                queue.reply(Encoded::text("x"));
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = ended => {}
            () = writes => {}
            () = tokio::time::sleep(TEST_TIMEOUT) => panic!("the queue does not end"),
        }
    }
}

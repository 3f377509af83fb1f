//! What waits to be written to one connection: bounded, and empty most of the time.

use std::sync::Mutex;

use tokio::sync::Notify;

use common::wire::close;

use crate::socket::Encoded;

/// Why and how a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// The close code.
    pub code: u16,
    /// In words, for people who debug a client.
    pub reason: &'static str,
}

/// A bounded queue from the rooms to a connection's writer.
///
/// Overflow policy: the queue is emptied and the connection closed with 4508; the client resumes from its last `seq`.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    changed: Notify,
    max_frames: usize,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    frames: Vec<Encoded>,
    bytes: usize,
    closing: Option<Closing>,
}

impl Queue {
    /// An empty queue. It allocates nothing until something waits.
    pub fn new(max_frames: usize, max_bytes: usize) -> Self {
        Self { state: Mutex::default(), changed: Notify::new(), max_frames, max_bytes }
    }

    /// Adds a frame. `false` if the connection is closing, this overflow included.
    pub fn push(&self, frame: Encoded) -> bool {
        self.push_all(std::iter::once(frame)) == 1
    }

    /// Adds frames in order. Returns how many are queued: all, or none if the connection is closing, this overflow included.
    pub fn push_all(&self, frames: impl Iterator<Item = Encoded>) -> usize {
        let mut state = self.lock();
        if state.closing.is_some() {
            return 0;
        }
        let before = state.frames.len();
        for frame in frames {
            state.bytes += frame.size();
            state.frames.push(frame);
        }
        let after = state.frames.len();
        if after > self.max_frames || state.bytes > self.max_bytes {
            *state = State {
                closing: Some(Closing { code: close::SLOW_READER, reason: "the queue overflowed; resume" }),
                ..State::default()
            };
            drop(state);
            self.changed.notify_one();
            return 0;
        }
        drop(state);
        // Whoever takes the frames takes all, so only the first needs to wake it.
        if before == 0 && after > 0 {
            self.changed.notify_one();
        }
        after - before
    }

    /// Adds frames that may be missed, unless the queue is half full: what is in the log has precedence.
    pub fn push_if_idle(&self, frames: impl Iterator<Item = Encoded>) {
        let idle = {
            let state = self.lock();
            state.frames.len() < self.max_frames / 2 && state.bytes < self.max_bytes / 2
        };
        if idle {
            self.push_all(frames.take(self.max_frames / 2));
        }
    }

    /// Ends the connection once what waits is written. The first reason stays.
    pub fn close(&self, closing: Closing) {
        self.lock().closing.get_or_insert(closing);
        self.changed.notify_one();
    }

    /// Why the connection ends, if it does.
    pub fn closing(&self) -> Option<Closing> {
        self.lock().closing
    }

    /// Waits until there is something to write or the connection ends, and moves what waits into `batch`, which must be
    /// empty. Safe to cancel.
    pub async fn take(&self, batch: &mut Vec<Encoded>) -> Option<Closing> {
        loop {
            if let Some(closing) = self.take_now(batch) {
                return closing;
            }
            self.changed.notified().await;
        }
    }

    fn take_now(&self, batch: &mut Vec<Encoded>) -> Option<Option<Closing>> {
        let mut state = self.lock();
        std::mem::swap(&mut state.frames, batch);
        state.bytes = 0;
        (!batch.is_empty() || state.closing.is_some()).then_some(state.closing)
    }

    /// Waits until the connection ends at once: when it overflowed. Safe to cancel.
    pub async fn overflowed(&self) {
        while self.closing().is_none_or(|closing| closing.code != close::SLOW_READER) {
            self.changed.notified().await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing between lock and unlock can panic half-way through a change.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_come_out_in_order_and_all_at_once() {
        let queue = Queue::new(3, 100);
        assert!(queue.push(Encoded::text("a")) && queue.push(Encoded::text("b")));
        let mut batch = Vec::new();
        assert_eq!(queue.take(&mut batch).await, None);
        assert_eq!(batch, [Encoded::text("a"), Encoded::text("b")]);
    }

    #[tokio::test]
    async fn one_frame_or_byte_too_many_closes_and_frees_what_waited() {
        for (queue, frames) in [(Queue::new(2, 100), 2), (Queue::new(100, 6), 2)] {
            for _ in 0..frames {
                assert!(queue.push(Encoded::text("x")));
            }
            assert!(!queue.push(Encoded::text("x")));
            queue.overflowed().await;
            let mut batch = Vec::new();
            assert_eq!(queue.take(&mut batch).await.map(|closing| closing.code), Some(close::SLOW_READER));
            assert!(batch.is_empty());
        }
    }

    #[tokio::test]
    async fn what_may_be_missed_never_overflows() {
        let queue = Queue::new(4, 100);
        for _ in 0..9 {
            queue.push_if_idle(std::iter::once(Encoded::text("x")));
        }
        let mut batch = Vec::new();
        assert_eq!((queue.take(&mut batch).await, batch.len()), (None, 2));
    }

    #[tokio::test]
    async fn closing_lets_what_waits_go_first_and_keeps_its_first_reason() {
        let queue = Queue::new(2, 100);
        assert!(queue.push(Encoded::text("bye")));
        queue.close(Closing { code: close::RESTART, reason: "restart" });
        queue.close(Closing { code: close::FORBIDDEN, reason: "other" });
        assert!(!queue.push(Encoded::text("late")));
        let mut batch = Vec::new();
        assert_eq!(queue.take(&mut batch).await.map(|closing| closing.code), Some(close::RESTART));
        assert_eq!(batch, [Encoded::text("bye")]);
    }
}

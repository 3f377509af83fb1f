//! Listener: what one person heard of a room, and how long it took to reach them.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use uuid::Uuid;
use wire::{Body, Entry};

use super::{
    crowd::{Crowd, Kind},
    ledger::{Ledger, Sums},
    load::lock,
    message::{self, Message},
};
use crate::{
    client::{Event, Observer},
    clock::{between, stamp},
};

/// Takes in everything that happens to one person's client.
#[derive(Debug)]
pub(super) struct Listener {
    crowd: Arc<Crowd>,
    room: Uuid,
    number: usize,
    state: Mutex<State>,
    under_way: AtomicI64,
    stopped: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// The log's latest entry when the room was joined first: what comes after has to be heard.
    joined_at: Option<u64>,
    /// Every entry since then, by its distance from it.
    ledger: Ledger,
    /// Measured messages among them.
    messages: u64,
    /// When the connection was lost that is not back yet.
    lost_at: Option<u64>,
}

/// What a listener has heard so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    /// The room.
    pub(super) room: Uuid,
    /// The log's latest entry when it was joined first.
    pub(super) joined_at: Option<u64>,
    /// Measured messages since.
    pub(super) messages: u64,
    /// Gaps, repetitions and reorderings of all entries.
    pub(super) sums: Sums,
}

impl Listener {
    pub(super) fn new(crowd: Arc<Crowd>, room: Uuid, number: usize) -> Self {
        let (under_way, stopped) = (AtomicI64::new(0), AtomicBool::new(false));
        Self { crowd, room, number, state: Mutex::default(), under_way, stopped }
    }

    pub(super) fn heard(&self) -> Heard {
        let state = lock(&self.state);
        Heard { room: self.room, joined_at: state.joined_at, messages: state.messages, sums: state.ledger.sums }
    }

    /// One message more, or less, waits for its acknowledgement.
    pub(super) fn sending(&self, by: i64) {
        self.under_way.fetch_add(by, Ordering::Relaxed);
    }

    /// Messages that wait for their acknowledgement.
    pub(super) fn under_way(&self) -> usize {
        usize::try_from(self.under_way.load(Ordering::Relaxed)).unwrap_or(0)
    }

    pub(super) fn is_commuter(&self) -> bool {
        self.crowd.kinds.get(self.number) == Some(&Kind::Commuter)
    }

    /// What happens from now on is the end of the run.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn record(&self, name: &str, millis: f64) {
        self.crowd.recorder.with(self.number, |window| window.record(name, millis));
    }

    fn count(&self, name: &str) {
        self.crowd.recorder.with(self.number, |window| window.count(name, 1));
    }

    fn joined(&self, seq: u64, recovered: bool, entries: &[Entry]) {
        let mut state = lock(&self.state);
        let Some(joined_at) = state.joined_at else {
            state.joined_at = Some(seq);
            return;
        };
        let lost_at = state.lost_at.take();
        for entry in entries {
            // A page may hold what is known already.
            if offset(joined_at, entry.seq).is_some_and(|number| !state.ledger.has(0, number)) {
                self.take(&mut state, joined_at, entry, true);
            }
        }
        drop(state);
        if let Some(lost_at) = lost_at {
            self.count("chat.reconnects");
            self.record("chat.recovery_time", millis(lost_at));
        }
        if !recovered {
            self.count("chat.resets");
        }
    }

    fn take(&self, state: &mut State, joined_at: u64, entry: &Entry, recovered: bool) {
        let Some(number) = offset(joined_at, entry.seq) else { return };
        if !state.ledger.take(0, number) {
            return;
        }
        let Body::Message { text: Some(text), .. } = &entry.body else { return };
        message::each(text.as_bytes(), |message: Message| {
            state.messages += 1;
            let from_commuter = self.crowd.kinds.get(message.sender as usize) == Some(&Kind::Commuter);
            let name = match (recovered, from_commuter) {
                (true, _) => "chat.latency_recovered",
                // A commuter's message waits in the tunnel: that is no delay of the server.
                (false, true) => "chat.latency_from_commuters",
                (false, false) => "chat.latency",
            };
            let took = millis(message.stamp);
            self.crowd.recorder.with(self.number, |window| {
                window.count(if recovered { "chat.recovered" } else { "chat.delivered" }, 1);
                window.tick("chat.delivery_rate");
                window.record(name, took);
            });
        });
    }
}

/// The place of an entry among those after `joined_at`, from 0.
fn offset(joined_at: u64, seq: u64) -> Option<u32> {
    u32::try_from(seq.checked_sub(joined_at + 1)?).ok()
}

fn millis(since: u64) -> f64 {
    between(since, stamp()).as_secs_f64() * 1000.0
}

impl Observer for Listener {
    fn observe(&self, event: Event<'_>) {
        match event {
            Event::Connected { took } => self.record("chat.connect_time", took.as_secs_f64() * 1000.0),
            Event::Joined { room, seq, recovered, entries } if room == self.room => {
                self.joined(seq, recovered, entries)
            }
            Event::Entry(entry) if entry.room == self.room => {
                let mut state = lock(&self.state);
                match state.joined_at {
                    Some(joined_at) => self.take(&mut state, joined_at, entry, false),
                    // Nothing of a room may come before it is joined.
                    None => self.count("chat.unentitled"),
                }
            }
            Event::Entry(_) | Event::Joined { .. } => self.count("chat.unentitled"),
            Event::Ended { code } if !self.stopped.load(Ordering::Relaxed) => {
                self.count(&format!("chat.closed.{code}"));
                lock(&self.state).lost_at.get_or_insert_with(stamp);
            }
            Event::Ended { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::{Person, Timestamp};

    use super::*;
    use crate::metrics::{Collector, Recorder};

    const ROOM: Uuid = Uuid::from_u128(1);

    fn entry(seq: u64, sender: u32, sent: u64) -> Entry {
        let user = Person { id: Uuid::nil(), nickname: String::new() };
        let text = Some(Message { stamp: sent, sender, number: 0 }.text(40));
        let body = Body::Message { user, nonce: String::new(), text, edited_at: None, deleted_at: None };
        Entry { seq, room: ROOM, at: Timestamp(0), body }
    }

    fn listener() -> Listener {
        let recorder = Arc::new(Recorder::default());
        let crowd = Crowd::of(recorder, vec![Kind::Talker, Kind::Commuter]);
        Listener::new(Arc::new(crowd), ROOM, 0)
    }

    #[test]
    fn what_is_heard_is_told_apart() {
        let listener = listener();
        let live = |seq, sender| listener.observe(Event::Entry(&entry(seq, sender, stamp())));
        let join = |seq, recovered, entries: &[Entry]| {
            listener.observe(Event::Joined { room: ROOM, seq, recovered, entries });
        };
        live(9, 0);
        join(10, false, &[entry(10, 0, 0)]);
        live(11, 0);
        live(12, 1);
        live(12, 1);
        listener.observe(Event::Ended { code: 4508 });
        join(14, true, &[entry(12, 1, 0), entry(13, 0, stamp()), entry(14, 0, stamp())]);
        live(16, 0);
        let heard = listener.heard();
        assert_eq!((heard.joined_at, heard.messages), (Some(10), 5));
        assert_eq!((heard.sums.duplicates, heard.sums.gaps, heard.sums.reordered), (1, 1, 0));
        let mut collector = Collector::default();
        let window = collector.collect(&listener.crowd.recorder);
        for (name, count) in [
            ("chat.unentitled", 1),
            ("chat.delivered", 3),
            ("chat.recovered", 2),
            ("chat.closed.4508", 1),
            ("chat.reconnects", 1),
        ] {
            assert_eq!(window.counter(name), count, "{name}");
        }
        for (name, count) in [
            ("chat.latency", 2),
            ("chat.latency_from_commuters", 1),
            ("chat.latency_recovered", 2),
            ("chat.recovery_time", 1),
        ] {
            assert_eq!(window.histogram(name).map(crate::metrics::Histogram::count), Some(count), "{name}");
        }
    }
}

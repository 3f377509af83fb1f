//! Deliveries of chat messages: every message carries a stamp, and every receiver accounts for what it must receive.
//!
//! A stamp names the run, the room, the sender, the sender's and the room's count of messages, and the time at which
//! the message was due. Whatever the server puts around the text, the stamp is found in it. From the stamps follow the
//! time to each receiver, and what was lost, doubled, reordered, or delivered to somebody outside the room.
//!
//! A receiver is due every message that is sent to its room from when it has joined until it leaves. What was sent in
//! the last moments before it left (the grace) counts only if it came.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What every stamp begins with.
const MARK: &str = "~lt";

/// Rooms of one run.
#[derive(Debug)]
pub struct Ledger {
    run: u32,
    grace_us: u64,
    rooms: Mutex<HashMap<String, Arc<Room>>>,
}

/// A room, known to all its members in this process.
#[derive(Debug)]
struct Room {
    number: usize,
    state: Mutex<RoomState>,
}

#[derive(Debug, Default)]
struct RoomState {
    /// Messages sent so far.
    sent: u64,
    /// Messages that were all sent longer ago than the grace.
    settled: u64,
    /// Times of the messages after those, in microseconds.
    recent: VecDeque<u64>,
}

impl RoomState {
    fn settle(&mut self, before_us: u64) {
        while self.recent.front().is_some_and(|sent| *sent <= before_us) {
            self.recent.pop_front();
            self.settled += 1;
        }
    }
}

/// One user in one room.
#[derive(Debug)]
pub struct Member {
    ledger: Arc<Ledger>,
    room: Arc<Room>,
    user: u64,
    sent: u64,
    /// The room's count when the user had joined.
    since: Option<u64>,
    /// One bit for each message since then.
    received: Vec<u64>,
    /// Highest count of each sender.
    latest: HashMap<u64, u64>,
}

/// What a stamp that came turned out to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Delivery {
    /// The first time, in the sender's order, this many milliseconds after it was due.
    InOrder(f64),
    /// The first time, after a later one of the same sender.
    Reordered(f64),
    /// Not the first time.
    Duplicate,
    /// Of a room that the user has not joined.
    Unentitled,
    /// Sent before the user had joined: part of the room's history.
    History,
}

/// What a member had to receive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Messages that were due.
    pub expected: u64,
    /// Those of them that did not come.
    pub lost: u64,
}

impl Ledger {
    /// A ledger; `run` tells its stamps from those of other runs.
    #[must_use]
    pub fn new(run: u32, grace: Duration) -> Self {
        let grace_us = u64::try_from(grace.as_micros()).unwrap_or(u64::MAX);
        Self { run, grace_us, rooms: Mutex::default() }
    }

    /// A user who is about to join `room`.
    #[must_use]
    pub fn member(self: &Arc<Self>, room: &str, user: u64) -> Member {
        let mut rooms = lock(&self.rooms);
        let number = rooms.len();
        let room = rooms.entry(room.to_owned()).or_insert_with(|| Arc::new(Room { number, state: Mutex::default() }));
        Member {
            ledger: self.clone(),
            room: room.clone(),
            user,
            sent: 0,
            since: None,
            received: Vec::new(),
            latest: HashMap::new(),
        }
    }
}

impl Member {
    /// The user has joined: what is sent from now on is due.
    pub fn join(&mut self) {
        self.since = Some(lock(&self.room.state).sent);
        self.received.clear();
    }

    /// Whether the user has joined.
    #[must_use]
    pub fn has_joined(&self) -> bool {
        self.since.is_some()
    }

    /// Stamp of the user's next message, which is due at `due_us` and sent at `now_us` (microseconds of one clock).
    pub fn stamp(&mut self, due_us: u64, now_us: u64) -> String {
        self.sent += 1;
        let mut room = lock(&self.room.state);
        let count = room.sent;
        room.sent += 1;
        room.recent.push_back(now_us);
        room.settle(now_us.saturating_sub(self.ledger.grace_us));
        let (run, number, user, sent) = (self.ledger.run, self.room.number, self.user, self.sent);
        format!("{MARK}{run:x}.{number}.{user}.{sent}.{count}.{due_us}~")
    }

    /// Every stamp in a text that came at `now_us`.
    pub fn receive(&mut self, text: &str, now_us: u64) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find(MARK) {
            rest = &rest[start + MARK.len()..];
            if let Some(stamp) = parse(rest)
                && stamp.run == self.ledger.run
            {
                deliveries.push(self.account(&stamp, now_us));
            }
        }
        deliveries
    }

    #[expect(clippy::cast_precision_loss, reason = "microseconds of one run")]
    fn account(&mut self, stamp: &Stamp, now_us: u64) -> Delivery {
        let Some(since) = self.since.filter(|_| stamp.room == self.room.number as u64) else {
            return Delivery::Unentitled;
        };
        let Some(index) = stamp.count.checked_sub(since) else { return Delivery::History };
        let (word, bit) = (usize::try_from(index / 64).unwrap_or(usize::MAX), 1_u64 << (index % 64));
        if stamp.count >= lock(&self.room.state).sent {
            // Nobody sent it: a stamp that was tampered with.
            return Delivery::Unentitled;
        }
        if self.received.len() <= word {
            self.received.resize(word + 1, 0);
        }
        if self.received[word] & bit != 0 {
            return Delivery::Duplicate;
        }
        self.received[word] |= bit;
        let latest = self.latest.entry(stamp.user).or_default();
        let in_order = stamp.sent > *latest;
        *latest = stamp.sent.max(*latest);
        let waited = now_us.saturating_sub(stamp.due_us) as f64 / 1000.0;
        if in_order { Delivery::InOrder(waited) } else { Delivery::Reordered(waited) }
    }

    /// The user leaves at `now_us`: what it had to receive.
    pub fn leave(&mut self, now_us: u64) -> Account {
        let Some(since) = self.since.take() else { return Account::default() };
        let settled = {
            let mut room = lock(&self.room.state);
            room.settle(now_us.saturating_sub(self.ledger.grace_us));
            room.settled
        };
        let due = settled.saturating_sub(since);
        let received: u64 = self.received.iter().map(|word| u64::from(word.count_ones())).sum();
        let received_of_due = self.received_before(due);
        Account { expected: due + received - received_of_due, lost: due - received_of_due }
    }

    fn received_before(&self, end: u64) -> u64 {
        let mut count = 0;
        for (index, word) in (0_u64..).zip(&self.received) {
            let kept = end.saturating_sub(index * 64).min(64);
            let mask = if kept == 64 { u64::MAX } else { (1 << kept) - 1 };
            count += u64::from((word & mask).count_ones());
        }
        count
    }
}

struct Stamp {
    run: u32,
    room: u64,
    user: u64,
    sent: u64,
    count: u64,
    due_us: u64,
}

/// Reads what follows the mark of a stamp.
fn parse(text: &str) -> Option<Stamp> {
    // The longest stamp has eight hexadecimal digits, five numbers of twenty digits and five dots.
    let end = text.bytes().take(128).position(|byte| byte == b'~')?;
    let mut parts = text[..end].split('.');
    let run = u32::from_str_radix(parts.next()?, 16).ok()?;
    let mut number = || parts.next()?.parse::<u64>().ok();
    let stamp = Stamp { run, room: number()?, user: number()?, sent: number()?, count: number()?, due_us: number()? };
    parts.next().is_none().then_some(stamp)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is a single assignment: a panic elsewhere leaves whole values behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1000;

    fn room(users: u64) -> Vec<Member> {
        let ledger = Arc::new(Ledger::new(0xbeef, Duration::from_millis(100)));
        (0..users)
            .map(|user| {
                let mut member = ledger.member("r", user);
                member.join();
                member
            })
            .collect()
    }

    #[test]
    fn each_fault_is_reported_as_what_it_is() {
        let mut members = room(2);
        let stamps: Vec<String> = (0..6).map(|n| members[0].stamp(n * MS, n * MS)).collect();
        let frame = |n: usize| format!("{{\"text\":\"안녕 {}\"}}", stamps[n]);
        let one = &mut members[1];
        assert_eq!(one.receive(&frame(0), 5 * MS), [Delivery::InOrder(5.0)]);
        assert_eq!(one.receive(&frame(0), 6 * MS), [Delivery::Duplicate]);
        assert_eq!(one.receive(&frame(2), 6 * MS), [Delivery::InOrder(4.0)]);
        assert_eq!(one.receive(&frame(1), 6 * MS), [Delivery::Reordered(5.0)]);
        assert_eq!(one.receive(&frame(5), 2_005 * MS), [Delivery::InOrder(2_000.0)], "a stall is a delay");
        assert_eq!(one.leave(3_000 * MS), Account { expected: 6, lost: 2 });
        assert_eq!(one.leave(3_000 * MS), Account::default(), "only once");
    }

    #[test]
    fn what_was_sent_just_before_leaving_counts_only_if_it_came() {
        let mut members = room(2);
        members[0].stamp(0, 0);
        let late = members[0].stamp(950 * MS, 950 * MS);
        members[0].stamp(960 * MS, 960 * MS);
        assert_eq!(members[1].receive(&late, 970 * MS), [Delivery::InOrder(20.0)]);
        assert_eq!(members[1].leave(1_000 * MS), Account { expected: 2, lost: 1 });
    }

    #[test]
    fn rooms_history_and_other_runs_are_told_apart() {
        let ledger = Arc::new(Ledger::new(1, Duration::ZERO));
        let (mut here, mut there) = (ledger.member("here", 1), ledger.member("there", 2));
        here.join();
        let stamp = here.stamp(0, 0);
        assert_eq!(there.receive(&stamp, 1), [Delivery::Unentitled], "not joined");
        there.join();
        assert_eq!(there.receive(&stamp, 1), [Delivery::Unentitled], "another room");
        let mut later = ledger.member("here", 3);
        later.join();
        assert_eq!(later.receive(&format!("{stamp} {stamp}"), 1), [Delivery::History, Delivery::History]);
        assert_eq!(later.leave(10), Account::default());
        let mut other = Arc::new(Ledger::new(2, Duration::ZERO)).member("here", 1);
        other.join();
        assert_eq!(other.receive(&stamp, 1), []);
        for broken in ["~lt", "~lt1.2~", "~lt1.0.1.1.99.0~ ~ltzz.0.1.1.0.0~", "~lt1.0.1.1.0.0.7~"] {
            assert!(here.receive(broken, 1).iter().all(|found| *found == Delivery::Unentitled), "{broken}");
        }
    }
}

//! What a client has seen, and the rules by which it takes in more: pure, without a socket.

use std::collections::{HashMap, VecDeque};

use uuid::Uuid;
use wire::{Body, Entry, ErrorCode, Notice, Position, Role};

/// Everything that a client knows at a moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Whether a gateway has welcomed the present connection.
    pub connected: bool,
    /// How often a gateway has welcomed this client.
    pub welcomes: u32,
    /// The code of the last closed connection; 1006 for one that just ended.
    pub last_close: Option<u16>,
    /// The code, if the client must not come back by itself; see [`Client::set_token`](super::Client::set_token).
    pub stopped: Option<u16>,
    /// The rooms that were joined.
    pub rooms: HashMap<Uuid, RoomView>,
}

impl View {
    /// Whether every room is joined and live.
    pub fn live(&self) -> bool {
        self.connected && self.rooms.values().all(|room| room.live)
    }
}

/// What a client knows of one room.
#[derive(Clone, Debug, Default)]
pub struct RoomView {
    /// Whether live entries arrive.
    pub live: bool,
    /// Up to where the client has seen the log.
    pub position: Option<Position>,
    /// The latest entries, ascending, at most as many as [`Options::keep`](super::Options::keep).
    pub entries: VecDeque<Entry>,
    /// The notice.
    pub notice: Option<Notice>,
    /// What the user may do.
    pub role: Option<Role>,
    /// How often the log could not be continued and began with a fresh page.
    pub resets: u32,
    /// How often a live entry came too early: the gateway must never let it happen.
    pub gaps: u32,
    /// How often a live entry came again: the gateway must never let it happen.
    pub duplicates: u32,
    /// The gateway's refusal of the last join.
    pub refused: Option<ErrorCode>,
}

/// The outcome of taking in a live entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is the next one.
    New,
    /// It was there already.
    Duplicate,
    /// Entries before it are missing: join again from the position.
    Gap,
}

impl RoomView {
    /// Takes in a live entry, keeping the latest `keep`.
    pub fn take(&mut self, entry: Entry, keep: usize) -> Taken {
        let Some(position) = &mut self.position else { return Taken::Gap };
        if entry.seq <= position.seq {
            self.duplicates += 1;
            return Taken::Duplicate;
        }
        if entry.seq > position.seq + 1 {
            self.gaps += 1;
            return Taken::Gap;
        }
        position.seq = entry.seq;
        self.push(entry, keep);
        Taken::New
    }

    /// Takes in the answer to a join: `entries` follow what is there, or replace it.
    pub fn take_page(&mut self, head: Position, recovered: bool, entries: Vec<Entry>, keep: usize) {
        let first = self.position.is_none();
        let known = self.position.filter(|position| recovered && position.epoch == head.epoch);
        if known.is_none() {
            self.resets += u32::from(!first);
            self.entries.clear();
        }
        self.position = Some(head);
        self.live = true;
        self.refused = None;
        for entry in entries.into_iter().filter(|entry| known.is_none_or(|known| entry.seq > known.seq)) {
            self.push(entry, keep);
        }
    }

    fn push(&mut self, entry: Entry, keep: usize) {
        if let Body::Notice { user, text } = &entry.body {
            self.notice = text.as_ref().map(|text| Notice { text: text.clone(), user: user.clone(), at: entry.at });
        }
        self.entries.push_back(entry);
        while self.entries.len() > keep {
            self.entries.pop_front();
        }
    }

    /// The numbers and texts of the messages seen, in order.
    pub fn messages(&self) -> Vec<(u64, String)> {
        let text = |entry: &Entry| match &entry.body {
            Body::Message { text, .. } => Some((entry.seq, text.clone().unwrap_or_default())),
            _ => None,
        };
        self.entries.iter().filter_map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use wire::Person;
    use wire::Timestamp;

    use super::*;

    const OLD: Uuid = Uuid::from_u128(1);
    const NEW: Uuid = Uuid::from_u128(2);

    fn entry(seq: u64) -> Entry {
        let user = Person { id: Uuid::nil(), nickname: "밍기".into() };
        let body = Body::Message { user, nonce: String::new(), text: None, edited_at: None, deleted_at: None };
        Entry { seq, room: Uuid::nil(), at: Timestamp(0), body }
    }

    fn at(epoch: Uuid, seq: u64) -> Position {
        Position { epoch, seq }
    }

    fn seqs(view: &RoomView) -> Vec<u64> {
        view.entries.iter().map(|entry| entry.seq).collect()
    }

    #[test]
    fn live_entries_are_taken_in_order_and_once() {
        let mut view = RoomView { position: Some(at(OLD, 4)), ..RoomView::default() };
        let taken: Vec<Taken> = [5, 5, 4, 7, 6, 7].map(|seq| view.take(entry(seq), 10)).to_vec();
        use Taken::{Duplicate, Gap, New};
        assert_eq!(taken, [New, Duplicate, Duplicate, Gap, New, New]);
        assert_eq!((seqs(&view), view.gaps, view.duplicates), (vec![5, 6, 7], 1, 2));
    }

    #[test]
    fn pages_continue_or_replace_what_is_there() {
        for (recovered, epoch, page, expected, resets) in [
            (true, OLD, &[3, 4][..], &[1, 2, 3, 4][..], 0),
            (true, OLD, &[2, 3], &[1, 2, 3], 0),
            (false, OLD, &[8, 9], &[8, 9], 1),
            (true, NEW, &[1], &[1], 1),
        ] {
            let mut view = RoomView::default();
            view.take_page(at(OLD, 2), false, vec![entry(1), entry(2)], 10);
            view.take_page(at(epoch, 9), recovered, page.iter().map(|seq| entry(*seq)).collect(), 10);
            assert_eq!((seqs(&view), view.resets), (expected.to_vec(), resets));
        }
    }

    #[test]
    fn only_the_latest_are_kept() {
        let mut view = RoomView::default();
        view.take_page(at(OLD, 3), false, (1..=3).map(entry).collect(), 2);
        assert_eq!(seqs(&view), [2, 3]);
    }
}

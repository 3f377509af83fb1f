//! Merge of a log page with the live stream: in order, without gap or duplicate. Pure state, no I/O.
//!
//! Pages and the live stream overlap, and the live stream may have gaps. A reader of a log keeps a [`Progress`] and asks it
//! about each entry, whatever its source; delivering what it says to deliver yields the log.

use uuid::Uuid;

use wire::Position;

/// What to do with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The next entry: deliver it.
    Deliver,
    /// Delivered before: ignore it.
    Known,
    /// Entries are missing before it: read those after this `seq` first.
    Gap {
        /// `seq` of the last delivered entry.
        after: u64,
    },
    /// Another epoch: start over from a fresh page.
    NewEpoch,
}

/// Position of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress(Position);

impl Progress {
    /// Everything up to `position` was delivered.
    pub const fn at(position: Position) -> Self {
        Self(position)
    }

    /// The position.
    pub const fn position(&self) -> Position {
        self.0
    }

    /// What to do with the entry `seq` of `epoch`; [`Step::Deliver`] moves on.
    pub fn step(&mut self, epoch: Uuid, seq: u64) -> Step {
        if epoch != self.0.epoch {
            return Step::NewEpoch;
        }
        match seq.checked_sub(self.0.seq) {
            None | Some(0) => Step::Known,
            Some(1) => {
                self.0.seq = seq;
                Step::Deliver
            }
            Some(_) => Step::Gap { after: self.0.seq },
        }
    }

    /// What to do when the log's head is known to be at `head`: [`Step::Known`] if nothing is missing.
    pub fn compare(&self, head: Position) -> Step {
        if head.epoch != self.0.epoch || head.seq < self.0.seq {
            Step::NewEpoch
        } else if head.seq == self.0.seq {
            Step::Known
        } else {
            Step::Gap { after: self.0.seq }
        }
    }
}

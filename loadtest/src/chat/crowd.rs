//! Crowd: what all people of a run share, and how each of them behaves.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use uuid::Uuid;

use super::load::lock;
use crate::metrics::Recorder;

/// How a person behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Reader,
    Talker,
    Commuter,
    Slow,
    Lurker,
}

/// What all people of a run share.
#[derive(Debug)]
pub(super) struct Crowd {
    /// Where everything is recorded.
    pub(super) recorder: Arc<Recorder>,
    /// How each person behaves, by the number in their messages.
    pub(super) kinds: Vec<Kind>,
    /// Numbers in the log of the messages that were accepted, by room.
    pub(super) accepted: Mutex<HashMap<Uuid, Vec<u64>>>,
}

impl Crowd {
    /// People who behave as `kinds` says, by their number.
    pub(super) fn of(recorder: Arc<Recorder>, kinds: Vec<Kind>) -> Self {
        Self { recorder, kinds, accepted: Mutex::default() }
    }

    /// Messages of a room that were accepted after entry `after`.
    pub(super) fn accepted_after(&self, room: Uuid, after: u64) -> u64 {
        let accepted = lock(&self.accepted);
        accepted.get(&room).map_or(0, |seqs| seqs.iter().filter(|seq| **seq > after).count() as u64)
    }
}

//! Logs of the demo rooms: joins, a notice, conversations, and the closing entry.

use std::time::Duration;

use common::{
    bootstrap::Backends,
    rooms::{Draft, RoomError, RoomStore, SYSTEM},
    time::Timestamp,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use rand::{Rng, rngs::StdRng};
use uuid::Uuid;
use wire::{Body, Change, Role};

use super::{
    meetups::DemoMeetup,
    people::Account,
    plan::DemoError,
    time::{between, moments},
    words,
};

/// Rooms written concurrently.
const TOGETHER: usize = 16;
/// Conversations in a room and messages of each, at most.
const CONVERSATIONS: usize = 8;
const MESSAGES: usize = 16;
/// Seconds between two messages of a conversation.
const PAUSE: std::ops::RangeInclusive<u64> = 4..=150;

/// Fills the rooms of meetups.
pub(super) async fn fill(
    backends: &Backends,
    meetups: &[DemoMeetup],
    accounts: &[Account],
    rng: &mut StdRng,
) -> Result<(), DemoError> {
    let logs: Vec<(Uuid, Vec<Draft>)> =
        meetups.iter().map(|meetup| (meetup.id, Log { meetup, accounts, backends, rng }.draw())).collect();
    let rooms = &*backends.rooms;
    let appends = logs.into_iter().map(|(room, drafts)| append_all(rooms, room, drafts));
    Ok(stream::iter(appends).buffer_unordered(TOGETHER).try_collect::<()>().await?)
}

async fn append_all(rooms: &dyn RoomStore, room: Uuid, drafts: Vec<Draft>) -> Result<(), RoomError> {
    rooms.append_all(room, drafts).await?.into_iter().try_for_each(|outcome| Ok(outcome.map(drop)?))
}

/// Log of a demo room.
struct Log<'a> {
    meetup: &'a DemoMeetup,
    accounts: &'a [Account],
    backends: &'a Backends,
    rng: &'a mut StdRng,
}

impl Log<'_> {
    /// All entries in the order of time.
    fn draw(mut self) -> Vec<Draft> {
        let mut drafts: Vec<Draft> = self.meetup.members[1..].iter().map(|member| self.join(*member)).collect();
        drafts.extend(self.notice());
        // Small rooms have fewer conversations.
        let conversations = self.rng.random_range(1..=CONVERSATIONS.min(1 + self.meetup.members.len() / 4));
        for at in moments(self.rng, self.meetup.opened_at(), self.meetup.until, conversations) {
            self.converse(at, &mut drafts);
        }
        drafts.sort_by_key(|draft| draft.at);
        if let Some((at, reason)) = self.meetup.closed {
            drafts.push(Draft { author: SYSTEM, role: Role::Host, nonce: None, at, body: Body::Closed { reason } });
        }
        drafts
    }

    fn join(&self, (place, at): (usize, Timestamp)) -> Draft {
        let body = Body::Member { user: self.accounts[place].person.clone(), change: Change::Joined };
        Draft { author: SYSTEM, role: Role::Host, nonce: None, at, body }
    }

    /// A notice, in two thirds of the rooms.
    fn notice(&mut self) -> Option<Draft> {
        let (host, opened_at) = self.meetup.members[0];
        let user = self.accounts[host].person.clone();
        let at = between(self.rng, opened_at, self.meetup.until);
        let body = Body::Notice { text: Some(words::notice(self.rng).to_owned()), user };
        let author = self.accounts[host].person.id;
        self.rng.random_bool(2.0 / 3.0).then_some(Draft { author, role: Role::Host, nonce: None, at, body })
    }

    /// Adds a conversation of the members at that time.
    fn converse(&mut self, mut at: Timestamp, drafts: &mut Vec<Draft>) {
        let there = self.meetup.members.partition_point(|(_, since)| *since <= at).max(1);
        for _ in 0..self.rng.random_range(2..=MESSAGES) {
            let (place, _) = self.meetup.members[self.rng.random_range(0..there)];
            let user = self.accounts[place].person.clone();
            let (author, nonce) = (user.id, self.backends.env.ids.next_id().to_string());
            let text = Some(words::line(self.rng).to_owned());
            let body = Body::Message { user, nonce, text, edited_at: None, deleted_at: None };
            drafts.push(Draft { author, role: Role::Member, nonce: None, at, body });
            at = (at + Duration::from_secs(self.rng.random_range(PAUSE))).min(self.meetup.until);
        }
    }
}

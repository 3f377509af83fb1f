//! One conformance suite for every backend of the room log, and the faults of Redis.
#![expect(clippy::expect_used, clippy::panic, reason = "tests")]

mod amend;
mod archive;
mod cluster;
mod faults;
mod live;
mod log;
mod merge;
mod presence;

use std::time::Duration;

use common::{
    rooms::{Appended, Draft, Page, RawEntry, RoomStore, Signal, Subscription},
    time::Timestamp,
};
use uuid::Uuid;
use wire::{Body, Change, Person, Role};

/// When the drafts of these tests are accepted, if it does not matter.
const NOW: Timestamp = Timestamp(1_700_000_000_000);
/// Longer than anything may take; a test that waits for longer fails.
const PATIENCE: Duration = Duration::from_secs(20);

fn person(id: Uuid) -> Person {
    Person { id, nickname: "밍기".to_owned() }
}

fn message(author: Uuid, nonce: &str, text: &str) -> Draft {
    let body = Body::Message {
        user: person(author),
        nonce: nonce.to_owned(),
        text: Some(text.to_owned()),
        edited_at: None,
        deleted_at: None,
    };
    Draft { author, role: Role::Member, nonce: Some(nonce.to_owned()), at: NOW, body }
}

fn notice(author: Uuid, text: Option<&str>) -> Draft {
    let body = Body::Notice { user: person(author), text: text.map(str::to_owned) };
    Draft { author, role: Role::Host, nonce: None, at: NOW, body }
}

fn member(user: Uuid, change: Change, nonce: Uuid) -> Draft {
    let body = Body::Member { user: person(user), change };
    Draft { author: common::rooms::SYSTEM, role: Role::Host, nonce: Some(nonce.to_string()), at: NOW, body }
}

/// Appends `count` messages of one author, one after the other.
async fn fill(store: &dyn RoomStore, room: Uuid, count: u64) -> Uuid {
    let author = Uuid::now_v7();
    for n in 1..=count {
        store.append(room, message(author, &format!("fill-{n}"), &format!("{n}"))).await.expect("append");
    }
    author
}

fn seqs(entries: &[RawEntry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.seq).collect()
}

/// The texts of a page's messages; a tombstone is `-`.
fn texts(page: &Page) -> Vec<String> {
    let text = |entry: &RawEntry| match entry.parse().expect("an entry").body {
        Body::Message { text, .. } => Some(text.unwrap_or_else(|| "-".to_owned())),
        _ => None,
    };
    page.entries.iter().filter_map(text).collect()
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}

async fn next(subscription: &mut Subscription) -> Signal {
    within("a signal", subscription.next()).await.expect("an open subscription")
}

/// The next entry, whatever else is signalled before it.
async fn next_entry(subscription: &mut Subscription) -> RawEntry {
    loop {
        if let Signal::Entry { entry, .. } = next(subscription).await {
            return entry;
        }
    }
}

fn place(appended: Appended) -> (u64, bool) {
    (appended.position.seq, appended.duplicate)
}

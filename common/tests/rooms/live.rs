//! The live stream: invariants 2, 4 and 5 at the level of the store.

use std::sync::Arc;

use common::rooms::{
    Range, RawEntry, RoomStore, Signal, Subscription,
    merge::{Progress, Step},
};
use testing::RoomLog;
use uuid::Uuid;
use wire::{Body, Change, Position};

use super::{fill, member, message, next, next_entry, seqs, within};

testing::on_each_room_log!(
    every_subscriber_sees_the_log_in_order_whoever_appends,
    joining_in_the_middle_of_a_flood_misses_and_repeats_nothing,
    a_subscriber_that_fell_behind_is_told_to_check_and_misses_nothing,
    changes_of_members_reach_every_subscriber,
    rooms_do_not_hear_each_other_and_one_can_be_left_and_entered_again,
);

/// Follows a log up to `until` as a hub does, and returns what it would deliver.
async fn follow(
    store: &dyn RoomStore,
    room: Uuid,
    live: &mut Subscription,
    from: Position,
    until: u64,
) -> Vec<RawEntry> {
    let mut progress = Progress::at(from);
    let mut delivered = Vec::new();
    while progress.position().seq < until {
        let step = match next(live).await {
            Signal::Entry { epoch, entry } => {
                let step = progress.step(epoch, entry.seq);
                if step == Step::Deliver {
                    delivered.push(entry);
                }
                step
            }
            Signal::Check => progress.compare(store.head(room).await.expect("head")),
            Signal::Ephemeral { .. } => Step::Known,
        };
        assert_ne!(step, Step::NewEpoch);
        if matches!(step, Step::Gap { .. }) {
            catch_up(store, room, &mut progress, &mut delivered).await;
        }
    }
    delivered
}

/// Reads on, page by page, until nothing is missing.
async fn catch_up(store: &dyn RoomStore, room: Uuid, progress: &mut Progress, delivered: &mut Vec<RawEntry>) {
    loop {
        let page = store.read(room, Range::After(progress.position().seq), 1000).await.expect("read");
        for entry in page.entries {
            assert_eq!(progress.step(page.head.epoch, entry.seq), Step::Deliver);
            delivered.push(entry);
        }
        if progress.compare(page.head) == Step::Known {
            return;
        }
    }
}

async fn every_subscriber_sees_the_log_in_order_whoever_appends(log: RoomLog) {
    let store = log.fresh().await;
    let room = Uuid::now_v7();
    let start = store.head(room).await.expect("a head");
    let mut followers = Vec::new();
    for _ in 0..3 {
        let mut live = store.subscribe(room).await.expect("a subscription");
        let store = Arc::clone(&store);
        followers.push(tokio::spawn(async move { follow(&*store, room, &mut live, start, 200).await }));
    }
    let writers = (0..8).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { fill(&*store, room, 25).await })
    });
    futures_util::future::join_all(writers.collect::<Vec<_>>()).await;
    let log = store.read(room, Range::After(0), 1000).await.expect("a page").entries;
    for follower in followers {
        assert_eq!(within("a follower", follower).await.expect("a task"), log);
    }
}

async fn joining_in_the_middle_of_a_flood_misses_and_repeats_nothing(log: RoomLog) {
    let store = log.fresh().await;
    let room = Uuid::now_v7();
    let writer = Arc::clone(&store);
    let flood = tokio::spawn(async move { fill(&*writer, room, 400).await });
    for since in [0_u64, 20, 60, 120] {
        while store.head(room).await.expect("a head").seq < since {}
        // Subscribe first, then read, then merge.
        let mut live = store.subscribe(room).await.expect("a subscription");
        let page = store.read(room, Range::After(since), 1000).await.expect("a page");
        let mut seen = seqs(&page.entries);
        let read_to = Position { seq: seen.last().copied().unwrap_or(since), ..page.head };
        seen.extend(seqs(&follow(&*store, room, &mut live, read_to, 400).await));
        assert_eq!(seen, (since + 1..=400).collect::<Vec<_>>(), "{since}");
    }
    flood.await.expect("a task");
}

async fn a_subscriber_that_fell_behind_is_told_to_check_and_misses_nothing(log: RoomLog) {
    let store = log.fresh().await;
    let room = Uuid::now_v7();
    let start = store.head(room).await.expect("a head");
    let mut live = store.subscribe(room).await.expect("a subscription");
    fill(&*store, room, 1100).await;
    let mut other = store.subscribe(room).await.expect("a subscription");
    store.append(room, message(Uuid::now_v7(), "last", "끝")).await.expect("appended");
    // Once a newer subscriber has the last entry, perhaps after one that was still on its way, the older one's buffer has overflowed.
    while next_entry(&mut other).await.seq < 1101 {}
    assert_eq!(next(&mut live).await, Signal::Check);
    let mut live = store.subscribe(room).await.expect("a subscription");
    store.append(room, message(Uuid::now_v7(), "more", "더")).await.expect("appended");
    let seen = seqs(&follow(&*store, room, &mut live, start, 1102).await);
    assert_eq!(seen, (1..=1102).collect::<Vec<_>>());
}

async fn changes_of_members_reach_every_subscriber(log: RoomLog) {
    let store = log.fresh().await;
    let (room, user) = (Uuid::now_v7(), Uuid::now_v7());
    let mut one = store.subscribe(room).await.expect("a subscription");
    let mut other = store.subscribe(room).await.expect("a subscription");
    for change in [Change::Joined, Change::Host, Change::Removed, Change::Left] {
        store.append(room, member(user, change, Uuid::now_v7())).await.expect("appended");
        for live in [&mut one, &mut other] {
            let Body::Member { user: who, change: what } = next_entry(live).await.parse().expect("an entry").body
            else {
                panic!("not a change of members")
            };
            assert_eq!((who.id, what), (user, change));
        }
    }
}

async fn rooms_do_not_hear_each_other_and_one_can_be_left_and_entered_again(log: RoomLog) {
    let store = log.fresh().await;
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
    let mut live = store.subscribe(one).await.expect("a subscription");
    for round in 1..=20_u64 {
        fill(&*store, other, 1).await;
        fill(&*store, one, 1).await;
        assert_eq!(next_entry(&mut live).await.seq, round);
        drop(live);
        live = store.subscribe(one).await.expect("a subscription");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_another_gateway_arrives() {
    let (one, other) = (testing::redis_rooms().await, testing::redis_rooms().await);
    let room = Uuid::now_v7();
    let mut live = one.subscribe(room).await.expect("subscribe");
    let appended = other.append(room, message(Uuid::now_v7(), "n", "건너편")).await.expect("append");
    let Signal::Entry { epoch, entry } = next(&mut live).await else { panic!("not an entry") };
    assert_eq!(Position { epoch, seq: entry.seq }, appended.position);
    let stored = one.read(room, Range::Latest, 1).await.expect("read").entries;
    assert_eq!(stored, [entry]);
}

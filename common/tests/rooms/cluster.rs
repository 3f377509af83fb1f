//! A real Redis Cluster: rooms in the slots of every master, a master that dies, and slots that move.

use std::{collections::HashSet, sync::Arc, time::Duration};

use common::{
    config::SecretUrl,
    rooms::{Range, RoomError, RoomStore, Signal, redis::RedisRooms},
};
use loadtest::servers::Cluster;
use testing::Database;
use tokio::time::Instant;
use uuid::Uuid;

use super::{fill, message, next, next_entry, person, seqs, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_serves_every_room_and_survives_the_death_of_a_master() {
    let mut cluster = Cluster::start().await.expect("a cluster");
    let url = SecretUrl::new(cluster.url());
    let here = Arc::new(testing::redis_rooms_at(url.clone(), Database::Sqlite.fresh().await).await);
    let there = testing::redis_rooms_at(url, Database::Sqlite.fresh().await).await;
    let rooms: Vec<Uuid> = (0..24).map(|_| Uuid::now_v7()).collect();
    let mut streams = Vec::new();
    for room in &rooms {
        let mut live = here.subscribe(*room).await.expect("subscribe");
        fill(&there, *room, 3).await;
        let entered = there.enter(*room, &person(Uuid::now_v7()), Uuid::now_v7()).await.expect("enter");
        assert_eq!(entered.online, 1);
        for seq in 1..=3_u64 {
            assert_eq!(next_entry(&mut live).await.seq, seq);
        }
        streams.push(live);
    }
    let epochs: HashSet<_> = futures_util::future::join_all(rooms.iter().map(|room| here.head(*room)))
        .await
        .into_iter()
        .map(|head| head.expect("head").epoch)
        .collect();
    assert_eq!(epochs.len(), rooms.len());

    cluster.kill_master(0).await.expect("kill");
    // Every room takes a message again, once, although it is sent again and again until it is acknowledged.
    let author = Uuid::now_v7();
    for room in &rooms {
        let draft = message(author, "after", "다시");
        within("an append", async {
            while here.append(*room, draft.clone()).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        })
        .await;
        let page = there_reads(&there, *room).await;
        assert_eq!(page, [1, 2, 3, 4]);
    }
    within("health", async {
        while here.health().await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    // The live stream of every room runs again.
    for (room, live) in rooms.iter().zip(&mut streams) {
        within("an entry", async {
            let mut nonce = 0;
            loop {
                there.append(*room, message(author, &format!("live-{nonce}"), "x")).await.expect("append");
                nonce += 1;
                if matches!(next(live).await, Signal::Entry { entry, .. } if entry.seq > 4) {
                    return;
                }
            }
        })
        .await;
    }
}

async fn there_reads(there: &dyn RoomStore, room: Uuid) -> Vec<u64> {
    within("a page", async {
        loop {
            if let Ok(page) = there.read(room, Range::Latest, 10).await {
                return seqs(&page.entries);
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await
}

/// A command for a room that is well takes no longer.
const AT_ONCE: Duration = Duration::from_secs(1);

async fn rooms_on(cluster: &Cluster) -> RedisRooms {
    testing::redis_rooms_at(SecretUrl::new(cluster.url()), Database::Sqlite.fresh().await).await
}

/// Rooms that have `count` messages each, and who wrote them.
async fn written_rooms(store: &RedisRooms, rooms: usize, count: u64) -> Vec<(Uuid, Uuid)> {
    let mut written = Vec::new();
    for _ in 0..rooms {
        let room = Uuid::now_v7();
        written.push((room, fill(store, room, count).await));
    }
    written
}

/// Appends to each room: none may fail, nor take long.
async fn all_take_a_message(store: &RedisRooms, rooms: &[(Uuid, Uuid)], nonce: &str) {
    let since = Instant::now();
    let appends = rooms.iter().map(|(room, author)| store.append(*room, message(*author, nonce, "x")));
    for outcome in futures_util::future::join_all(appends).await {
        outcome.expect("an append to a room that is well");
    }
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_whose_keys_have_moved_ahead_of_its_slot_is_served_and_no_other_room_notices() {
    let cluster = Cluster::start_without_replicas().await.expect("a cluster");
    let store = rooms_on(&cluster).await;
    let rooms = written_rooms(&store, 12, 3).await;
    let ((moving, author), others) = (rooms[0], &rooms[1..]);
    let (slot, from) = cluster.slot_of(&moving.to_string()).await.expect("a slot");
    let to = (from + 1) % 3;
    cluster.open_slot(slot, from, to).await.expect("an open slot");
    cluster.move_keys(slot, "", from, to).await.expect("moved");
    for round in 1..=4_u64 {
        let nonce = format!("ask-{round}");
        let appended = store.append(moving, message(author, &nonce, "x")).await.expect("followed");
        assert_eq!(appended.position.seq, 3 + round);
        assert_eq!(seqs(&store.read(moving, Range::Latest, 2).await.expect("read").entries), [2 + round, 3 + round]);
        all_take_a_message(&store, others, &nonce).await;
    }
    cluster.assign_slot(slot, to).await.expect("assigned");
    all_take_a_message(&store, &rooms, "after").await;
    assert_eq!(seqs(&store.read(moving, Range::Latest, 10).await.expect("read").entries), [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_is_torn_in_two_is_unavailable_for_that_long_and_no_other_room_notices() {
    let cluster = Cluster::start_without_replicas().await.expect("a cluster");
    let store = rooms_on(&cluster).await;
    let rooms = written_rooms(&store, 12, 3).await;
    let ((torn, author), others) = (rooms[0], &rooms[1..]);
    let (slot, from) = cluster.slot_of(&torn.to_string()).await.expect("a slot");
    let to = (from + 1) % 3;
    cluster.open_slot(slot, from, to).await.expect("an open slot");
    cluster.move_keys(slot, ":log", from, to).await.expect("moved");
    for round in 1..=2 {
        let since = Instant::now();
        let outcome = store.append(torn, message(author, "torn", "x")).await;
        assert!(matches!(outcome, Err(RoomError::Unavailable(_))), "{outcome:?}");
        assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
        all_take_a_message(&store, others, &format!("torn-{round}")).await;
    }
    // What waits when the last key arrives is served then.
    let (waits, moved) = tokio::join!(store.append(torn, message(author, "torn", "x")), async {
        cluster.move_keys(slot, "", from, to).await?;
        cluster.assign_slot(slot, to).await
    });
    moved.expect("moved");
    assert_eq!(waits.expect("an append").position.seq, 4);
    all_take_a_message(&store, &rooms, "after").await;
}

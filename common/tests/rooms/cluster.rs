//! A real Redis Cluster: rooms in the slots of every master, a master that dies, and slots that move.

use std::{collections::HashSet, sync::Arc, time::Duration};

use common::{
    config::SecretUrl,
    rooms::{Health, Range, RoomError, RoomStore, Signal, Subscription, redis::RedisRooms},
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
        while here.health().await != Health::Ok {
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

/// Rooms in slots of their own (the last byte of an id says which), with `count` messages each, and who wrote them.
async fn written_rooms(store: &RedisRooms, rooms: usize, count: u64) -> Vec<(Uuid, Uuid)> {
    let mut written: Vec<(Uuid, Uuid)> = Vec::new();
    while written.len() < rooms {
        let room = Uuid::now_v7();
        if written.iter().all(|(other, _)| other.as_bytes()[15] != room.as_bytes()[15]) {
            written.push((room, fill(store, room, count).await));
        }
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
    let enters = async |online: u64| {
        let entered = store.enter(moving, &person(Uuid::now_v7()), Uuid::now_v7()).await.expect("entered");
        assert_eq!(entered.online, online);
    };
    enters(1).await;
    cluster.open_slot(slot, from, to).await.expect("an open slot");
    enters(2).await;
    cluster.move_keys(slot, "", from, to).await.expect("moved");
    enters(3).await;
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

/// Appends to every room until the entry itself is heard, and not only that the log is to be read.
async fn all_are_heard(there: &RedisRooms, rooms: &[(Uuid, Uuid)], streams: &mut [Subscription], mark: &str) {
    for ((room, author), live) in rooms.iter().zip(streams) {
        within(mark, async {
            for round in 0.. {
                let appended = there.append(*room, message(*author, &format!("{mark}-{round}"), "x")).await;
                let Ok(appended) = appended else { continue };
                let heard = async {
                    loop {
                        match live.next().await {
                            Some(Signal::Entry { entry, .. }) if entry.seq == appended.position.seq => return,
                            _ => {}
                        }
                    }
                };
                if tokio::time::timeout(Duration::from_millis(200), heard).await.is_ok() {
                    return;
                }
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moves_is_heard_on_its_way_and_after() {
    let cluster = Cluster::start_without_replicas().await.expect("a cluster");
    let (here, there) = (rooms_on(&cluster).await, rooms_on(&cluster).await);
    let rooms = written_rooms(&there, 6, 2).await;
    let mut streams = Vec::new();
    for (room, _) in &rooms {
        streams.push(here.subscribe(*room).await.expect("subscribe"));
    }
    let (slot, from) = cluster.slot_of(&rooms[0].0.to_string()).await.expect("a slot");
    let to = (from + 1) % 3;
    cluster.open_slot(slot, from, to).await.expect("an open slot");
    all_are_heard(&there, &rooms, &mut streams, "open").await;
    cluster.move_keys(slot, "", from, to).await.expect("moved");
    // From now on entries are published where the keys are, and not where the slot is.
    let ahead = there.append(rooms[0].0, message(rooms[0].1, "ahead", "x")).await.expect("an append");
    within("the entry, or that the log is to be read", async {
        loop {
            match streams[0].next().await {
                Some(Signal::Check) => return,
                Some(Signal::Entry { entry, .. }) if entry.seq >= ahead.position.seq => return,
                _ => {}
            }
        }
    })
    .await;
    all_are_heard(&there, &rooms, &mut streams, "moved").await;
    cluster.assign_slot(slot, to).await.expect("assigned");
    all_are_heard(&there, &rooms, &mut streams, "assigned").await;
    let late = here.subscribe(rooms[0].0).await.expect("subscribe");
    all_are_heard(&there, &rooms[..1], &mut [late], "late").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planned_failover_is_followed_though_the_old_master_lives_on() {
    let cluster = Cluster::start().await.expect("a cluster");
    let store = rooms_on(&cluster).await;
    let rooms = written_rooms(&store, 6, 1).await;
    let mut streams = Vec::new();
    for (room, _) in &rooms {
        streams.push(store.subscribe(*room).await.expect("subscribe"));
    }
    for master in 0..3 {
        cluster.fail_over(master).await.expect("a failover");
        all_are_heard(&store, &rooms, &mut streams, &format!("failover-{master}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_without_a_replica_that_dies_takes_only_its_own_rooms() {
    let mut cluster = Cluster::start_without_replicas().await.expect("a cluster");
    let store = rooms_on(&cluster).await;
    let rooms = written_rooms(&store, 18, 1).await;
    let mut streams = Vec::new();
    let (mut lost, mut kept) = (Vec::new(), Vec::new());
    for (room, author) in rooms {
        let (_, master) = cluster.slot_of(&room.to_string()).await.expect("a slot");
        if master == 1 {
            lost.push((room, author));
        } else {
            streams.push(store.subscribe(room).await.expect("subscribe"));
            kept.push((room, author));
        }
    }
    assert!(!lost.is_empty() && !kept.is_empty());
    cluster.kill(1).await.expect("killed");
    for round in 0..5 {
        let since = Instant::now();
        let outcome = store.append(lost[0].0, message(lost[0].1, "lost", "x")).await;
        assert!(matches!(outcome, Err(RoomError::Unavailable(_))), "{outcome:?}");
        assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
        all_take_a_message(&store, &kept, &format!("kept-{round}")).await;
    }
    let degraded = within("the degraded health", async {
        loop {
            if let Health::Degraded(why) = store.health().await {
                return why;
            }
        }
    })
    .await;
    let dead = format!("127.0.0.1:{}", cluster.masters()[1].port());
    assert!(degraded.contains("of 256 partitions") && degraded.contains(&dead), "{degraded}");
    // Whoever comes is let in, also if the dead master is the one that counts their connections.
    for _ in 0..12 {
        assert!(store.admit(Uuid::now_v7(), Uuid::now_v7(), 3).await.expect("let in"));
    }
    all_are_heard(&store, &kept, &mut streams, "heard").await;
    store.subscribe(kept[0].0).await.expect("a new subscription");
    cluster.restart(1).await.expect("restarted");
    within("the lost rooms", async {
        while store.append(lost[0].0, message(lost[0].1, "lost", "x")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let mut streams = vec![
        within("a subscription", async {
            loop {
                if let Ok(live) = store.subscribe(lost[0].0).await {
                    return live;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await,
    ];
    all_are_heard(&store, &lost[..1], &mut streams, "back").await;
}

//! A real Redis Cluster: rooms in the slots of every master, and a master that dies.

use std::{collections::HashSet, sync::Arc};

use common::{
    config::SecretUrl,
    rooms::{Range, RoomStore, Signal},
};
use loadtest::servers::Cluster;
use testing::Database;
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

//! What leaves a list is in SQL before, and nobody notices.

use std::sync::Arc;

use common::{
    db::{Db, sql},
    rooms::{
        AppendError, Draft, Range, RoomError, RoomStore,
        redis::{RedisRooms, RedisSettings},
    },
};
use testing::Database;
use uuid::Uuid;
use wire::{Body, Role};

use super::{NOW, fill, message, person, place, seqs, texts};

testing::on_each_database!(
    pages_continue_in_the_archive,
    closing_for_good_among_appends_keeps_all_that_was_acknowledged,
);

/// A room log whose lists keep 20 entries.
async fn capped(db: &Db) -> RedisRooms {
    let settings = testing::redis_settings(testing::redis_url());
    testing::redis_rooms_with(RedisSettings { entries: 20, ..settings }, db.clone()).await
}

async fn archived(db: &Db, room: Uuid) -> i64 {
    let count = sql("SELECT COUNT(*) FROM room_entries WHERE room_id = ?").bind(room).scalar(db).await;
    count.expect("a count").unwrap_or(0)
}

async fn pages_continue_in_the_archive(database: Database) {
    let db = database.fresh().await;
    let store = capped(&db).await;
    let room = Uuid::now_v7();
    fill(&store, room, 150).await;
    let whole = store.read(room, Range::After(0), 1000).await.expect("read");
    assert_eq!(store.archive(room).await.expect("archive"), 130);
    assert_eq!(store.archive(room).await.expect("archive"), 0);
    assert_eq!(archived(&db, room).await, 130);
    assert_eq!(store.read(room, Range::After(0), 1000).await.expect("read"), whole);
    let seq = |from: u64, to: u64| (from..=to).collect::<Vec<_>>();
    for (range, limit, expected) in [
        (Range::After(0), 10, seq(1, 10)),
        (Range::After(125), 10, seq(126, 135)),
        (Range::After(129), 1, seq(130, 130)),
        (Range::After(130), 5, seq(131, 135)),
        (Range::After(149), 50, seq(150, 150)),
        (Range::After(150), 50, vec![]),
        (Range::Latest, 20, seq(131, 150)),
        (Range::Latest, 21, seq(130, 150)),
        (Range::Latest, 1000, seq(1, 150)),
        (Range::Before(151), 1000, seq(1, 150)),
        (Range::Before(132), 5, seq(127, 131)),
        (Range::Before(131), 3, seq(128, 130)),
        (Range::Before(10), 3, seq(7, 9)),
        (Range::Before(2), 3, seq(1, 1)),
        (Range::Before(1), 3, vec![]),
    ] {
        let page = store.read(room, range, limit).await.expect("read");
        assert_eq!(seqs(&page.entries), expected, "{range:?} {limit}");
        assert_eq!(page.head, whole.head, "{range:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_storing_and_trimming_changes_nothing() {
    let db = Database::Sqlite.fresh().await;
    let store = capped(&db).await;
    let room = Uuid::now_v7();
    let author = fill(&store, room, 60).await;
    let epoch = store.head(room).await.expect("head").epoch;
    // As a process left it that crashed before it trimmed: stored, and still in the list, where an edit changes it.
    for entry in store.read(room, Range::After(0), 40).await.expect("read").entries {
        sql("INSERT INTO room_entries (room_id, epoch, seq, author_id, at, json) VALUES (?, ?, ?, ?, 0, ?)")
            .bind(room)
            .bind(epoch)
            .bind(entry.seq)
            .bind(author)
            .bind(&*entry.json)
            .run(&db)
            .await
            .expect("insert");
    }
    let body = Body::Edited { user: person(author), target: 5, text: "고침".to_owned() };
    let edit = Draft { author, role: Role::Member, nonce: None, at: NOW, body };
    store.append(room, edit).await.expect("edit");
    let before = store.read(room, Range::After(0), 100).await.expect("read");
    assert_eq!(texts(&before)[4], "고침");
    assert_eq!(store.archive(room).await.expect("archive"), 41);
    assert_eq!(store.read(room, Range::After(0), 100).await.expect("read"), before);
    assert_eq!(archived(&db, room).await, 41);
}

#[tokio::test(flavor = "multi_thread")]
async fn archiving_twice_at_once_among_appends_and_edits_loses_nothing() {
    let db = Database::MySql.fresh().await;
    let (one, other) = (Arc::new(capped(&db).await), Arc::new(capped(&db).await));
    let room = Uuid::now_v7();
    let author = fill(&*one, room, 60).await;
    let writer = Arc::clone(&one);
    let writing = tokio::spawn(async move {
        for n in 0..100_u64 {
            writer.append(room, message(author, &format!("more-{n}"), "x")).await.expect("append");
            let body = Body::Edited { user: person(author), target: n % 60 + 1, text: format!("고침 {n}") };
            let edit = Draft { author, role: Role::Member, nonce: None, at: NOW, body };
            writer.append(room, edit).await.expect("edit");
        }
    });
    while !writing.is_finished() {
        let (a, b) = tokio::join!(one.archive(room), other.archive(room));
        a.and(b).expect("archive");
    }
    writing.await.expect("the writer");
    one.archive(room).await.expect("archive");
    let page = other.read(room, Range::After(0), 1000).await.expect("read");
    assert_eq!(seqs(&page.entries), (1..=260).collect::<Vec<_>>());
    for target in 1..=60_u64 {
        let last = (0..100).filter(|n| n % 60 + 1 == target).max().expect("an edit");
        assert_eq!(texts(&page)[usize::try_from(target).expect("small") - 1], format!("고침 {last}"));
    }
    assert_eq!(archived(&db, room).await, 240);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_grows_is_archived_by_itself() {
    let db = Database::Sqlite.fresh().await;
    let store = capped(&db).await;
    let room = Uuid::now_v7();
    fill(&store, room, 500).await;
    super::within("the archive", async {
        // At 220 entries the list is cut back to 20, again and again.
        while archived(&db, room).await < 400 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let page = store.read(room, Range::After(0), 1000).await.expect("read");
    assert_eq!(seqs(&page.entries), (1..=500).collect::<Vec<_>>());
    let again = store.append(room, message(Uuid::now_v7(), "n", "끝")).await.expect("append");
    assert_eq!(place(again), (501, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_closed_for_good_leaves_redis() {
    let db = Database::Sqlite.fresh().await;
    let store = capped(&db).await;
    let room = Uuid::now_v7();
    fill(&store, room, 70).await;
    store.enter(room, &person(Uuid::now_v7()), Uuid::now_v7()).await.expect("enter");
    store.archive(room).await.expect("archive");
    let before = store.read(room, Range::After(0), 1000).await.expect("read");
    store.retire(room, NOW).await.expect("retire");
    assert_eq!(archived(&db, room).await, 70);
    assert_eq!(testing::lasting_redis_keys(room).await, Vec::<String>::new());
    assert_eq!(store.read(room, Range::After(0), 1000).await.expect("read"), before);
    // Another process finds the same.
    assert_eq!(capped(&db).await.read(room, Range::After(60), 5).await.expect("read").entries, before.entries[60..65]);
}

async fn closing_for_good_among_appends_keeps_all_that_was_acknowledged(database: Database) {
    let db = database.fresh().await;
    let stores = [Arc::new(capped(&db).await), Arc::new(capped(&db).await)];
    let room = Uuid::now_v7();
    fill(&*stores[0], room, 50).await;
    let writers = stores.clone().map(|store| {
        tokio::spawn(async move {
            let author = Uuid::now_v7();
            let mut said = Vec::new();
            for n in 0.. {
                match store.append(room, message(author, &format!("late-{n}"), &format!("{author} {n}"))).await {
                    Ok(appended) => said.push((appended.position.seq, format!("{author} {n}"))),
                    Err(RoomError::Refused(AppendError::RoomClosed)) => return said,
                    Err(error) => panic!("{error}"),
                }
            }
            said
        })
    });
    let closing = async {
        // Some of what is to be closed is said meanwhile; and two processes close at once.
        while stores[0].head(room).await.expect("head").seq < 60 {
            tokio::task::yield_now().await;
        }
        tokio::join!(stores[0].retire(room, NOW), stores[1].retire(room, NOW))
    };
    let (one, other) = super::within("closing", closing).await;
    one.and(other).expect("closed");
    let page = stores[0].read(room, Range::After(0), 1000).await.expect("read");
    let said = texts(&page);
    let mut count = 50;
    for writer in writers {
        for (seq, text) in super::within("a writer", writer).await.expect("a writer") {
            assert_eq!(said[usize::try_from(seq).expect("small") - 1], text);
            count += 1;
        }
    }
    assert_eq!(seqs(&page.entries), (1..=count).collect::<Vec<_>>());
    assert_eq!(testing::lasting_redis_keys(room).await, Vec::<String>::new());
}

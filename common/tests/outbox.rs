//! What SQL commits about a room reaches its log: once, in order, whatever happens in between.
#![expect(clippy::expect_used, reason = "tests")]

use std::sync::Arc;

use common::{
    config::SecretUrl,
    db::{Db, DbError, sql},
    ids::{Env, RandomIds},
    outbox::{Outbox, Relay},
    rooms::{Draft, Range, RoomStore, SYSTEM, sql::SqlRooms},
    time::{ManualClock, Timestamp},
    transaction,
};
use loadtest::servers::{Redis, Sync};
use testing::{Database, RoomLog};
use uuid::Uuid;
use wire::{Body, Change, Person, Role};

testing::on_each_room_log!(
    many_relays_at_once_tell_everything_once_in_order,
    a_crash_between_append_and_delete_repeats_nothing,
    what_is_rolled_back_is_never_told,
    what_can_never_be_told_is_given_up,
);

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn env() -> Env {
    Env { clock: Arc::new(ManualClock::new(NOW)), ids: Arc::new(RandomIds) }
}

/// A relay that nobody runs.
fn relay(db: &Db) -> Relay {
    Relay::new(db.clone(), Arc::new(SqlRooms::new(db.clone(), Arc::new(RandomIds))))
}

/// Someone joined: the nickname tells which entry it is.
fn joined(number: usize) -> Body {
    Body::Member { user: Person { id: Uuid::now_v7(), nickname: number.to_string() }, change: Change::Joined }
}

async fn put(db: &Db, room: Uuid, bodies: &[Body]) {
    let (env, relay) = (env(), relay(db));
    let outbox = Outbox::new(&env, &relay);
    transaction!(db, |tx| outbox.put(tx, room, bodies)).expect("put");
}

async fn waiting(db: &Db) -> i64 {
    sql("SELECT COUNT(*) FROM room_outbox").scalar(db).await.expect("a count").unwrap_or(0)
}

/// Who joined, by the log.
async fn logged(store: &dyn RoomStore, room: Uuid) -> Vec<String> {
    let page = store.read(room, Range::After(0), 1000).await.expect("read");
    let name = |entry: &common::rooms::RawEntry| match entry.parse().expect("an entry").body {
        Body::Member { user, .. } => user.nickname,
        other => format!("{other:?}"),
    };
    page.entries.iter().map(name).collect()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

async fn many_relays_at_once_tell_everything_once_in_order(log: RoomLog) {
    let (store, db) = log.fresh_with_database().await;
    let rooms = [Uuid::now_v7(), Uuid::now_v7()];
    let bodies: Vec<Body> = (0..200).map(joined).collect();
    for chunk in bodies.chunks(40) {
        for room in rooms {
            put(&db, room, chunk).await;
        }
    }
    let relays: Vec<Relay> = (0..3).map(|_| Relay::new(db.clone(), Arc::clone(&store))).collect();
    for outcome in futures_util::future::join_all(relays.iter().map(Relay::drain)).await {
        outcome.expect("drained");
    }
    for room in rooms {
        assert_eq!(logged(&*store, room).await, numbers(0..200));
    }
    assert_eq!(waiting(&db).await, 0);
}

async fn a_crash_between_append_and_delete_repeats_nothing(log: RoomLog) {
    let (store, db) = log.fresh_with_database().await;
    let room = Uuid::now_v7();
    put(&db, room, &(0..10).map(joined).collect::<Vec<_>>()).await;
    // As a process left it that crashed after its sixth append.
    let rows: Vec<(Uuid, String)> =
        sql("SELECT id, body FROM room_outbox ORDER BY position LIMIT 6").all(&db).await.expect("rows");
    for (id, body) in rows {
        let body = serde_json::from_str(&body).expect("a body");
        let draft = Draft { author: SYSTEM, role: Role::Host, nonce: Some(id.to_string()), at: NOW, body };
        store.append(room, draft).await.expect("append");
    }
    Relay::new(db.clone(), Arc::clone(&store)).drain().await.expect("drained");
    assert_eq!(logged(&*store, room).await, numbers(0..10));
}

async fn what_is_rolled_back_is_never_told(log: RoomLog) {
    let (_, db) = log.fresh_with_database().await;
    let (env, relay, body) = (env(), relay(&db), [joined(1)]);
    let outbox = Outbox::new(&env, &relay);
    let change = async |tx: &mut common::db::Tx| {
        outbox.put(tx, Uuid::now_v7(), &body).await?;
        Err::<(), _>(DbError::Unavailable("on purpose".to_owned()))
    };
    transaction!(db, |tx| change(tx)).expect_err("rolled back");
    assert_eq!(waiting(&db).await, 0);
}

async fn what_can_never_be_told_is_given_up(log: RoomLog) {
    let (store, db) = log.fresh_with_database().await;
    let [closed, damaged, open] = [Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()];
    store.retire(closed, NOW).await.expect("retired");
    put(&db, closed, &[joined(0)]).await;
    put(&db, damaged, &[joined(0), joined(1)]).await;
    let first: Option<i64> = sql("SELECT MIN(position) FROM room_outbox WHERE room_id = ?")
        .bind(damaged)
        .scalar(&db)
        .await
        .expect("a value");
    sql("UPDATE room_outbox SET body = '{' WHERE position = ?").bind(first).run(&db).await.expect("damage");
    put(&db, open, &[joined(0)]).await;
    Relay::new(db.clone(), Arc::clone(&store)).drain().await.expect("drained");
    assert_eq!(logged(&*store, closed).await, numbers(0..0));
    assert_eq!(logged(&*store, damaged).await, numbers(1..2));
    assert_eq!(logged(&*store, open).await, numbers(0..1));
    assert_eq!(waiting(&db).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_cannot_be_told_now_waits_and_no_other_room_does() {
    let redis = Redis::start(Sync::EverySecond).await.expect("a Redis of this test");
    let db = Database::Sqlite.fresh().await;
    let store: Arc<dyn RoomStore> = Arc::new(testing::redis_rooms_at(SecretUrl::new(redis.url()), db.clone()).await);
    let relay = Relay::new(db.clone(), Arc::clone(&store));
    let [broken, open] = [Uuid::now_v7(), Uuid::now_v7()];
    store.read(broken, Range::Latest, 0).await.expect("a log");
    let key = redis.key(&format!("mz:*{broken}:meta")).await.expect("a key");
    // A key of the wrong type: every command on this room fails.
    assert_eq!(redis.command(&format!("SET {key} x")).await.expect("set").trim_end(), "+OK");
    for number in 0..100 {
        put(&db, broken, &[joined(number)]).await;
    }
    put(&db, open, &(0..100).map(joined).collect::<Vec<_>>()).await;
    relay.drain().await.expect_err("one room is broken");
    assert_eq!(logged(&*store, open).await, numbers(0..100));
    assert_eq!(waiting(&db).await, 100);
    assert_eq!(redis.command(&format!("DEL {key}")).await.expect("deleted").trim_end(), ":1");
    relay.drain().await.expect("repaired");
    assert_eq!(logged(&*store, broken).await, numbers(0..100));
    assert_eq!(waiting(&db).await, 0);
}

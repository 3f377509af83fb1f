//! Redis gone, slow, silent, restarted, emptied.

use std::{sync::Arc, time::Duration};

use common::{
    config::SecretUrl,
    rooms::{Health, NONCE_WINDOW, Range, RoomError, RoomStore, Signal, Subscription, redis::RedisRooms},
};
use loadtest::{
    proxy::{Proxy, Which},
    servers::{Redis, Sync},
};
use testing::Database;
use tokio::time::Instant;
use uuid::Uuid;

use super::{PATIENCE, fill, message, next, place, seqs, texts, within};

/// How soon a silent stream must be noticed, and a recovered Redis used again.
const SOON: Duration = Duration::from_secs(5);

async fn own_redis() -> Redis {
    Redis::start(Sync::Always).await.expect("a Redis of this test")
}

async fn rooms_at(url: &str) -> RedisRooms {
    testing::redis_rooms_at(SecretUrl::new(url), Database::Sqlite.fresh().await).await
}

/// Waits until the store says that it is healthy, or is not, and returns how long that took.
async fn until_health(store: &dyn RoomStore, healthy: bool) -> Duration {
    let since = Instant::now();
    while (store.health().await == Health::Ok) != healthy {
        assert!(since.elapsed() < PATIENCE, "health does not become {healthy}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    since.elapsed()
}

async fn next_check(live: &mut Subscription) {
    while next(live).await != Signal::Check {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_killed_and_restarted_lost_nothing_and_keeps_its_epoch() {
    let mut redis = own_redis().await;
    let store = rooms_at(&redis.url()).await;
    let room = Uuid::now_v7();
    let author = fill(&store, room, 10).await;
    let before = store.read(room, Range::Latest, 10).await.expect("read");
    let mut live = store.subscribe(room).await.expect("subscribe");
    redis.kill().await.expect("kill");
    until_health(&store, false).await;
    // Nothing waits in line for a server that is gone.
    let since = Instant::now();
    let many = (0..500).map(|n| store.append(room, message(author, &format!("gone-{n}"), "x")));
    for outcome in futures_util::future::join_all(many).await {
        assert!(matches!(outcome, Err(RoomError::Unavailable(_))), "{outcome:?}");
    }
    assert!(matches!(store.read(room, Range::Latest, 1).await, Err(RoomError::Unavailable(_))));
    assert!(store.subscribe(Uuid::now_v7()).await.is_err());
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
    redis.restart().await.expect("restart");
    let took = until_health(&store, true).await;
    assert!(took < SOON, "{took:?}");
    next_check(&mut live).await;
    assert_eq!(store.read(room, Range::Latest, 10).await.expect("read"), before);
    let again = store.append(room, message(author, "fill-10", "10")).await.expect("append");
    assert_eq!(place(again), (10, true));
    store.append(room, message(author, "new", "다시")).await.expect("append");
    let Signal::Entry { epoch, entry } = next(&mut live).await else { panic!("not an entry") };
    assert_eq!((epoch, entry.seq), (before.head.epoch, 11));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_stops_in_its_tracks_delays_nobody_for_longer_than_the_limit() {
    let redis = own_redis().await;
    let store = rooms_at(&redis.url()).await;
    let room = Uuid::now_v7();
    let author = fill(&store, room, 1).await;
    let mut live = store.subscribe(room).await.expect("subscribe");
    redis.pause().expect("pause");
    let since = Instant::now();
    let outcome = store.append(room, message(author, "stuck", "x")).await;
    assert!(matches!(outcome, Err(RoomError::Unavailable(_))), "{outcome:?}");
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
    redis.resume().expect("resume");
    let took = until_health(&store, true).await;
    assert!(took < SOON, "{took:?}");
    // Whether the first attempt took effect was unknown; repeating it is safe either way.
    let again = store.append(room, message(author, "stuck", "x")).await.expect("append");
    assert_eq!(again.position.seq, 2);
    store.append(room, message(author, "next", "y")).await.expect("append");
    assert_eq!(seqs(&store.read(room, Range::Latest, 10).await.expect("read").entries), [1, 2, 3]);
    while !matches!(next(&mut live).await, Signal::Entry { entry, .. } if entry.seq == 3) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_stream_that_is_cut_comes_back_and_misses_nothing() {
    let redis = own_redis().await;
    let proxy = Proxy::start(([127, 0, 0, 1], redis.port()).into()).await.expect("a proxy");
    let store = rooms_at(&format!("redis://{}", proxy.address())).await;
    let direct = rooms_at(&redis.url()).await;
    let room = Uuid::now_v7();
    let mut live = store.subscribe(room).await.expect("subscribe");
    let mut changes = store.session_changes();
    for round in 1..=3_u64 {
        proxy.cut(Which::Subscribers);
        assert_eq!(within("a change", changes.next()).await, Some(common::rooms::SessionChange::Anyone));
        until_health(&store, true).await;
        direct.append(room, message(Uuid::now_v7(), "n", "x")).await.expect("append");
        while !matches!(next(&mut live).await, Signal::Entry { entry, .. } if entry.seq == round) {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_stream_that_goes_silent_is_noticed_and_made_anew() {
    let redis = own_redis().await;
    let proxy = Proxy::start(([127, 0, 0, 1], redis.port()).into()).await.expect("a proxy");
    let store = rooms_at(&format!("redis://{}", proxy.address())).await;
    let room = Uuid::now_v7();
    let mut live = store.subscribe(room).await.expect("subscribe");
    proxy.freeze(Which::Subscribers, true);
    let noticed = until_health(&store, false).await;
    assert!(noticed <= SOON, "{noticed:?}");
    // Commands go on meanwhile; what they append is not heard.
    store.append(room, message(Uuid::now_v7(), "unheard", "x")).await.expect("append");
    proxy.freeze(Which::Subscribers, false);
    let restored = until_health(&store, true).await;
    assert!(restored <= SOON, "{restored:?}");
    // Either the entry was only late, or the stream was made anew and the log is to be read.
    match next(&mut live).await {
        Signal::Check => {}
        signal => assert!(matches!(&signal, Signal::Entry { entry, .. } if entry.seq == 1), "{signal:?}"),
    }
    assert_eq!(store.head(room).await.expect("head").seq, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn once_the_stream_is_whole_again_every_room_is_heard() {
    let redis = own_redis().await;
    let proxy = Proxy::start(([127, 0, 0, 1], redis.port()).into()).await.expect("a proxy");
    let store = rooms_at(&format!("redis://{}", proxy.address())).await;
    let direct = rooms_at(&redis.url()).await;
    let rooms: Vec<Uuid> = (0..3_000).map(|_| Uuid::now_v7()).collect();
    let mut streams =
        futures_util::future::try_join_all(rooms.iter().map(|room| store.subscribe(*room))).await.expect("subscribed");
    for round in 1..=3_u64 {
        proxy.cut(Which::Subscribers);
        until_health(&store, false).await;
        until_health(&store, true).await;
        // Entries that are appended from now on are signalled themselves.
        let author = Uuid::now_v7();
        for rooms in rooms.chunks(100) {
            let appends = rooms.iter().map(|room| direct.append(*room, message(author, &format!("{round}"), "x")));
            futures_util::future::try_join_all(appends).await.expect("appended");
        }
        for live in &mut streams {
            while !matches!(next(live).await, Signal::Entry { entry, .. } if entry.seq == round) {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_are_cut_do_not_cut_the_live_stream() {
    let redis = own_redis().await;
    let proxy = Proxy::start(([127, 0, 0, 1], redis.port()).into()).await.expect("a proxy");
    let store = rooms_at(&format!("redis://{}", proxy.address())).await;
    let direct = rooms_at(&redis.url()).await;
    let room = Uuid::now_v7();
    let mut live = store.subscribe(room).await.expect("subscribe");
    proxy.cut(Which::Commands);
    direct.append(room, message(Uuid::now_v7(), "n", "x")).await.expect("append");
    assert!(matches!(next(&mut live).await, Signal::Entry { entry, .. } if entry.seq == 1));
    until_health(&store, true).await;
    let appended = store.append(room, message(Uuid::now_v7(), "n", "y")).await.expect("append");
    assert_eq!(place(appended), (2, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_answer_nothing_while_new_ones_do_are_replaced() {
    let redis = own_redis().await;
    let proxy = Proxy::start(([127, 0, 0, 1], redis.port()).into()).await.expect("a proxy");
    let store = rooms_at(&format!("redis://{}", proxy.address())).await;
    let room = Uuid::now_v7();
    let author = fill(&store, room, 1).await;
    proxy.strand(Which::Commands);
    let since = Instant::now();
    let many = (0..20).map(|n| store.append(room, message(author, &format!("stranded-{n}"), "x")));
    for outcome in futures_util::future::join_all(many).await {
        assert!(matches!(outcome, Err(RoomError::Unavailable(_))), "{outcome:?}");
    }
    while store.append(room, message(author, "again", "x")).await.is_err() {}
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_redis_begins_a_new_log_and_mixes_in_nothing_of_the_old() {
    let redis = own_redis().await;
    let settings = testing::redis_settings(SecretUrl::new(redis.url()));
    let db = Database::Sqlite.fresh().await;
    let store = testing::redis_rooms_with(common::rooms::redis::RedisSettings { entries: 10, ..settings }, db).await;
    let room = Uuid::now_v7();
    fill(&store, room, 60).await;
    assert_eq!(store.archive(room).await.expect("archive"), 50);
    let old = store.head(room).await.expect("head");
    let mut live = store.subscribe(room).await.expect("subscribe");
    assert_eq!(redis.command("FLUSHALL").await.expect("flush").trim_end(), "+OK");
    let first = store.append(room, message(Uuid::now_v7(), "new", "새 기록")).await.expect("append");
    assert_ne!(first.position.epoch, old.epoch);
    assert_eq!(first.position.seq, 1);
    assert!(matches!(next(&mut live).await, Signal::Entry { epoch, .. } if epoch == first.position.epoch));
    for range in [Range::Latest, Range::After(0), Range::Before(50)] {
        let page = store.read(room, range, 100).await.expect("read");
        assert_eq!((page.head, texts(&page)), (first.position, vec!["새 기록".to_owned()]), "{range:?}");
    }
    fill(&store, room, 39).await;
    assert_eq!(store.archive(room).await.expect("archive"), 30);
    let page = store.read(room, Range::After(0), 100).await.expect("read");
    assert_eq!(seqs(&page.entries), (1..=40).collect::<Vec<_>>());
    assert_eq!(texts(&page)[0], "새 기록");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_is_forgotten_by_the_clock_of_redis() {
    let redis = own_redis().await;
    let store = rooms_at(&redis.url()).await;
    let room = Uuid::now_v7();
    let author = fill(&store, room, 1).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let window = NONCE_WINDOW.as_secs();
    for (noted, expected) in [(now - window + 10, (1, true)), (now - window - 10, (2, false))] {
        let key = redis.key(&format!("mz:*{room}:nonces:{author}")).await.expect("a key");
        let set = format!("HSET {key} fill-1 \"1 {} {noted}\"", super::NOW.millis());
        assert_eq!(redis.command(&set).await.expect("set").trim_end(), ":0");
        let again = store.append(room, message(author, "fill-1", "다시")).await.expect("append");
        assert_eq!(place(again), expected);
    }
    let again = store.append(room, message(author, "fill-1", "또다시")).await.expect("append");
    assert_eq!(place(again), (2, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_not_there_is_a_clear_error_in_time() {
    let since = Instant::now();
    let port = loadtest::servers::free_port().expect("a port");
    let settings = testing::redis_settings(SecretUrl::new(format!("redis://127.0.0.1:{port}")));
    let db = Database::Sqlite.fresh().await;
    let outcome = RedisRooms::connect(settings, db, Arc::new(common::ids::RandomIds)).await;
    assert!(matches!(outcome.err(), Some(RoomError::Unavailable(_))));
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_answers_and_takes_no_writes_is_red_and_says_why() {
    let redis = own_redis().await;
    let proxy = Proxy::start(([127, 0, 0, 1], redis.port()).into()).await.expect("a proxy");
    let store = rooms_at(&format!("redis://{}", proxy.address())).await;
    let room = Uuid::now_v7();
    let author = fill(&store, room, 1).await;
    let nowhere = loadtest::servers::free_port().expect("a port");
    let read_only = format!("REPLICAOF 127.0.0.1 {nowhere}");
    for (breaks, repairs, says) in [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "OOM"),
        ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0", "NOREPLICAS"),
        ("ACL SETUSER default -evalsha -eval", "ACL SETUSER default +evalsha +eval", "NOPERM"),
        (read_only.as_str(), "REPLICAOF NO ONE", "READONLY"),
    ] {
        let connections = proxy.accepted();
        assert_eq!(redis.command(breaks).await.expect(breaks).trim_end(), "+OK");
        let noticed = until_health(&store, false).await;
        assert!(noticed < SOON, "{breaks}: {noticed:?}");
        let Health::Down(why) = store.health().await else { panic!("{breaks}: not down") };
        assert!(why.starts_with(says), "{breaks}: {why}");
        let outcome = store.append(room, message(author, breaks, "x")).await;
        assert!(matches!(&outcome, Err(RoomError::Unavailable(why)) if why.starts_with(says)), "{breaks}: {outcome:?}");
        // Behind a name that leads to another server after a failover, only a new connection gets there.
        if says == "READONLY" {
            within("a new connection", async { while proxy.accepted() == connections {} }).await;
        }
        assert_eq!(redis.command(repairs).await.expect(repairs).trim_end(), "+OK");
        let restored = until_health(&store, true).await;
        assert!(restored < SOON, "{repairs}: {restored:?}");
        store.append(room, message(author, breaks, "x")).await.expect("an append");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_url_says_as_whom_and_a_refusal_says_why() {
    let redis = own_redis().await;
    let user = "ACL SETUSER mina on >se:cret ~mz:* &mz:* +@all";
    assert_eq!(redis.command(user).await.expect("a user").trim_end(), "+OK");
    assert_eq!(redis.command("ACL SETUSER default off").await.expect("no default").trim_end(), "+OK");
    let at = format!("127.0.0.1:{}", redis.port());
    let store = rooms_at(&format!("redis://mina:se%3Acret@{at}")).await;
    let room = Uuid::now_v7();
    let mut live = store.subscribe(room).await.expect("subscribe");
    fill(&store, room, 1).await;
    assert!(matches!(next(&mut live).await, Signal::Entry { entry, .. } if entry.seq == 1));
    for url in [format!("redis://mina:wrong@{at}"), format!("redis://{at}")] {
        let settings = testing::redis_settings(SecretUrl::new(url));
        let db = Database::Sqlite.fresh().await;
        let outcome = RedisRooms::connect(settings, db, Arc::new(common::ids::RandomIds)).await;
        let error = outcome.err().expect("refused").to_string();
        assert!(error.contains("WRONGPASS") || error.contains("NOAUTH"), "{error}");
        assert!(!error.contains("wrong@"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_too_old_is_refused_in_plain_words() {
    for (answer, says) in [
        (
            "%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n6.2.5\r\n",
            "the server is Redis 6.2.5; version 7",
        ),
        (
            "-ERR unknown command `HELLO`, with args beginning with: `3`, \r\n",
            "the server is Redis 5 or older; version 7",
        ),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = tokio::spawn(async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut question = [0; 256];
                if socket.read(&mut question).await.is_ok_and(|length| length > 0) {
                    drop(socket.write_all(answer.as_bytes()).await);
                }
            }
        });
        let settings = testing::redis_settings(SecretUrl::new(format!("redis://{address}")));
        let db = Database::Sqlite.fresh().await;
        let outcome = RedisRooms::connect(settings, db, Arc::new(common::ids::RandomIds)).await;
        let error = outcome.err().expect("refused").to_string();
        assert!(error.contains(says), "{error}");
        server.abort();
    }
}

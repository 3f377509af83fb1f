//! Who is there, what is said in passing, and how many connections a user has.

use std::sync::Arc;

use common::rooms::{Presence, RoomStore, SessionChange, Signal, Subscription};
use testing::RoomLog;
use uuid::Uuid;
use wire::{Ephemeral, Person};

use super::{fill, next, person, within};

testing::on_each_room_log!(
    people_are_counted_once_however_many_connections_they_have,
    read_marks_only_move_forward_and_never_beyond_the_log,
    what_is_said_in_passing_is_heard_and_not_stored,
    ended_sessions_are_heard_in_every_process,
    a_user_has_so_many_connections_and_no_more
);

async fn next_event(live: &mut Subscription) -> Ephemeral {
    loop {
        if let Signal::Ephemeral { event, json } = next(live).await {
            assert_eq!(serde_json::from_str::<Ephemeral>(&json).expect("json"), event);
            return event;
        }
    }
}

/// Each backend twice over: two gateways where there can be two, the same one otherwise.
async fn pairs(log: RoomLog) -> Vec<(Arc<dyn RoomStore>, Arc<dyn RoomStore>)> {
    let store = log.fresh().await;
    let mut pairs = vec![(Arc::clone(&store), store)];
    if log == RoomLog::Redis {
        pairs.push((RoomLog::Redis.fresh().await, RoomLog::Redis.fresh().await));
    }
    pairs
}

async fn people_are_counted_once_however_many_connections_they_have(log: RoomLog) {
    for (here, there) in pairs(log).await {
        let room = Uuid::now_v7();
        let (mina, jun) = (person(Uuid::now_v7()), Person { id: Uuid::now_v7(), nickname: "\"준\" 💪".into() });
        let (phone, laptop, other) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
        let mut live = here.subscribe(room).await.expect("a subscription");
        assert_eq!(here.enter(room, &mina, phone).await.expect("entered").online, 1);
        assert_eq!(there.enter(room, &mina, laptop).await.expect("entered").online, 1);
        assert_eq!(there.enter(room, &mina, laptop).await.expect("entered").online, 1);
        assert_eq!(there.enter(room, &jun, other).await.expect("entered").online, 2);
        let mut presence = here.presence(room, 10).await.expect("presence");
        presence.people.sort_by_key(|person| person.id);
        assert_eq!(presence, Presence { online: 2, people: vec![mina.clone(), jun.clone()] });
        assert_eq!(here.presence(room, 1).await.expect("presence").people.len(), 1);
        here.exit(room, mina.id, phone).await.expect("gone");
        assert_eq!(there.presence(room, 10).await.expect("presence").online, 2);
        there.exit(room, mina.id, laptop).await.expect("gone");
        there.exit(room, mina.id, laptop).await.expect("gone");
        assert_eq!(here.presence(room, 10).await.expect("presence"), Presence { online: 1, people: vec![jun.clone()] });
        for (online, joined, left) in [(1, Some(mina.clone()), None), (2, Some(jun), None), (1, None, Some(mina))] {
            let expected = Ephemeral::Presence { room, online, joined, left };
            assert_eq!(next_event(&mut live).await, expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_people_of_a_crashed_gateway_are_gone_in_time() {
    let (lives, crashes) = (testing::redis_rooms().await, testing::redis_rooms().await);
    let room = Uuid::now_v7();
    let (stays, goes) = (person(Uuid::now_v7()), person(Uuid::now_v7()));
    let mut live = lives.subscribe(room).await.expect("subscribe");
    lives.enter(room, &stays, Uuid::now_v7()).await.expect("enter");
    crashes.enter(room, &goes, Uuid::now_v7()).await.expect("enter");
    // Without a word: no exit, nothing is refreshed any more.
    drop(crashes);
    let since = tokio::time::Instant::now();
    let left = within("their leaving", async {
        loop {
            if let Ephemeral::Presence { online, left: Some(left), .. } = next_event(&mut live).await {
                return (online, left);
            }
        }
    });
    assert_eq!(left.await, (1, goes));
    assert!(since.elapsed() <= std::time::Duration::from_secs(15), "{:?}", since.elapsed());
    assert_eq!(lives.presence(room, 10).await.expect("presence").people, [stays]);
}

async fn read_marks_only_move_forward_and_never_beyond_the_log(log: RoomLog) {
    for (here, there) in pairs(log).await {
        let (room, reader) = (Uuid::now_v7(), person(Uuid::now_v7()));
        let mut live = there.subscribe(room).await.expect("a subscription");
        assert_eq!(here.mark_read(room, &reader, 5).await.expect("a mark"), 0);
        fill(&*here, room, 10).await;
        for (seq, expected) in [(3, 3), (2, 3), (3, 3), (7, 7), (1000, 10), (0, 10)] {
            assert_eq!(here.mark_read(room, &reader, seq).await.expect("a mark"), expected);
        }
        assert_eq!(there.enter(room, &reader, Uuid::now_v7()).await.expect("entered").read_seq, 10);
        let stranger = there.enter(room, &person(Uuid::now_v7()), Uuid::now_v7()).await.expect("entered");
        assert_eq!(stranger.read_seq, 0);
        for (room, user, mark) in [(room, reader.id, 10), (room, Uuid::now_v7(), 0), (Uuid::now_v7(), reader.id, 0)] {
            assert_eq!(there.read_mark(room, user).await.expect("a mark"), mark);
        }
        for seq in [3, 7, 10] {
            let expected = Ephemeral::Read { room, user: reader.clone(), seq };
            assert_eq!(next_event(&mut live).await, expected);
        }
    }
}

async fn what_is_said_in_passing_is_heard_and_not_stored(log: RoomLog) {
    for (here, there) in pairs(log).await {
        let room = Uuid::now_v7();
        let mut live = there.subscribe(room).await.expect("a subscription");
        let typing = Ephemeral::Typing { room, user: person(Uuid::now_v7()) };
        here.publish(&typing).await.expect("an answer");
        assert_eq!(next_event(&mut live).await, typing);
        assert_eq!(here.head(room).await.expect("a head").seq, 0);
    }
}

async fn ended_sessions_are_heard_in_every_process(log: RoomLog) {
    for (here, there) in pairs(log).await {
        let user = Uuid::now_v7();
        let mut changes = there.session_changes();
        here.sessions_changed(user).await.expect("told");
        loop {
            // Other tests end sessions on the same Redis.
            if within("a change", changes.next()).await.expect("an answer") == SessionChange::Of(user) {
                break;
            }
        }
    }
}

async fn a_user_has_so_many_connections_and_no_more(log: RoomLog) {
    for (here, there) in pairs(log).await {
        let (user, first) = (Uuid::now_v7(), Uuid::now_v7());
        assert!(here.admit(user, first, 3).await.expect("an answer"));
        assert!(here.admit(user, first, 1).await.expect("an answer"), "the same connection again");
        assert!(there.admit(user, Uuid::now_v7(), 3).await.expect("an answer"));
        let (one, two) = (Uuid::now_v7(), Uuid::now_v7());
        let (a, b) = tokio::join!(here.admit(user, one, 3), there.admit(user, two, 3));
        assert_ne!(a.expect("an outcome"), b.expect("an outcome"), "one place for two");
        here.dismiss(user, first).await.expect("dismissed");
        assert!(there.admit(user, Uuid::now_v7(), 3).await.expect("an answer"));
        assert!(!here.admit(user, Uuid::now_v7(), 3).await.expect("an answer"));
        assert!(here.admit(Uuid::now_v7(), Uuid::now_v7(), 3).await.expect("an answer"), "another user");
    }
}

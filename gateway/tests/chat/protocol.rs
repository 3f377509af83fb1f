//! The commands of the protocol and the order of their effects.

use std::time::Duration;

use loadtest::client::{Connection, ConnectionError, Greeting, Incoming};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;
use wire::{Body, Change, CloseReason, Command, ErrorCode, Frame, Position, Role, close};

use crate::world::{
    Shapes, World, enter, log, message, next_entry, next_text, position_of, send_and_receive, send_message,
};

crate::world::on_each_shape!(
    every_message_is_delivered_once_and_in_order_on_every_gateway,
    a_join_with_a_position_brings_exactly_the_entries_after_it,
    a_join_during_appends_leaves_no_gap_and_no_duplicate,
    pipelined_commands_are_answered_in_order_and_before_the_close,
    strangers_are_refused_and_removed_members_get_no_more_entries,
    a_member_who_is_removed_while_joining_gets_nothing_afterwards,
    only_the_current_host_sets_the_notice,
);

fn code(frame: &Frame) -> Option<ErrorCode> {
    match frame {
        Frame::Error { code, .. } => Some(*code),
        _ => None,
    }
}

async fn every_message_is_delivered_once_and_in_order_on_every_gateway(shape: Shapes) {
    let world = World::start(shape).await;
    let [a, b] = [world.someone("밍기").await, world.someone("몽실").await];
    let room = world.meetup(&[&a, &b]).await;
    let (mut here, joined) = enter(&world.urls[0], &a, room).await;
    assert!(matches!(joined, Frame::Joined { role: Role::Host, seq: 0, recovered: false, .. }), "{joined:?}");
    let (mut there, _) = enter(world.last_url(), &b, room).await;
    for (n, text) in ["안녕하세요 👋🏽", "line\nbreak \"quotes\" \\", "둘"].iter().enumerate() {
        let n = n as u64 + 1;
        let ack = send_message(&mut here, n, room, &n.to_string(), text).await;
        assert!(matches!(ack, Frame::Ack { seq: Some(seq), duplicate: Some(false), .. } if seq == n), "{ack:?}");
    }
    let again = send_message(&mut here, 9, room, "2", "line\nbreak \"quotes\" \\").await;
    assert!(matches!(again, Frame::Ack { seq: Some(2), duplicate: Some(true), .. }), "{again:?}");
    for n in 1..=3 {
        assert_eq!(next_text(&mut there).await.0, n);
    }
    // The last message comes last: nothing was delivered twice in between.
    let ack = send_message(&mut here, 10, room, "x", "끝").await;
    assert!(matches!(ack, Frame::Ack { seq: Some(4), .. }), "{ack:?}");
    assert_eq!(next_text(&mut there).await, (4, "끝".to_owned()));
}

async fn a_join_with_a_position_brings_exactly_the_entries_after_it(shape: Shapes) {
    let world = World::start(shape).await;
    let a = world.someone("밍기").await;
    let room = world.meetup(&[&a]).await;
    let log = log(&world);
    for n in 1..=120 {
        log.append(room, message(&a, &n.to_string(), &format!("말 {n}"))).await.expect("appended");
    }
    let (mut connection, joined) = enter(world.last_url(), &a, room).await;
    let Frame::Joined { entries, seq: 120, recovered: false, epoch, .. } = &joined else { panic!("{joined:?}") };
    assert_eq!(entries.iter().map(|e| e.seq).collect::<Vec<_>>(), (71..=120).collect::<Vec<_>>());
    for (since, recovered, first, count) in [
        (Position { epoch: *epoch, seq: 100 }, true, 101, 20),
        (Position { epoch: *epoch, seq: 0 }, true, 1, 120),
        (Position { epoch: *epoch, seq: 120 }, true, 0, 0),
        (Position { epoch: *epoch, seq: 121 }, false, 71, 50),
        (Position { epoch: Uuid::from_u128(1), seq: 100 }, false, 71, 50),
    ] {
        let reply = connection.request(7, &Command::Join { id: 7, room, since: Some(since) }).await.expect("a reply");
        let Frame::Joined { recovered: was, entries, seq: 120, .. } = &reply else { panic!("{since:?} {reply:?}") };
        let got = (*was, entries.first().map_or(0, |e| e.seq), entries.len());
        assert_eq!(got, (recovered, first, count), "{since:?}");
    }
}

async fn a_join_during_appends_leaves_no_gap_and_no_duplicate(shape: Shapes) {
    let world = World::start(shape).await;
    let a = world.someone("밍기").await;
    let room = world.meetup(&[&a]).await;
    let (log, author) = (log(&world), a.clone());
    let talk = tokio::spawn(async move {
        for n in 1..=1000_u64 {
            log.append(room, message(&author, &n.to_string(), &n.to_string())).await.expect("appended");
        }
    });
    let mut joins = Vec::new();
    for _ in 0..5 {
        let (connection, joined) = enter(world.last_url(), &a, room).await;
        let Frame::Joined { entries, .. } = &joined else { panic!("{joined:?}") };
        let seen: Vec<u64> = entries.iter().map(|entry| entry.seq).collect();
        assert!(seen.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seen:?}");
        assert_eq!(seen.last().copied().unwrap_or(0), position_of(&joined).seq);
        joins.push((connection, position_of(&joined).seq));
    }
    talk.await.expect("all appended");
    for (mut connection, from) in joins {
        for expected in from + 1..=1000 {
            assert_eq!(next_text(&mut connection).await, (expected, expected.to_string()));
        }
    }
}

async fn pipelined_commands_are_answered_in_order_and_before_the_close(shape: Shapes) {
    let world = World::start(shape).await;
    let someone = world.someone("밍기").await;
    let [room, other] = [world.meetup(&[&someone]).await, world.meetup(&[&someone]).await];
    let (mut connection, _) = enter(world.last_url(), &someone, room).await;
    connection.join(other).await.expect("joined");
    let send = |id: u64, room, nonce: &str, text: &str| {
        let command = Command::Send { id, room, nonce: nonce.to_owned(), text: text.to_owned() };
        serde_json::to_string(&command).expect("JSON")
    };
    let expected = [
        (send(101, room, "a", "하나"), Ok(1)),
        (send(102, room, "a", "하나"), Ok(1)),
        (send(103, room, "b", " "), Err(ErrorCode::BadText)),
        (r#"{"type":"dance","id":104}"#.to_owned(), Err(ErrorCode::BadRequest)),
        (send(105, room, "c", "둘"), Ok(2)),
        (send(106, other, "a", "다른 방"), Ok(1)),
        (send(107, room, "d", "셋"), Ok(3)),
        (serde_json::to_string(&Command::Leave { id: 108, room }).expect("JSON"), Ok(0)),
        (send(109, room, "e", "나간 뒤"), Err(ErrorCode::NotJoined)),
    ];
    for (text, _) in &expected {
        connection.feed_message(Message::text(text)).await.expect("sent");
    }
    connection.send_message(Message::Close(None)).await.expect("sent");
    let mut answers = Vec::new();
    let ended = loop {
        match connection.next().await {
            Err(ended) => break ended,
            Ok(Incoming::Frame(frame)) => match *frame {
                Frame::Ack { id, seq, .. } => answers.push((id, Ok(seq.expect("a number")))),
                Frame::Left { id, .. } => answers.push((id, Ok(0))),
                Frame::Error { id, code, .. } => answers.push((id.expect("an id"), Err(code))),
                _ => {}
            },
            Ok(_) => {}
        }
    };
    assert!(matches!(ended, ConnectionError::Closed(1005)), "{ended:?}");
    assert_eq!(answers, (101..).zip(expected.into_iter().map(|(_, answer)| answer)).collect::<Vec<_>>());
}

async fn strangers_are_refused_and_removed_members_get_no_more_entries(shape: Shapes) {
    let world = World::start(shape).await;
    let [host, member, stranger] =
        [world.someone("밍기").await, world.someone("몽실").await, world.someone("낯선이").await];
    let room = world.meetup(&[&host, &member]).await;
    let (mut outside, _) =
        Connection::greet(world.last_url(), Greeting::Hello(&stranger.token)).await.expect("a welcome");
    assert_eq!(code(&outside.join(room).await.expect("a reply")), Some(ErrorCode::NotAMember));
    let nowhere = Uuid::now_v7();
    assert_eq!(code(&outside.join(nowhere).await.expect("a reply")), Some(ErrorCode::NotAMember));
    let logs = common::db::sql("SELECT COUNT(*) FROM rooms WHERE id = ?").bind(nowhere);
    assert_eq!(logs.scalar::<i64>(&world.first().db).await.expect("a count"), Some(0), "a stranger began a log");
    assert_eq!(code(&send_message(&mut outside, 3, room, "n", "들어가도 되나요").await), Some(ErrorCode::NotJoined));
    let (mut inside, _) = enter(&world.urls[0], &host, room).await;
    let (mut gone, _) = enter(world.last_url(), &member, room).await;
    world.change_membership(room, &member, Change::Removed).await;
    assert!(matches!(next_entry(&mut gone).await.body, Body::Member { change: Change::Removed, .. }));
    assert_eq!(code(&send_message(&mut gone, 4, room, "n", "아직 있어요").await), Some(ErrorCode::NotAMember));
    assert_eq!(send_and_receive(&mut inside, room, "우리끼리").await, 2);
    // Anything delivered to the removed member would have come before this reply.
    let reply = gone.leave_next(6, room).await;
    assert!(matches!(reply, Frame::Left { .. }), "{reply:?}");
}

async fn a_member_who_is_removed_while_joining_gets_nothing_afterwards(shape: Shapes) {
    const RACES: usize = 40;
    let world = World::start(shape).await;
    for race in 0..RACES {
        let [host, member, witness] =
            [world.someone("밍기").await, world.someone("몽실").await, world.someone("무너").await];
        let room = world.meetup(&[&host, &member, &witness]).await;
        let (mut inside, _) = enter(&world.urls[0], &host, room).await;
        let (mut beside, _) = enter(world.last_url(), &witness, room).await;
        let (mut gone, _) =
            Connection::greet(world.last_url(), Greeting::Header(&member.token)).await.expect("a welcome");
        // Joins that are under way while the membership ends.
        for id in 1..=20 {
            gone.send(&Command::Join { id, room, since: None }).await.expect("sent");
        }
        for _ in 0..race {
            tokio::task::yield_now().await;
        }
        world.end_membership(room, &member).await;
        world.change_membership(room, &member, Change::Removed).await;
        let secret = send_and_receive(&mut inside, room, "우리끼리").await;
        // The removed member's gateway has delivered it too, to those who may have it.
        while next_entry(&mut beside).await.seq < secret {}
        // Everything that the removed member is delivered comes before this reply.
        let nonce = Uuid::now_v7().to_string();
        gone.send(&Command::Send { id: 99, room, nonce, text: "아직 있어요".to_owned() }).await.expect("sent");
        loop {
            match gone.next().await.expect("a frame") {
                Incoming::Entry(entry) => assert!(entry.seq < secret, "race {race}: {entry:?}"),
                Incoming::Frame(frame) => match *frame {
                    Frame::Joined { seq, .. } => assert!(seq < secret, "race {race}"),
                    Frame::Error { id: Some(99), code, .. } => {
                        assert!(matches!(code, ErrorCode::NotAMember | ErrorCode::NotJoined), "{code:?}");
                        break;
                    }
                    Frame::Ack { id: 99, .. } => panic!("race {race}: a removed member may talk"),
                    _ => {}
                },
                _ => {}
            }
        }
    }
}

/// Leaves a room and returns the very next thing received, which must be a frame.
trait LeaveNext {
    async fn leave_next(&mut self, id: u64, room: Uuid) -> Frame;
}

impl LeaveNext for Connection {
    async fn leave_next(&mut self, id: u64, room: Uuid) -> Frame {
        self.send(&Command::Leave { id, room }).await.expect("sent");
        match self.next().await.expect("a frame") {
            loadtest::client::Incoming::Frame(frame) => *frame,
            other => panic!("not a reply: {other:?}"),
        }
    }
}

async fn only_the_current_host_sets_the_notice(shape: Shapes) {
    let world = World::start(shape).await;
    let [host, member] = [world.someone("밍기").await, world.someone("몽실").await];
    let room = world.meetup(&[&host, &member]).await;
    let (mut a, _) = enter(&world.urls[0], &host, room).await;
    let (mut b, _) = enter(world.last_url(), &member, room).await;
    let notice = |id, text: Option<&str>| Command::Notice { id, room, text: text.map(str::to_owned) };
    a.request(1, &notice(1, Some(" 준비물: 수건 "))).await.expect("a reply");
    let seen = next_entry(&mut b).await;
    assert!(matches!(&seen.body, Body::Notice { text: Some(text), .. } if text == "준비물: 수건"), "{seen:?}");
    let refused = b.request(2, &notice(2, None)).await.expect("a reply");
    assert_eq!(code(&refused), Some(ErrorCode::NotTheHost));
    let (_, late) = enter(world.last_url(), &member, room).await;
    assert!(matches!(&late, Frame::Joined { notice: Some(notice), .. } if notice.text == "준비물: 수건"), "{late:?}");
    world.change_membership(room, &member, Change::Host).await;
    next_entry(&mut b).await;
    assert!(matches!(b.request(3, &notice(3, None)).await.expect("a reply"), Frame::Ack { .. }));
    while !matches!(next_entry(&mut a).await.body, Body::Member { change: Change::Host, .. }) {}
    assert_eq!(code(&a.request(4, &notice(4, Some("x"))).await.expect("a reply")), Some(ErrorCode::NotTheHost));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_room_of_a_meetup_that_is_over_is_read_only() {
    let world = World::start(Shapes::Embedded).await;
    let host = world.someone("밍기").await;
    let over = world.meetup_until(&[&host], world.first().env.clock.now()).await;
    let (mut connection, _) = enter(world.last_url(), &host, over).await;
    assert_eq!(code(&send_message(&mut connection, 2, over, "n", "늦었나요").await), Some(ErrorCode::RoomReadOnly));
    // The host moves the end.
    let later = world.first().env.clock.now() + Duration::from_secs(3_600);
    let update = common::db::sql("UPDATE meetups SET ends_at = ? WHERE id = ?");
    update.bind(later).bind(over).run(&world.first().db).await.expect("updated");
    assert_eq!(code(&send_message(&mut connection, 3, over, "n", "아직이군요").await), None);
    let open = world.meetup(&[&host]).await;
    connection.join(open).await.expect("a reply");
    let closed = Body::Closed { reason: CloseReason::Cancelled };
    let draft = common::rooms::Draft { body: closed, ..message(&host, "c", "") };
    world.first().rooms.append(open, draft).await.expect("appended");
    // The entry of the other room may come after its acknowledgement.
    let entry = loop {
        let entry = next_entry(&mut connection).await;
        if entry.room == open {
            break entry;
        }
    };
    assert!(matches!(entry.body, Body::Closed { reason: CloseReason::Cancelled }), "{entry:?}");
    assert_eq!(code(&send_message(&mut connection, 4, open, "n", "늦었나요").await), Some(ErrorCode::RoomReadOnly));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unauthenticated_connection_is_closed() {
    let world = World::start_with(Shapes::Embedded, |config| config.hello_timeout = Duration::from_millis(200)).await;
    let someone = world.someone("밍기").await;
    let url = world.last_url();
    let closed = async |greeting| match Connection::greet(url, greeting).await {
        Err(ConnectionError::Closed(code)) => code,
        other => panic!("{:?}", other.map(drop)),
    };
    assert_eq!(closed(Greeting::Header("nonsense")).await, close::UNAUTHENTICATED);
    assert_eq!(closed(Greeting::Hello("nonsense")).await, close::UNAUTHENTICATED);
    let mut silent = Connection::open(url, Greeting::Silent).await.expect("open");
    assert_eq!(silent.close_code().await.expect("a close"), close::NO_HELLO);
    let mut rude = Connection::open(url, Greeting::Silent).await.expect("open");
    rude.send(&Command::Leave { id: 1, room: Uuid::nil() }).await.expect("sent");
    assert_eq!(rude.close_code().await.expect("a close"), close::UNAUTHENTICATED);
    let expired = world.first().tokens.issue(someone.person.id, someone.session, Duration::ZERO).expect("a token");
    assert_eq!(closed(Greeting::Header(&expired)).await, close::UNAUTHENTICATED);
    let logged_out =
        world.first().tokens.issue(someone.person.id, Uuid::now_v7(), Duration::from_secs(60)).expect("a token");
    assert_eq!(closed(Greeting::Header(&logged_out)).await, close::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiring_token_is_announced_and_can_be_refreshed() {
    let world = World::start(Shapes::Embedded).await;
    let (someone, other) = (world.someone("밍기").await, world.someone("몽실").await);
    let tokens = &world.first().tokens;
    let short = tokens.issue(someone.person.id, someone.session, Duration::from_secs(2)).expect("a token");
    let (mut connection, _) = Connection::greet(world.last_url(), Greeting::Header(&short)).await.expect("a welcome");
    let warned = connection.expect(|incoming| match incoming {
        loadtest::client::Incoming::Frame(frame) => matches!(*frame, Frame::Expiring { .. }).then_some(()),
        _ => None,
    });
    warned.await.expect("a warning");
    let refresh = |id, token: &str| Command::Refresh { id, token: token.to_owned() };
    for wrong in ["nonsense", other.token.as_str()] {
        let refused = connection.request(1, &refresh(1, wrong)).await.expect("a reply");
        assert_eq!(code(&refused), Some(ErrorCode::BadToken));
    }
    assert!(matches!(
        connection.request(2, &refresh(2, &someone.token)).await.expect("a reply"),
        Frame::Ack { id: 2, .. }
    ));
    let (mut doomed, _) = Connection::greet(world.last_url(), Greeting::Header(&short)).await.expect("a welcome");
    assert_eq!(doomed.close_code().await.expect("a close"), close::UNAUTHENTICATED);
    let room = world.meetup(&[&someone]).await;
    assert!(
        matches!(connection.join(room).await.expect("a reply"), Frame::Joined { .. }),
        "the refreshed connection goes on"
    );
}

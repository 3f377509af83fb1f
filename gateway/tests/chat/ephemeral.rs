//! Ephemeral events (presence, typing, read receipts), edits and deletions, revoked sessions, and a log that begins anew.

use common::db::sql;
use loadtest::client::{Connection, Incoming};
use uuid::Uuid;
use wire::{Body, Command, Ephemeral, ErrorCode, Frame, close};

use crate::world::{Shapes, World, enter, log, message, next_entry, send_and_receive, send_message};

crate::world::on_each_shape!(
    presence_counts_a_person_once_and_reports_the_first_join_and_the_last_leave,
    typing_and_read_receipts_reach_the_other_members,
    authors_edit_and_delete_their_messages_and_the_host_deletes_any,
    a_revoked_session_closes_its_connections_and_no_others,
);

/// The next ephemeral event that `wanted` accepts; everything before it is skipped.
async fn next_event<T>(connection: &mut Connection, wanted: impl Fn(Ephemeral) -> Option<T>) -> T {
    let event = |incoming| match incoming {
        Incoming::Ephemeral(event) => wanted(*event),
        _ => None,
    };
    connection.expect(event).await.expect("an event")
}

async fn presence_counts_a_person_once_and_reports_the_first_join_and_the_last_leave(shape: Shapes) {
    let world = World::start(shape).await;
    let [a, b] = [world.someone("밍기").await, world.someone("몽실").await];
    let room = world.meetup(&[&a, &b]).await;
    let (mut here, joined) = enter(&world.urls[0], &a, room).await;
    assert!(matches!(joined, Frame::Joined { online: 1, .. }), "{joined:?}");
    let (there, joined) = enter(world.last_url(), &b, room).await;
    assert!(matches!(joined, Frame::Joined { online: 2, .. }), "{joined:?}");
    let (again, joined) = enter(world.last_url(), &b, room).await;
    assert!(matches!(joined, Frame::Joined { online: 2, .. }), "{joined:?}");
    let came = |event| match event {
        Ephemeral::Presence { online, joined: Some(person), .. } => Some((online, person.nickname)),
        _ => None,
    };
    assert_eq!(next_event(&mut here, came).await, (2, "몽실".to_owned()));
    there.close().await;
    again.close().await;
    let went = |event| match event {
        Ephemeral::Presence { online, left: Some(person), .. } => Some((online, person.nickname)),
        _ => None,
    };
    assert_eq!(next_event(&mut here, went).await, (1, "몽실".to_owned()));
}

async fn typing_and_read_receipts_reach_the_other_members(shape: Shapes) {
    let world = World::start(shape).await;
    let [a, b] = [world.someone("밍기").await, world.someone("몽실").await];
    let room = world.meetup(&[&a, &b]).await;
    let (mut here, _) = enter(&world.urls[0], &a, room).await;
    let (mut there, _) = enter(world.last_url(), &b, room).await;
    for text in ["하나", "둘", "셋"] {
        send_and_receive(&mut here, room, text).await;
    }
    there.send(&Command::Typing { room }).await.expect("sent");
    let typing = |event| matches!(&event, Ephemeral::Typing { user, .. } if user.nickname == "몽실").then_some(());
    next_event(&mut here, typing).await;
    there.send(&Command::Read { room, seq: 2 }).await.expect("sent");
    let read = |event| match event {
        Ephemeral::Read { user, seq, .. } if user.nickname == "몽실" => Some(seq),
        _ => None,
    };
    assert_eq!(next_event(&mut here, read).await, 2);
    let (_, joined) = enter(&world.urls[0], &b, room).await;
    assert!(matches!(joined, Frame::Joined { read_seq: 2, unread: 1, .. }), "{joined:?}");
    let outside = there.request(9, &Command::Leave { id: 9, room }).await.expect("a reply");
    assert!(matches!(outside, Frame::Left { .. }));
    there.send(&Command::Typing { room }).await.expect("sent");
    let refused = there.expect(|incoming| match incoming {
        Incoming::Frame(frame) => match *frame {
            Frame::Error { id: None, code, .. } => Some(code),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(refused.await.expect("a reply"), ErrorCode::NotJoined);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_big_room_summarises_presence() {
    let world = World::start_with(Shapes::Embedded, |config| config.big_room = 2).await;
    let mut people = Vec::new();
    for n in 0..5 {
        people.push(world.someone(&format!("사람{n}")).await);
    }
    let room = world.meetup(&people.iter().collect::<Vec<_>>()).await;
    let (mut first, _) = enter(world.last_url(), &people[0], room).await;
    let mut others = Vec::new();
    for person in &people[1..] {
        others.push(enter(world.last_url(), person, room).await);
    }
    let summary = |event| match event {
        Ephemeral::Presence { online: 5, joined, left, .. } => Some((joined, left)),
        _ => None,
    };
    assert_eq!(next_event(&mut first, summary).await, (None, None), "how many, not who");
}

async fn authors_edit_and_delete_their_messages_and_the_host_deletes_any(shape: Shapes) {
    let world = World::start(shape).await;
    let [host, member] = [world.someone("밍기").await, world.someone("몽실").await];
    let room = world.meetup(&[&host, &member]).await;
    let (mut a, _) = enter(&world.urls[0], &host, room).await;
    let (mut b, _) = enter(world.last_url(), &member, room).await;
    send_message(&mut b, 1, room, "1", "오타가 있는 마시지").await;
    let edit = |id, seq, text: &str| Command::Edit { id, room, seq, text: text.to_owned() };
    let delete = |id, seq| Command::Delete { id, room, seq };
    let code = |frame: Frame| match frame {
        Frame::Error { code, .. } => Some(code),
        _ => None,
    };
    assert!(matches!(
        b.request(2, &edit(2, 1, "오타가 없는 메시지")).await.expect("a reply"),
        Frame::Ack { seq: Some(2), .. }
    ));
    next_entry(&mut a).await;
    let seen = next_entry(&mut a).await;
    assert!(matches!(&seen.body, Body::Edited { target: 1, text, .. } if text == "오타가 없는 메시지"), "{seen:?}");
    assert_eq!(code(a.request(3, &edit(3, 1, "남의 말")).await.expect("a reply")), Some(ErrorCode::NotTheAuthor));
    assert_eq!(
        code(b.request(4, &edit(4, 2, "메시지가 아님")).await.expect("a reply")),
        Some(ErrorCode::NoSuchMessage)
    );
    let (_, joined) = enter(&world.urls[0], &host, room).await;
    let Frame::Joined { entries, .. } = &joined else { panic!("{joined:?}") };
    let present = &entries[0].body;
    assert!(
        matches!(present, Body::Message { text: Some(text), edited_at: Some(_), .. } if text == "오타가 없는 메시지")
    );
    assert!(matches!(a.request(5, &delete(5, 1)).await.expect("a reply"), Frame::Ack { seq: Some(3), .. }));
    assert_eq!(code(b.request(6, &delete(6, 1)).await.expect("a reply")), Some(ErrorCode::NoSuchMessage));
    let (_, joined) = enter(world.last_url(), &host, room).await;
    let Frame::Joined { entries, .. } = &joined else { panic!("{joined:?}") };
    assert!(matches!(&entries[0].body, Body::Message { text: None, deleted_at: Some(_), .. }), "{entries:?}");
    send_message(&mut a, 7, room, "7", "방장의 말").await;
    assert_eq!(code(b.request(8, &delete(8, 4)).await.expect("a reply")), Some(ErrorCode::NotTheAuthor));
}

async fn a_revoked_session_closes_its_connections_and_no_others(shape: Shapes) {
    let world = World::start(shape).await;
    let [a, b] = [world.someone("밍기").await, world.someone("몽실").await];
    let room = world.meetup(&[&a, &b]).await;
    let (mut doomed, _) = enter(world.last_url(), &a, room).await;
    let (mut other, _) = enter(world.last_url(), &b, room).await;
    let db = &world.first().db;
    sql("UPDATE sessions SET revoked_at = 1 WHERE id = ?").bind(a.session).run(db).await.expect("revoked");
    world.first().rooms.sessions_changed(a.person.id).await.expect("published");
    world.first().rooms.sessions_changed(b.person.id).await.expect("published");
    assert_eq!(doomed.close_code().await.expect("a close"), close::FORBIDDEN);
    send_and_receive(&mut other, room, "나는 그대로").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_connections_per_user_spans_all_gateways() {
    let world = World::start_with(Shapes::Shared, |config| config.connections_per_user = 2).await;
    let someone = world.someone("밍기").await;
    let room = world.meetup(&[&someone]).await;
    let _first = enter(&world.urls[0], &someone, room).await;
    let _second = enter(world.last_url(), &someone, room).await;
    let mut third =
        Connection::open(&world.urls[0], loadtest::client::Greeting::Header(&someone.token)).await.expect("open");
    assert_eq!(third.close_code().await.expect("a close"), close::TOO_MANY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_epoch_is_announced_with_a_fresh_page() {
    let world = World::start(Shapes::Embedded).await;
    let someone = world.someone("밍기").await;
    let room = world.meetup(&[&someone]).await;
    let log = log(&world);
    for n in 0..3 {
        log.append(room, message(&someone, &n.to_string(), "옛날 말")).await.expect("appended");
    }
    let (mut connection, _) = enter(world.last_url(), &someone, room).await;
    // As after a Redis that lost everything: another epoch, and numbers from 1.
    let epoch = Uuid::now_v7();
    sql("UPDATE rooms SET epoch = ?, head = 0 WHERE id = ?")
        .bind(epoch)
        .bind(room)
        .run(&world.first().db)
        .await
        .expect("lost");
    log.append(room, message(&someone, "new", "새 말")).await.expect("appended");
    let fresh = connection.expect(|incoming| match incoming {
        Incoming::Frame(frame) => matches!(*frame, Frame::Joined { id: None, .. }).then_some(*frame),
        _ => None,
    });
    let fresh = fresh.await.expect("a fresh page");
    let Frame::Joined { epoch: new, seq: 1, recovered: false, entries, .. } = &fresh else { panic!("{fresh:?}") };
    assert_eq!((*new, entries.len()), (epoch, 1));
    assert_eq!(send_and_receive(&mut connection, room, "계속").await, 2);
}

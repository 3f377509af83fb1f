//! Graceful stop: every connection gets `reconnect` and 1012, nothing acknowledged is lost, and the process ends.

use common::rooms::Range;
use loadtest::client::{ConnectionError, Incoming};
use tokio_tungstenite::tungstenite::Message;
use wire::{Command, Frame, close};

use crate::world::{Shapes, World, enter, log, send_message};

crate::world::on_each_shape!(stopping_announces_reconnect_to_every_connection_and_loses_nothing,);

async fn stopping_announces_reconnect_to_every_connection_and_loses_nothing(shape: Shapes) {
    let mut world = World::start(shape).await;
    let someone = world.someone("밍기").await;
    let room = world.meetup(&[&someone]).await;
    let (mut talker, _) = enter(&world.urls[0], &someone, room).await;
    let mut listeners = Vec::new();
    for _ in 0..3 {
        listeners.push(enter(world.last_url(), &someone, room).await.0);
    }
    let ack = send_message(&mut talker, 1, room, "n", "마지막 말").await;
    assert!(matches!(ack, Frame::Ack { .. }), "{ack:?}");
    world.stop.cancel();
    for connection in listeners.iter_mut().chain([&mut talker]) {
        let mut announced = false;
        let code = loop {
            match connection.next().await {
                Ok(Incoming::Frame(frame)) => announced |= matches!(*frame, Frame::Reconnect { .. }),
                Ok(_) => {}
                Err(ConnectionError::Closed(code)) => break code,
                Err(other) => panic!("{other}"),
            }
        };
        assert!(announced && code == close::RESTART, "{announced} {code}");
    }
    let log = log(&world);
    for running in world.running.drain(..) {
        running.await.expect("no panic").expect("a clean end");
    }
    assert_eq!(log.read(room, Range::Latest, 10).await.expect("a page").entries.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_under_execution_is_acknowledged_before_the_close() {
    let world = World::start(Shapes::Embedded).await;
    let someone = world.someone("밍기").await;
    let room = world.meetup(&[&someone]).await;
    let (mut connection, _) = enter(world.last_url(), &someone, room).await;
    // SQLite has one writer: nothing can be appended during this transaction.
    let writes = world.first().db.begin().await.expect("a transaction");
    let send = Command::Send { id: 2, room, nonce: "n".to_owned(), text: "마지막 말".to_owned() };
    // Both are read together: after the answer to the first, the second is under execution.
    connection.feed_message(Message::text(r#"{"type":"dance","id":1}"#)).await.expect("sent");
    connection.send(&send).await.expect("sent");
    let mut receive = async |wanted: fn(&Frame) -> bool| {
        let wanted = |incoming| matches!(incoming, Incoming::Frame(frame) if wanted(&frame)).then_some(());
        connection.expect(wanted).await
    };
    receive(|frame| matches!(frame, Frame::Error { id: Some(1), .. })).await.expect("a refusal");
    world.stop.cancel();
    receive(|frame| matches!(frame, Frame::Reconnect { .. })).await.expect("a warning");
    drop(writes);
    receive(|frame| matches!(frame, Frame::Ack { id: 2, seq: Some(1), .. })).await.expect("an acknowledgement");
    let ended = receive(|_| false).await;
    assert!(matches!(ended, Err(ConnectionError::Closed(close::RESTART))), "{ended:?}");
}

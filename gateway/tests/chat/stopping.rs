//! Stopping: every connection is told, nothing acknowledged is lost, the process ends.

use common::{
    rooms::Range,
    wire::{Frame, close},
};
use loadtest::client::{ConnectionError, Incoming};

use crate::world::{Shapes, World, enter, log, say};

#[tokio::test(flavor = "multi_thread")]
async fn stopping_tells_everyone_to_reconnect_and_loses_nothing() {
    for shape in Shapes::ALL {
        let mut world = World::start(shape).await;
        let someone = world.someone("밍기").await;
        let room = world.meetup(&[&someone]).await;
        let (mut talker, _) = enter(&world.urls[0], &someone, room).await;
        let mut listeners = Vec::new();
        for _ in 0..3 {
            listeners.push(enter(world.last_url(), &someone, room).await.0);
        }
        let ack = say(&mut talker, 1, room, "n", "마지막 말").await;
        assert!(matches!(ack, Frame::Ack { .. }), "{ack:?}");
        world.stop.cancel();
        for connection in listeners.iter_mut().chain([&mut talker]) {
            let mut told = false;
            let code = loop {
                match connection.next().await {
                    Ok(Incoming::Frame(frame)) => told |= matches!(*frame, Frame::Reconnect { .. }),
                    Ok(_) => {}
                    Err(ConnectionError::Closed(code)) => break code,
                    Err(other) => panic!("{other}"),
                }
            };
            assert!(told && code == close::RESTART, "{told} {code}");
        }
        let log = log(&world);
        for running in world.running.drain(..) {
            running.await.expect("no panic").expect("a clean end");
        }
        assert_eq!(log.read(room, Range::Latest, 10).await.expect("a page").entries.len(), 1);
    }
}

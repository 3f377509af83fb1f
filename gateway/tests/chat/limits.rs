//! Limits, the heartbeat, and slow readers.

use std::time::Duration;

use loadtest::client::{Connection, ConnectionError, Greeting};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use wire::{Command, ErrorCode, Frame, close};

use crate::world::{Shapes, World, enter, log, message, next_text};

#[tokio::test(flavor = "multi_thread")]
async fn rooms_per_connection_and_connections_per_user_are_limited() {
    let limits = |config: &mut common::config::Config| {
        config.rooms_per_connection = 2;
        config.connections_per_user = 2;
    };
    let world = World::start_with(Shapes::Embedded, limits).await;
    let someone = world.someone("밍기").await;
    let mut rooms = Vec::new();
    for _ in 0..3 {
        rooms.push(world.meetup(&[&someone]).await);
    }
    let (mut first, _) = enter(world.last_url(), &someone, rooms[0]).await;
    assert!(matches!(first.join(rooms[1]).await.expect("a reply"), Frame::Joined { .. }));
    let refused = first.join(rooms[2]).await.expect("a reply");
    assert!(matches!(refused, Frame::Error { code: ErrorCode::TooManyRooms, .. }), "{refused:?}");
    first.request(9, &Command::Leave { id: 9, room: rooms[0] }).await.expect("a reply");
    assert!(matches!(first.join(rooms[2]).await.expect("a reply"), Frame::Joined { .. }));
    let (second, _) = enter(world.last_url(), &someone, rooms[0]).await;
    let third = Connection::greet(world.last_url(), Greeting::Header(&someone.token)).await.map(drop);
    assert!(matches!(third, Err(ConnectionError::Closed(close::TOO_MANY))), "{third:?}");
    second.close().await;
    // Another connection is admitted once the gateway has seen the close.
    loop {
        match Connection::greet(world.last_url(), Greeting::Header(&someone.token)).await {
            Ok(_) => break,
            Err(ConnectionError::Closed(close::TOO_MANY)) => tokio::task::yield_now().await,
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_as_told_is_never_closed_for_refused_commands() {
    let limits = |config: &mut common::config::Config| {
        config.commands_per_second = 500;
        config.command_burst = 1;
    };
    let world = World::start_with(Shapes::Embedded, limits).await;
    let someone = world.someone("밍기").await;
    let room = world.meetup(&[&someone]).await;
    let (mut patient, _) = enter(world.last_url(), &someone, room).await;
    let mut refusals = 0;
    for id in 100.. {
        match patient.request(id, &Command::Leave { id, room }).await.expect("a reply") {
            Frame::Error { code: ErrorCode::RateLimited, retry_after_ms: Some(wait), .. } => {
                refusals += 1;
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
            Frame::Left { .. } if refusals > 250 => break,
            Frame::Left { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_pongs_is_closed() {
    let beats = |config: &mut common::config::Config| {
        config.heartbeat = Duration::from_millis(100);
        config.pong_timeout = Duration::from_millis(300);
    };
    let world = World::start_with(Shapes::Embedded, beats).await;
    let someone = world.someone("밍기").await;
    // A hand-made client, because every library answers pings by itself.
    let address = world.last_url().trim_start_matches("ws://").trim_end_matches("/ws");
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {}\r\n\r\n",
        someone.token
    );
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut received = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut received)).await;
    drop(read.expect("closed in time"));
    let ping = received.windows(2).any(|pair| pair == [0x89, 0x00]);
    let close = [vec![0x88], vec![9], close::NO_PONG.to_be_bytes().to_vec(), b"no pong".to_vec()].concat();
    assert!(ping && received.ends_with(&close), "{}", String::from_utf8_lossy(&received));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_closed_without_a_gap_while_others_keep_up() {
    let world = World::start_with(Shapes::Shared, |config| config.queue_bytes = 256 * 1024).await;
    let [slow, fast] = [world.someone("느린").await, world.someone("빠른").await];
    let room = world.meetup(&[&fast, &slow]).await;
    let (mut reader, _) = enter(&world.urls[0], &fast, room).await;
    let (mut sleeper, joined) = enter(world.last_url(), &slow, room).await;
    let since = crate::world::position_of(&joined);
    let (log, author, text) = (log(&world), fast.clone(), "가".repeat(1000));
    // Far more than the sockets' own buffers and the queue hold together.
    let total = 6_000_u64;
    let reading = tokio::spawn(async move {
        for expected in 1..=total {
            assert_eq!(next_text(&mut reader).await.0, expected);
        }
    });
    for n in 1..=total {
        log.append(room, message(&author, &n.to_string(), &text)).await.expect("appended");
    }
    reading.await.expect("the fast reader saw everything");
    let mut seen = since.seq;
    let code = loop {
        match sleeper.next().await {
            Ok(loadtest::client::Incoming::Entry(entry)) => {
                assert_eq!(entry.seq, seen + 1, "no gap before the close");
                seen = entry.seq;
            }
            Ok(_) => {}
            Err(ConnectionError::Closed(code)) => break code,
            Err(other) => panic!("{other}"),
        }
    };
    assert!(code == close::SLOW_READER || code == 1006, "{code}");
    assert!(seen < total, "the test sent too little to fill the buffers");
}

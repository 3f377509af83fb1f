//! Malformed and abusive input: each case gets its documented answer or close code, and other connections are not affected.

use loadtest::client::{Connection, Greeting, Incoming};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame as RawFrame,
        coding::{Data, OpCode},
    },
};
use wire::{Command, ErrorCode, Frame, close};

use crate::world::{Shapes, World, enter, send_and_receive};

async fn next_error(connection: &mut Connection) -> (Option<u64>, ErrorCode) {
    connection
        .expect(|incoming| match incoming {
            Incoming::Frame(frame) => match *frame {
                Frame::Error { id, code, .. } => Some((id, code)),
                _ => None,
            },
            _ => None,
        })
        .await
        .expect("an error")
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_commands_get_an_error_and_bad_frames_close_the_connection() {
    let world = World::start(Shapes::Embedded).await;
    let [bad, good] = [world.someone("나쁜").await, world.someone("착한").await];
    let room = world.meetup(&[&good, &bad]).await;
    let (mut witness, _) = enter(world.last_url(), &good, room).await;
    let (mut hostile, _) = enter(world.last_url(), &bad, room).await;
    let long = format!(r#"{{"type":"send","id":5,"room":"{room}","nonce":"n","text":"{}"}}"#, "가".repeat(1001));
    for (text, id, code) in [
        ("{", None, ErrorCode::BadRequest),
        ("\"hello\"", None, ErrorCode::BadRequest),
        (r#"{"type":"dance","id":1}"#, Some(1), ErrorCode::BadRequest),
        (r#"{"type":"join","id":2,"room":3}"#, Some(2), ErrorCode::BadRequest),
        (r#"{"type":"send","id":3,"room":null}"#, Some(3), ErrorCode::BadRequest),
        (&format!("{}{}", "[".repeat(3000), "]".repeat(3000)), None, ErrorCode::BadRequest),
        (&long, Some(5), ErrorCode::BadText),
        (&format!(r#"{{"type":"send","id":6,"room":"{room}","nonce":"","text":"x"}}"#), Some(6), ErrorCode::BadNonce),
        (r#"{"type":"hello","token":"x"}"#, None, ErrorCode::BadRequest),
    ] {
        hostile.send_message(Message::text(text)).await.expect("sent");
        assert_eq!(next_error(&mut hostile).await, (id, code), "{text}");
    }
    let not_utf8 = RawFrame::message(vec![0xff, 0xfe, 0xfd], OpCode::Data(Data::Text), true);
    for message in [Message::binary(vec![1, 2, 3]), Message::text("x".repeat(1 << 20)), Message::Frame(not_utf8)] {
        let (mut connection, _) = enter(world.last_url(), &bad, room).await;
        connection.send_message(message).await.expect("sent");
        assert_eq!(connection.close_code().await.expect("a close"), close::BAD_FRAME);
    }
    assert_eq!(send_and_receive(&mut witness, room, "아무 일 없었어요").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_commands_is_rate_limited_and_then_closed() {
    let world = World::start(Shapes::Embedded).await;
    let [bad, good] = [world.someone("나쁜").await, world.someone("착한").await];
    let room = world.meetup(&[&good, &bad]).await;
    let (mut witness, _) = enter(world.last_url(), &good, room).await;
    let (mut hostile, _) = enter(world.last_url(), &bad, room).await;
    for id in 0..1000 {
        let leave = serde_json::to_string(&Command::Leave { id, room: uuid::Uuid::nil() }).expect("JSON");
        if hostile.feed_message(Message::text(leave)).await.is_err() {
            break;
        }
    }
    drop(hostile.flush().await);
    assert_eq!(next_error(&mut hostile).await.1, ErrorCode::RateLimited);
    assert_eq!(hostile.close_code().await.expect("a close"), close::TOO_MANY);
    assert_eq!(send_and_receive(&mut witness, room, "여전히 괜찮아요").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_pings_is_closed_but_single_pings_are_answered() {
    let world = World::start(Shapes::Embedded).await;
    let someone = world.someone("밍기").await;
    let room = world.meetup(&[&someone]).await;
    let (mut calm, _) = enter(world.last_url(), &someone, room).await;
    let (mut hostile, _) = enter(world.last_url(), &someone, room).await;
    calm.send_message(Message::Ping(vec![1].into())).await.expect("sent");
    for _ in 0..1000 {
        if hostile.feed_message(Message::Ping(vec![2].into())).await.is_err() {
            break;
        }
    }
    drop(hostile.flush().await);
    assert_eq!(hostile.close_code().await.expect("a close"), close::TOO_MANY);
    assert_eq!(send_and_receive(&mut calm, room, "저는 괜찮아요").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_no_valid_upgrade_gets_an_http_error() {
    let world = World::start(Shapes::Embedded).await;
    let address = world.last_url().trim_start_matches("ws://").trim_end_matches("/ws");
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (request, status) in [
        (format!("GET /other HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n"), "HTTP/1.1 404"),
        (format!("GET /ws HTTP/1.1\r\nHost: x\r\n{upgrade}Sec-WebSocket-Protocol: chat\r\n\r\n"), "HTTP/1.1 400"),
        (format!("GET /ws HTTP/1.1\r\nHost: x\r\n{upgrade}Authorization: Basic eDp5\r\n\r\n"), "HTTP/1.1 401"),
        (
            format!("GET /ws HTTP/1.1\r\nHost: x\r\n{upgrade}Sec-WebSocket-Protocol: chat, mingizuk.v1\r\n\r\n"),
            "HTTP/1.1 101",
        ),
    ] {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(String::from_utf8_lossy(&answer), status, "{request}");
    }
    let mut garbage = TcpStream::connect(address).await.expect("connected");
    garbage.write_all(&[0; 64]).await.expect("written");
    let mut rest = Vec::new();
    drop(garbage.read_to_end(&mut rest).await);
    let (connection, _) =
        Connection::greet(world.last_url(), Greeting::Hello(&world.someone("밍기").await.token)).await.expect("fine");
    connection.close().await;
}

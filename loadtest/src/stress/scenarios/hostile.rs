//! Input that no good client sends. Whatever it does, people in the room must not notice.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::{Bytes, Message, protocol::frame::coding};
use wire::{Command, ErrorCode, Frame, close};

use super::lasting;
use crate::{
    client::{Connection, ConnectionError, Greeting, Incoming},
    ensure,
    failure::{Failure, Outcome, within},
    stress::World,
};

/// How long an attacker is watched.
const PATIENCE: Duration = Duration::from_secs(12);

fn address(url: &str) -> String {
    url.replace("ws://", "").replace("/ws", "")
}

pub(super) async fn malformed_frames(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(4).await?;
    let talk = cohort.talk();
    let url = world.system.gateway_urls()?.swap_remove(0);
    let room = cohort.room.id;
    let nested = format!(r#"{{"type":"send","id":1,"x":{}1{}}}"#, "[".repeat(2000), "]".repeat(2000));
    let frames = [
        "".to_owned(),
        "{".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        r#"{"type":"dance","id":1}"#.to_owned(),
        r#"{"type":"join","id":"one","room":1}"#.to_owned(),
        format!(r#"{{"type":"send","id":-1,"room":"{room}","nonce":"n","text":"t"}}"#),
        format!(r#"{{"type":"send","id":1,"room":"{room}","nonce":7,"text":"t"}}"#),
        format!(r#"{{"type":"send","id":1,"room":"{room}","text":"no nonce"}}"#),
        r#"{"type":"join","id":1,"room":"no uuid"}"#.to_owned(),
        r#"{"type":"hello","token":"again"}"#.to_owned(),
        "\u{0}\u{1}\u{7f}".to_owned(),
        nested,
    ];
    let mut refused = 0;
    for _ in 0..world.scale(3, 20) {
        let (mut connection, _) = Connection::greet(&url, Greeting::Header(&cohort.room.members[0].token)).await?;
        for frame in &frames {
            connection.send_message(Message::text(frame.clone())).await?;
            let reply = connection.expect(|incoming| match incoming {
                Incoming::Frame(frame) => match *frame {
                    Frame::Error { code, .. } => Some(code),
                    _ => None,
                },
                _ => None,
            });
            match reply.await {
                Ok(code) => ensure!(code == ErrorCode::BadRequest, "{frame} was answered with {code:?}"),
                Err(ConnectionError::Closed(code)) => {
                    return Err(Failure::new(format!("{frame} closed the connection with {code}")));
                }
                Err(error) => return Err(Failure::new(format!("{frame}: {error}"))),
            }
            refused += 1;
            // One bad frame after the other is over the limit of commands a second sooner or later.
            lasting(60).await;
        }
        connection.close().await;
    }
    cohort.quiet(talk).await?;
    Ok(format!("{refused} refused; {}", cohort.finish().await?))
}

pub(super) async fn giant_frames(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(4).await?;
    let talk = cohort.talk();
    let url = world.system.gateway_urls()?.swap_remove(0);
    let broken_text = coding::OpCode::Data(coding::Data::Text);
    let mut codes = Vec::new();
    for _ in 0..world.scale(2, 10) {
        for message in [
            Message::text("x".repeat(1 << 20)),
            Message::binary(vec![0; 16]),
            Message::binary(vec![0; 1 << 20]),
            Message::Frame(tokio_tungstenite::tungstenite::protocol::frame::Frame::message(
                Bytes::from_static(&[0xff, 0xfe, 0xfd]),
                broken_text,
                true,
            )),
        ] {
            let (mut connection, _) = Connection::greet(&url, Greeting::Header(&cohort.room.members[0].token)).await?;
            // A gateway that stops reading half-way is as good as one that reads it all.
            drop(connection.send_message(message).await);
            codes.push(connection.close_code().await?);
        }
    }
    cohort.quiet(talk).await?;
    codes.sort_unstable();
    codes.dedup();
    let documented = |code: &u16| matches!(*code, close::BAD_FRAME | 1003 | 1006 | 1007 | 1009);
    ensure!(codes.iter().all(documented), "closed with {codes:?}");
    Ok(format!("closed with {codes:?}; {}", cohort.finish().await?))
}

pub(super) async fn garbage_instead_of_http(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(4).await?;
    let talk = cohort.talk();
    let address = address(&world.system.gateway_urls()?.swap_remove(0));
    let mut ends = Vec::new();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost: x\r\n",
        b"POST /ws HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
        &[0; 4096],
        b"",
    ] {
        for _ in 0..world.scale(5, 50) {
            let address = address.clone();
            let bytes = bytes.to_vec();
            ends.push(tokio::spawn(async move {
                let mut socket = TcpStream::connect(address).await?;
                socket.write_all(&bytes).await?;
                let mut rest = Vec::new();
                // A reset is an end as well.
                drop(within(PATIENCE, "the gateway to close", socket.read_to_end(&mut rest)).await?);
                Ok::<_, Failure>(())
            }));
        }
    }
    let count = ends.len();
    for end in ends {
        end.await??;
    }
    cohort.quiet(talk).await?;
    Ok(format!("{count} closed; {}", cohort.finish().await?))
}

pub(super) async fn connections_without_hello(world: &mut World) -> Outcome<String> {
    let gateway = world.gateway_with(&[("HELLO_TIMEOUT", "1000")]).await?;
    let url = gateway.gateway()?.to_owned();
    let mut silent = Vec::new();
    for _ in 0..world.scale(50, 500) {
        silent.push(Connection::open(&url, Greeting::Silent).await?);
    }
    let count = silent.len();
    for mut connection in silent {
        let code = connection.close_code().await?;
        ensure!(code == close::NO_HELLO, "closed with {code}");
    }
    Ok(format!("{count} closed with {}", close::NO_HELLO))
}

pub(super) async fn forged_tokens(world: &mut World) -> Outcome<String> {
    let room = world.room(1).await?;
    let url = world.system.gateway_urls()?.swap_remove(0);
    let good = &room.members[0].token;
    let none = "eyJhbGciOiJub25lIiwia2lkIjoidGVzdCJ9";
    let payload = good.split('.').nth(1).unwrap_or_default();
    let mut refused = 0;
    for token in ["x".to_owned(), good[..good.len() - 3].to_owned(), format!("{none}.{payload}."), "y".repeat(4000)] {
        for greeting in [Greeting::Header(&token), Greeting::Hello(&token)] {
            match Connection::greet(&url, greeting).await {
                Err(ConnectionError::Closed(close::UNAUTHENTICATED)) => refused += 1,
                Err(ConnectionError::Refused(status)) if status == 401 => refused += 1,
                other => return Err(Failure::new(format!("{greeting:?} was answered with {:?}", other.map(drop)))),
            }
        }
    }
    Ok(format!("{refused} refused"))
}

pub(super) async fn flood_of_commands(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(4).await?;
    let talk = cohort.talk_of(3);
    let room = cohort.room.id;
    let url = world.system.gateway_urls()?.swap_remove(0);
    let (mut connection, _) = Connection::greet(&url, Greeting::Header(&cohort.room.members[3].token)).await?;
    connection.join(room).await?;
    let count = 1000;
    for number in 0..count {
        let id = connection.next_id();
        let command = Command::Send { id, room, nonce: format!("f-{number}"), text: format!("flood {number}") };
        connection.feed_message(Message::text(serde_json::to_string(&command)?)).await?;
    }
    connection.flush().await?;
    let (mut accepted, mut limited, mut waits) = (Vec::new(), 0, 0);
    let end = loop {
        let reply = connection.expect(|incoming| match incoming {
            Incoming::Frame(frame) => Some(*frame),
            _ => None,
        });
        match reply.await {
            Ok(Frame::Ack { seq: Some(seq), .. }) => accepted.push(seq),
            Ok(Frame::Error { code: ErrorCode::RateLimited, temporary: true, retry_after_ms, .. }) => {
                limited += 1;
                waits += usize::from(retry_after_ms.is_some());
            }
            Ok(other) => return Err(Failure::new(format!("a flooding client got {other:?}"))),
            Err(ConnectionError::Closed(code)) => break Some(code),
            Err(_) => break None,
        }
        if accepted.len() + limited == count {
            break None;
        }
    };
    ensure!(limited > 0 && waits == limited, "{} accepted, {limited} limited, {waits} told how long", accepted.len());
    ensure!(end.is_none_or(|code| code == close::TOO_MANY), "closed with {end:?}");
    ensure!(accepted.is_sorted(), "accepted out of order");
    cohort.quiet(talk).await?;
    Ok(format!("{} accepted, {limited} limited, closed {end:?}; {}", accepted.len(), cohort.finish().await?))
}

pub(super) async fn strangers_at_the_door(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(4).await?;
    let strangers = world.room(4).await?;
    let talk = cohort.talk();
    let urls = world.system.gateway_urls()?;
    let room = cohort.room.id;
    let mut refused = 0;
    for (number, stranger) in strangers.members.iter().enumerate() {
        let (mut connection, _) = Connection::greet(&urls[number % 2], Greeting::Header(&stranger.token)).await?;
        let (join, send) = (connection.next_id(), connection.next_id());
        let commands = [
            (join, Command::Join { id: join, room, since: None }),
            (send, Command::Send { id: send, room, nonce: "n".into(), text: "들어가도 되나요?".into() }),
        ];
        for (id, command) in commands {
            let reply = connection.request(id, &command).await?;
            let code = match &reply {
                Frame::Error { code, .. } => *code,
                other => return Err(Failure::new(format!("a stranger got {other:?}"))),
            };
            ensure!(matches!(code, ErrorCode::NotAMember | ErrorCode::NotJoined), "a stranger got {code:?}");
            refused += 1;
        }
        let heard = tokio::time::timeout(Duration::from_millis(300), async {
            loop {
                if let Incoming::Entry(entry) = connection.next().await? {
                    return Ok::<_, ConnectionError>(entry.seq);
                }
            }
        });
        ensure!(heard.await.is_err(), "a stranger heard the room");
    }
    cohort.quiet(talk).await?;
    Ok(format!("{refused} refused; {}", cohort.finish().await?))
}

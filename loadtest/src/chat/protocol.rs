//! Description of a chat server's protocol over WebSocket: how to connect, subscribe, publish, and tell a delivery.
//!
//! Everything but this description is the same for every server that is measured. Texts may hold placeholders:
//! `{user}`, `{token}`, `{room}`, and when publishing `{id}` (a number, unique on the connection), `{nonce}` and `{text}`
//! (the measured text: digits and `x` only, so that it needs no escaping).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Member;
use crate::socket::{Upgrade, contains};

/// A chat protocol, as a `peer.toml` describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// Path and query of the upgrade.
    pub path: String,
    /// Further header fields of the upgrade.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What is said after the upgrade.
    #[serde(default)]
    pub connect: Vec<Step>,
    /// What is said to hear a room.
    #[serde(default)]
    pub subscribe: Vec<Step>,
    /// What is said to speak; absent for a server that speaks by itself.
    pub publish: Option<Publish>,
    /// How deliveries are told from other frames.
    #[serde(default)]
    pub receive: Receive,
    /// The protocol's own ping; WebSocket pings are always answered.
    pub heartbeat: Option<Heartbeat>,
}

/// A frame to send, then a frame to wait for; either may be absent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The frame.
    pub send: Option<String>,
    /// A part of the frame that is awaited; others are dropped.
    pub expect: Option<String>,
}

/// How to publish a message.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// The frame.
    pub send: String,
    /// The beginning of the frame that says it was accepted, ending with `{id}`; absent if the protocol has none.
    pub ack: Option<String>,
    /// The beginning of the frame that says it was not, ending with `{id}`.
    pub refused: Option<String>,
}

/// How to tell a delivery.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receive {
    /// A part of every frame that delivers; every frame with a measured text does, if this is empty.
    #[serde(default)]
    pub contains: String,
}

/// A ping of the protocol itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// The server's frame, whole.
    pub receive: String,
    /// The answer.
    pub send: String,
}

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A message was accepted.
    Ack(u64),
    /// A message was not accepted.
    Refused(u64),
    /// A ping that wants an answer.
    Ping,
    /// Measured messages, perhaps.
    Delivery,
    /// Nothing that matters.
    Other,
}

impl Protocol {
    /// The protocol of this service (`mingizuk.v1`).
    pub fn mingizuk() -> Self {
        let step =
            |send: Option<&str>, expect: &str| Step { send: send.map(str::to_owned), expect: Some(expect.to_owned()) };
        Self {
            path: "/ws".into(),
            headers: [("Authorization", "Bearer {token}"), ("Sec-WebSocket-Protocol", "mingizuk.v1")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            connect: vec![step(None, r#""type":"welcome""#)],
            subscribe: vec![step(Some(r#"{"type":"join","id":1,"room":"{room}"}"#), r#""type":"joined""#)],
            publish: Some(Publish {
                send: r#"{"type":"send","id":{id},"room":"{room}","nonce":"{nonce}","text":"{text}"}"#.into(),
                ack: Some(r#"{"type":"ack","id":{id}"#.into()),
                refused: Some(r#"{"type":"error","id":{id}"#.into()),
            }),
            receive: Receive::default(),
            heartbeat: None,
        }
    }

    /// The upgrade of `member` at `address`.
    pub fn upgrade(&self, address: &str, member: &Member, room: &str) -> Upgrade {
        let fill = |text: &String| fill(text, member, room);
        Upgrade {
            address: address.to_owned(),
            path: fill(&self.path),
            headers: self.headers.iter().map(|(name, value)| (name.clone(), fill(value))).collect(),
            receive_buffer: None,
        }
    }

    /// What a frame says.
    pub fn hear(&self, frame: &[u8]) -> Heard {
        if let Some(heartbeat) = &self.heartbeat
            && frame == heartbeat.receive.as_bytes()
        {
            return Heard::Ping;
        }
        if let Some(publish) = &self.publish {
            if let Some(id) = answered(frame, publish.ack.as_deref()) {
                return Heard::Ack(id);
            }
            if let Some(id) = answered(frame, publish.refused.as_deref()) {
                return Heard::Refused(id);
            }
        }
        if contains(frame, self.receive.contains.as_bytes()) { Heard::Delivery } else { Heard::Other }
    }
}

impl Publish {
    /// The frame of one message.
    pub fn frame(&self, member: &Member, room: &str, id: u64, text: &str) -> String {
        let nonce = format!("{}-{id}", member.name);
        fill(&self.send, member, room)
            .replace("{id}", &id.to_string())
            .replace("{nonce}", &nonce)
            .replace("{text}", text)
    }
}

/// `text` with the placeholders that concern a person and a room filled in.
pub fn fill(text: &str, member: &Member, room: &str) -> String {
    let mut filled = text.to_owned();
    for (name, value) in [("{user}", member.name.as_str()), ("{token}", &member.token), ("{room}", room)] {
        if filled.contains(name) {
            filled = filled.replace(name, value);
        }
    }
    filled
}

fn answered(frame: &[u8], pattern: Option<&str>) -> Option<u64> {
    let prefix = pattern?.split("{id}").next()?;
    number_after(frame, prefix.as_bytes())
}

/// The digits that follow `prefix` at the beginning of `bytes`.
pub fn number_after(bytes: &[u8], prefix: &[u8]) -> Option<u64> {
    let digits = bytes.strip_prefix(prefix)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    if end == 0 {
        return None;
    }
    digits[..end].iter().try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_where_they_stand() {
        for (bytes, prefix, number) in [
            (&br#"{"seq":17,"room""#[..], &br#"{"seq":"#[..], Some(17)),
            (b"00000000000000000042xx", b"", Some(42)),
            (b"x1", b"", None),
            (b"", b"", None),
            (b"99999999999999999999", b"", None),
        ] {
            assert_eq!(number_after(bytes, prefix), number);
        }
    }

    #[test]
    fn frames_are_told_apart() {
        let socketio: Protocol = toml::from_str(
            "path = '/socket.io/?EIO=4&transport=websocket'\n\
             publish = { send = '42{id}[\"say\",\"{room}\",\"{text}\"]', ack = '43{id}' }\n\
             receive = { contains = '\"message\"' }\nheartbeat = { receive = '2', send = '3' }",
        )
        .expect("a protocol");
        for (protocol, frame, heard) in [
            (&socketio, "2", Heard::Ping),
            (&socketio, r#"4312[{"ok":true}]"#, Heard::Ack(12)),
            (&socketio, r#"42["message","000"]"#, Heard::Delivery),
            (&socketio, r#"42["other"]"#, Heard::Other),
            (&Protocol::mingizuk(), r#"{"type":"ack","id":7,"room":"r"}"#, Heard::Ack(7)),
            (&Protocol::mingizuk(), r#"{"type":"error","id":7,"code":"x"}"#, Heard::Refused(7)),
            (&Protocol::mingizuk(), r#"{"seq":1}"#, Heard::Delivery),
        ] {
            assert_eq!(protocol.hear(frame.as_bytes()), heard, "{frame}");
        }
    }

    #[test]
    fn placeholders_are_filled_and_unknown_keys_refused() {
        let member = Member { name: "u1".into(), token: "t".into() };
        let publish = Protocol::mingizuk().publish.expect("it publishes");
        let frame = publish.frame(&member, "r", 9, "hi");
        assert_eq!(frame, r#"{"type":"send","id":9,"room":"r","nonce":"u1-9","text":"hi"}"#);
        assert!(toml::from_str::<Protocol>("path = '/'\npubilsh = 1").is_err());
    }
}

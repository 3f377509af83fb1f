//! A gateway's connection without a client's memory, for programs that stop reading or read on without parsing.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use crate::{
    chat::{Member, protocol::Protocol},
    failure::{Failure, Outcome, While, within},
    socket::{Sender, Socket},
};

/// How long a connection or an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// A receive buffer that is soon full when nobody reads, in bytes.
const SMALL: u32 = 4096;

/// A welcomed connection.
#[derive(Debug)]
pub struct Receiver(Socket);

impl Receiver {
    /// Connects to `address` (`host:port`), upgrades with the token in the header, and waits for the welcome.
    ///
    /// # Errors
    /// When the gateway does not welcome the connection within 10 s.
    pub async fn open(address: &str, token: &str) -> Outcome<Self> {
        Self::open_with(address, token, None).await
    }

    /// The same with a receive buffer of a few KiB: soon full when nobody reads.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_slow(address: &str, token: &str) -> Outcome<Self> {
        Self::open_with(address, token, Some(SMALL)).await
    }

    async fn open_with(address: &str, token: &str, receive_buffer: Option<u32>) -> Outcome<Self> {
        let member = Member { name: String::new(), token: token.to_owned() };
        let mut upgrade = Protocol::mingizuk().upgrade(address, &member, "");
        upgrade.receive_buffer = receive_buffer;
        let open = async {
            let mut socket = Socket::open(&upgrade).await?;
            socket.until(br#""type":"welcome""#).await.map(|_| Self(socket))
        };
        within(PATIENCE, "a welcome", open).await?.doing("connecting")
    }

    /// The sending half.
    pub fn sender(&self) -> Sender {
        self.0.sender()
    }

    /// Joins a room and returns the `seq` it is joined at.
    ///
    /// # Errors
    /// When the gateway refuses or does not answer within 10 s.
    pub async fn join(&mut self, room: Uuid) -> Outcome<u64> {
        self.sender().send(&json!({"type": "join", "id": 1, "room": room}).to_string()).await?;
        let answer = within(PATIENCE, "joined", self.0.until(br#""type":"joined""#)).await??;
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        answer["seq"].as_u64().ok_or_else(|| Failure::new("joined without a seq"))
    }

    /// Reads once and hands every whole text frame to `take`. Pings are answered.
    ///
    /// # Errors
    /// When the connection is closed, with the code.
    pub async fn receive(&mut self, take: impl FnMut(&[u8])) -> Outcome {
        Ok(self.0.receive(take).await?)
    }
}

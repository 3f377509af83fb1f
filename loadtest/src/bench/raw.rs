//! A connection that costs the generator next to nothing: frames are cut out of the byte stream and not parsed, so that
//! one machine can drive the gateway and measure it.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Mutex,
};
use uuid::Uuid;
use wire::{Command, SUBPROTOCOL};

use crate::failure::{Failure, Outcome, within};

/// Bytes read at once, at most.
const READ: usize = 64 * 1024;
/// Opcodes of RFC 6455, section 5.2.
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The receiving half.
#[derive(Debug)]
pub struct Receiver {
    socket: OwnedReadHalf,
    sender: Sender,
    buffer: Vec<u8>,
    start: usize,
}

/// The sending half. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sender(Arc<Mutex<OwnedWriteHalf>>);

impl Sender {
    /// Sends a text frame.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send(&self, text: &str) -> Outcome {
        Ok(self.0.lock().await.write_all(&frame(TEXT, text.as_bytes())).await?)
    }

    /// Sends several text frames with one write.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send_all(&self, texts: impl IntoIterator<Item = String>) -> Outcome {
        let bytes: Vec<u8> = texts.into_iter().flat_map(|text| frame(TEXT, text.as_bytes())).collect();
        Ok(self.0.lock().await.write_all(&bytes).await?)
    }
}

/// A client's frame. Its mask is zero: allowed, and nothing has to be computed (RFC 6455, section 5.3).
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 14);
    bytes.push(0x80 | opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short), _) if short < 126 => bytes.push(0x80 | short),
        (_, Ok(middle)) => {
            bytes.push(0x80 | 126);
            bytes.extend(middle.to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// Where the first whole frame of `bytes` has its payload and ends.
fn cut(bytes: &[u8]) -> Option<(u8, std::ops::Range<usize>)> {
    let (opcode, short) = (bytes.first()? & 0x0f, usize::from(*bytes.get(1)? & 0x7f));
    let (head, length) = match short {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        short => (2, short),
    };
    (bytes.len() >= head + length).then_some((opcode, head..head + length))
}

impl Receiver {
    /// Connects to `address`, upgrades with the token in the header, and waits for the welcome.
    ///
    /// # Errors
    /// When the gateway does not welcome the connection within 10 s.
    pub async fn open(address: &str, token: &str) -> Outcome<Self> {
        let connect = async { Self::welcomed(TcpStream::connect(address).await?, address, token).await };
        within(super::PATIENCE, "a welcome", connect).await?
    }

    /// The same with a receive buffer of a few KiB: soon full when nobody reads.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_slow(address: &str, token: &str) -> Outcome<Self> {
        let connect = async {
            let socket = TcpSocket::new_v4()?;
            socket.set_recv_buffer_size(4096)?;
            Self::welcomed(socket.connect(address.parse()?).await?, address, token).await
        };
        within(super::PATIENCE, "a welcome", connect).await?
    }

    async fn welcomed(stream: TcpStream, address: &str, token: &str) -> Outcome<Self> {
        stream.set_nodelay(true)?;
        let (socket, writer) = stream.into_split();
        let mut receiver = Self { socket, sender: Sender(Arc::new(Mutex::new(writer))), buffer: Vec::new(), start: 0 };
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        receiver.sender.0.lock().await.write_all(request.as_bytes()).await?;
        receiver.upgraded().await?;
        receiver.until(br#""type":"welcome""#).await?;
        Ok(receiver)
    }

    async fn upgraded(&mut self) -> Outcome {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let good = self.buffer.starts_with(b"HTTP/1.1 101");
                let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.start = end + 4;
                return if good { Ok(()) } else { Err(Failure::new(head)) };
            }
            self.fill().await?;
        }
    }

    /// The sending half.
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Joins a room and returns the `seq` it is joined at.
    ///
    /// # Errors
    /// When the gateway refuses or does not answer within 10 s.
    pub async fn join(&mut self, room: Uuid) -> Outcome<u64> {
        let command = serde_json::to_string(&Command::Join { id: 1, room, since: None })?;
        self.sender.send(&command).await?;
        let answer = within(super::PATIENCE, "joined", self.until(br#""type":"joined""#)).await??;
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        answer["seq"].as_u64().ok_or_else(|| Failure::new("joined without a seq"))
    }

    async fn until(&mut self, mark: &[u8]) -> Outcome<Vec<u8>> {
        let mut found = None;
        while found.is_none() {
            self.receive(|text| {
                if found.is_none() && text.windows(mark.len()).any(|bytes| bytes == mark) {
                    found = Some(text.to_vec());
                }
            })
            .await?;
        }
        found.ok_or_else(|| Failure::new("nothing found"))
    }

    /// Reads once and hands every whole text frame to `take`. Pings are answered.
    ///
    /// # Errors
    /// When the connection is closed, with the code.
    pub async fn receive(&mut self, mut take: impl FnMut(&[u8])) -> Outcome {
        if cut(&self.buffer[self.start..]).is_none() {
            self.fill().await?;
        }
        while let Some((opcode, payload)) = cut(&self.buffer[self.start..]) {
            let range = self.start + payload.start..self.start + payload.end;
            self.start = range.end;
            match opcode {
                TEXT => take(&self.buffer[range]),
                PING => {
                    let pong = frame(PONG, &self.buffer[range]);
                    self.sender.0.lock().await.write_all(&pong).await?;
                }
                CLOSE => {
                    let code = self.buffer[range].get(..2).map_or(1005, |b| u16::from_be_bytes([b[0], b[1]]));
                    return Err(Failure::new(format!("closed with {code}")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn fill(&mut self) -> Outcome {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.reserve(READ);
        match self.socket.read_buf(&mut self.buffer).await? {
            0 => Err(Failure::new("closed without a code")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_where_they_end() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let mut bytes = frame(TEXT, &vec![b'x'; length]);
            // A server's frame has no mask.
            bytes[1] &= 0x7f;
            let head = bytes.len() - 4 - length;
            bytes.drain(head..head + 4);
            assert_eq!(cut(&bytes), Some((TEXT, head..head + length)));
            assert_eq!(cut(&bytes[..bytes.len() - 1]), None);
        }
    }
}

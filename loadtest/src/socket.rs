//! WebSocket client connection for load generators: frames are cut out of the byte stream and not parsed, so that one
//! machine can drive a server and measure it.

use std::{fmt, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Mutex,
};

use crate::failure::Failure;

/// Bytes read at once, at most.
const READ: usize = 64 * 1024;
/// Bytes of a handshake's answer, at most.
const HEAD: usize = 64 * 1024;
/// Opcodes of RFC 6455, section 5.2.
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Why a connection is no more.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The server sent a close frame; 1005 if it carried no code (RFC 6455, section 7.1.5).
    #[error("closed with {0}")]
    Closed(u16),
    /// The stream ended without a close frame.
    #[error("closed without a code")]
    Lost,
    /// The upgrade was answered with this instead of status 101.
    #[error("the upgrade was refused: {0}")]
    Refused(String),
    /// The stream failed.
    #[error("the connection failed: {0}")]
    Broken(#[from] std::io::Error),
}

impl Ended {
    /// The close code: 1006 for a connection without a close frame.
    pub const fn code(&self) -> u16 {
        match self {
            Self::Closed(code) => *code,
            _ => 1006,
        }
    }
}

/// The request that opens a connection.
#[derive(Clone, Debug, Default)]
pub struct Upgrade {
    /// `host:port`.
    pub address: String,
    /// Path and query, beginning with `/`.
    pub path: String,
    /// Further header fields.
    pub headers: Vec<(String, String)>,
    /// Size of the socket's receive buffer in bytes; the system's own if absent.
    pub receive_buffer: Option<u32>,
}

/// The receiving half.
#[derive(Debug)]
pub struct Socket {
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
    pub async fn send(&self, text: &str) -> Result<(), Ended> {
        Ok(self.0.lock().await.write_all(&frame(TEXT, text.as_bytes())).await?)
    }

    /// Sends several text frames with one write.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send_all(&self, texts: impl IntoIterator<Item = String>) -> Result<(), Ended> {
        let bytes: Vec<u8> = texts.into_iter().flat_map(|text| frame(TEXT, text.as_bytes())).collect();
        Ok(self.0.lock().await.write_all(&bytes).await?)
    }
}

/// A client's frame. Its mask is zero: allowed, and nothing has to be computed (RFC 6455, section 5.3).
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 14);
    bytes.push(0x80 | opcode);
    push_length(&mut bytes, payload.len(), 0x80);
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// A server's text frame, which has no mask.
pub(crate) fn server_frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 10);
    bytes.push(0x80 | TEXT);
    push_length(&mut bytes, payload.len(), 0);
    bytes.extend(payload);
    bytes
}

fn push_length(bytes: &mut Vec<u8>, length: usize, mask: u8) {
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 126 => bytes.push(mask | short),
        (_, Ok(middle)) => {
            bytes.push(mask | 126);
            bytes.extend(middle.to_be_bytes());
        }
        _ => {
            bytes.push(mask | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
}

/// Where the first whole frame of `bytes`, which has no mask, has its payload and ends.
fn cut(bytes: &[u8]) -> Option<(u8, std::ops::Range<usize>)> {
    let (opcode, short) = (bytes.first()? & 0x0f, usize::from(*bytes.get(1)? & 0x7f));
    let (head, length) = match short {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        short => (2, short),
    };
    (bytes.len() >= head + length).then_some((opcode, head..head + length))
}

impl Socket {
    /// Connects and upgrades. There is no time limit here: the caller has one.
    ///
    /// # Errors
    /// [`Ended::Refused`] with the head of the answer if its status is not 101.
    pub async fn open(upgrade: &Upgrade) -> Result<Self, Ended> {
        let stream = match upgrade.receive_buffer {
            None => TcpStream::connect(&upgrade.address).await?,
            Some(bytes) => {
                let socket = TcpSocket::new_v4()?;
                socket.set_recv_buffer_size(bytes)?;
                socket.connect(upgrade.address.parse().map_err(std::io::Error::other)?).await?
            }
        };
        stream.set_nodelay(true)?;
        let (socket, writer) = stream.into_split();
        let mut this = Self { socket, sender: Sender(Arc::new(Mutex::new(writer))), buffer: Vec::new(), start: 0 };
        this.sender.0.lock().await.write_all(upgrade.to_string().as_bytes()).await?;
        this.upgraded().await?;
        Ok(this)
    }

    async fn upgraded(&mut self) -> Result<(), Ended> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let good = self.buffer.starts_with(b"HTTP/1.1 101");
                let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.start = end + 4;
                return if good { Ok(()) } else { Err(Ended::Refused(head)) };
            }
            if self.buffer.len() > HEAD {
                return Err(Ended::Refused("a head without an end".into()));
            }
            self.fill().await?;
        }
    }

    /// The sending half.
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Reads once and hands every whole text frame to `take`. Pings are answered.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn receive(&mut self, mut take: impl FnMut(&[u8])) -> Result<(), Ended> {
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
                    return Err(Ended::Closed(code));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The next text frame that contains `mark`; others are dropped.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn until(&mut self, mark: &[u8]) -> Result<Vec<u8>, Ended> {
        let mut found = None;
        loop {
            self.receive(|text| {
                if found.is_none() && contains(text, mark) {
                    found = Some(text.to_vec());
                }
            })
            .await?;
            if let Some(found) = found {
                return Ok(found);
            }
        }
    }

    async fn fill(&mut self) -> Result<(), Ended> {
        self.buffer.drain(..self.start);
        self.start = 0;
        // A connection at rest keeps no buffer of the size of a burst.
        if self.buffer.is_empty() && self.buffer.capacity() > READ / 4 {
            self.buffer = Vec::new();
        }
        self.socket.readable().await?;
        self.buffer.reserve(READ / 16);
        match self.socket.read_buf(&mut self.buffer).await? {
            0 => Err(Ended::Lost),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            self.path, self.address
        )?;
        for (name, value) in &self.headers {
            write!(f, "{name}: {value}\r\n")?;
        }
        f.write_str("\r\n")
    }
}

/// Whether `bytes` contains `mark`.
pub(crate) fn contains(bytes: &[u8], mark: &[u8]) -> bool {
    mark.is_empty() || bytes.windows(mark.len()).any(|window| window == mark)
}

impl Ended {
    /// The same as a failure of a program's step.
    pub fn while_doing(self, doing: impl fmt::Display) -> Failure {
        Failure::new(format!("{doing}: {self}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_where_they_end() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let bytes = server_frame(&vec![b'x'; length]);
            let head = bytes.len() - length;
            assert_eq!(cut(&bytes), Some((TEXT, head..head + length)));
            assert_eq!(cut(&bytes[..bytes.len() - 1]), None);
            assert_eq!(frame(TEXT, &vec![b'x'; length]).len(), bytes.len() + 4);
        }
    }

    #[test]
    fn the_request_has_the_callers_fields() {
        let upgrade = Upgrade {
            address: "127.0.0.1:1".into(),
            path: "/ws".into(),
            headers: vec![("Authorization".into(), "Bearer t".into())],
            receive_buffer: None,
        };
        let text = upgrade.to_string();
        assert!(text.starts_with("GET /ws HTTP/1.1\r\nHost: 127.0.0.1:1\r\n") && text.ends_with("t\r\n\r\n"), "{text}");
    }
}

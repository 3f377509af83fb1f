//! One WebSocket connection to a gateway, without memory: what [`Client`](super::Client) is built on, and what hostile
//! or measuring programs use directly.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error as WsError, Message,
        client::IntoClientRequest,
        http::{HeaderValue, StatusCode, header},
        protocol::WebSocketConfig,
    },
};
use uuid::Uuid;
use wire::{Command, Entry, Ephemeral, Frame, Limits, Person, SUBPROTOCOL};

/// How long connecting, or the answer to a command, may take.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How a connection says who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting<'a> {
    /// An `Authorization` header on the upgrade.
    Header(&'a str),
    /// A `hello` frame, as browsers must.
    Hello(&'a str),
    /// Not at all.
    Silent,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The upgrade was answered with a status other than 101.
    #[error("the upgrade was refused with status {0}")]
    Refused(StatusCode),
    /// The connection was closed with this code; 1006 if without one (RFC 6455, section 7.1.5).
    #[error("the connection was closed with {0}")]
    Closed(u16),
    /// No answer within [`PATIENCE`].
    #[error("no answer from the gateway")]
    Timeout,
    /// Anything else.
    #[error("{0}")]
    Broken(String),
}

impl From<WsError> for ConnectionError {
    fn from(error: WsError) -> Self {
        match error {
            WsError::Http(response) => Self::Refused(response.status()),
            WsError::ConnectionClosed | WsError::AlreadyClosed | WsError::Io(_) | WsError::Protocol(_) => {
                Self::Closed(1006)
            }
            other => Self::Broken(other.to_string()),
        }
    }
}

impl From<std::io::Error> for ConnectionError {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// What a gateway sends.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// An entry of a room's log.
    Entry(Box<Entry>),
    /// Anything else of the protocol.
    Frame(Box<Frame>),
    /// Something that is not in the log: presence, typing, read marks.
    Ephemeral(Box<Ephemeral>),
    /// A frame that this client does not know: a newer gateway's.
    Unknown(String),
    /// A ping; it has been answered.
    Ping,
}

impl Incoming {
    fn parse(text: &str) -> Self {
        // Entries begin with their number: most frames by far are told apart without trying.
        if text.starts_with(r#"{"seq":"#)
            && let Ok(entry) = serde_json::from_str(text)
        {
            return Self::Entry(Box::new(entry));
        }
        if let Ok(frame) = serde_json::from_str(text) {
            return Self::Frame(Box::new(frame));
        }
        match serde_json::from_str(text) {
            Ok(event) => Self::Ephemeral(Box::new(event)),
            Err(_) => Self::Unknown(text.to_owned()),
        }
    }
}

/// What the gateway said first.
#[derive(Clone, Debug, PartialEq)]
pub struct Welcome {
    /// The connection's id, as in the gateway's logs.
    pub connection: Uuid,
    /// Whom the connection speaks for.
    pub user: Person,
    /// Time between two pings.
    pub heartbeat: Duration,
    /// What the gateway accepts.
    pub limits: Limits,
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    socket: WebSocketStream<TcpStream>,
    last_id: u64,
}

impl Connection {
    /// Opens a connection to `url` (`ws://host:port/ws`).
    ///
    /// # Errors
    /// [`ConnectionError`], within [`PATIENCE`].
    pub async fn open(url: &str, greeting: Greeting<'_>) -> Result<Self, ConnectionError> {
        let opened = tokio::time::timeout(PATIENCE, Self::open_now(url, greeting)).await;
        opened.map_err(|_| ConnectionError::Timeout)?
    }

    async fn open_now(url: &str, greeting: Greeting<'_>) -> Result<Self, ConnectionError> {
        let mut request = url.into_client_request()?;
        let headers = request.headers_mut();
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        if let Greeting::Header(token) = greeting {
            let value = HeaderValue::from_str(&format!("Bearer {token}"));
            headers.insert(
                header::AUTHORIZATION,
                value.map_err(|_| ConnectionError::Broken("the token is no header value".into()))?,
            );
        }
        let host = request.uri().host().unwrap_or_default().to_owned();
        let tcp = TcpStream::connect((host, request.uri().port_u16().unwrap_or(80))).await?;
        tcp.set_nodelay(true)?;
        let config = WebSocketConfig::default().read_buffer_size(4096);
        let (socket, _) = tokio_tungstenite::client_async_with_config(request, tcp, Some(config)).await?;
        let mut connection = Self { socket, last_id: 0 };
        if let Greeting::Hello(token) = greeting {
            connection.send(&Command::Hello { token: token.to_owned() }).await?;
        }
        Ok(connection)
    }

    /// Opens a connection and waits for the welcome.
    ///
    /// # Errors
    /// [`ConnectionError::Closed`] with 4401 or 4403 when the token is not accepted.
    pub async fn greet(url: &str, greeting: Greeting<'_>) -> Result<(Self, Welcome), ConnectionError> {
        let mut connection = Self::open(url, greeting).await?;
        let welcome = connection
            .expect(|incoming| match incoming {
                Incoming::Frame(frame) => match *frame {
                    Frame::Welcome { connection, user, heartbeat_ms, limits, .. } => {
                        let heartbeat = Duration::from_millis(heartbeat_ms);
                        Some(Welcome { connection, user, heartbeat, limits })
                    }
                    _ => None,
                },
                _ => None,
            })
            .await?;
        Ok((connection, welcome))
    }

    /// A number for the next command.
    pub const fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Sends a command.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send(&mut self, command: &Command) -> Result<(), ConnectionError> {
        let text = serde_json::to_string(command).map_err(|error| ConnectionError::Broken(error.to_string()))?;
        self.send_message(Message::text(text)).await
    }

    /// Sends any WebSocket message, well-formed or not.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send_message(&mut self, message: Message) -> Result<(), ConnectionError> {
        Ok(self.socket.send(message).await?)
    }

    /// Queues a message without flushing it, so that several go out at once with the next flush.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn feed_message(&mut self, message: Message) -> Result<(), ConnectionError> {
        Ok(self.socket.feed(message).await?)
    }

    /// Flushes what was queued.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn flush(&mut self) -> Result<(), ConnectionError> {
        Ok(self.socket.flush().await?)
    }

    /// The next frame, however long it takes.
    ///
    /// # Errors
    /// [`ConnectionError::Closed`] with the gateway's code.
    pub async fn next(&mut self) -> Result<Incoming, ConnectionError> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(Incoming::parse(&text)),
                Some(Ok(Message::Ping(_))) => return Ok(Incoming::Ping),
                Some(Ok(Message::Close(frame))) => {
                    // Reading on completes the closing handshake.
                    drop(self.socket.next().await);
                    return Err(ConnectionError::Closed(frame.map_or(1005, |frame| frame.code.into())));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err(ConnectionError::Closed(1006)),
            }
        }
    }

    /// The first frame that `wanted` takes; others are dropped.
    ///
    /// # Errors
    /// [`ConnectionError::Timeout`] after [`PATIENCE`], or when the connection is gone.
    pub async fn expect<T>(&mut self, mut wanted: impl FnMut(Incoming) -> Option<T>) -> Result<T, ConnectionError> {
        let search = async {
            loop {
                if let Some(found) = wanted(self.next().await?) {
                    return Ok(found);
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.map_err(|_| ConnectionError::Timeout)?
    }

    /// The code with which the gateway closes the connection; frames before it are dropped.
    ///
    /// # Errors
    /// [`ConnectionError::Timeout`] if it does not within [`PATIENCE`].
    pub async fn close_code(&mut self) -> Result<u16, ConnectionError> {
        match self.expect(|_| None::<()>).await {
            Err(ConnectionError::Closed(code)) => Ok(code),
            Err(error) => Err(error),
            Ok(()) => Err(ConnectionError::Timeout),
        }
    }

    /// Joins a room without a position and returns the `joined` frame.
    ///
    /// # Errors
    /// [`ConnectionError::Broken`] with the refusal's code.
    pub async fn join(&mut self, room: Uuid) -> Result<Frame, ConnectionError> {
        let id = self.next_id();
        self.request(id, &Command::Join { id, room, since: None }).await
    }

    /// Sends a command and waits for its reply; other frames are dropped.
    ///
    /// # Errors
    /// When the connection is gone or silent. A refusal is a reply.
    pub async fn request(&mut self, id: u64, command: &Command) -> Result<Frame, ConnectionError> {
        self.send(command).await?;
        self.expect(|incoming| match incoming {
            Incoming::Frame(frame) if reply_id(&frame) == Some(id) => Some(*frame),
            _ => None,
        })
        .await
    }

    /// Says good-bye and closes.
    pub async fn close(mut self) {
        drop(tokio::time::timeout(Duration::from_secs(1), self.socket.close(None)).await);
    }
}

/// The `id` of the command that a frame answers.
pub const fn reply_id(frame: &Frame) -> Option<u64> {
    match frame {
        Frame::Joined { id, .. } | Frame::Error { id, .. } => *id,
        Frame::Ack { id, .. } | Frame::Left { id, .. } => Some(*id),
        _ => None,
    }
}

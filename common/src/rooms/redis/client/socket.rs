//! A connection to one server: TCP, TLS, and the opening handshake (`HELLO 3`, log-in, choice of the database).

use std::time::Duration;

use futures_util::StreamExt;
use redis_protocol::{codec::Resp3, resp3::types::BytesFrame};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tokio_util::codec::FramedRead;

use super::{
    command::Command,
    endpoint::{Address, Endpoint},
    reply::{Reply, error_of, text_of},
};
use crate::rooms::RoomError;

/// The oldest version with sharded pub/sub.
const OLDEST: u32 = 7;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An open connection, ready for commands in RESP3.
pub(in super::super) struct Socket {
    replies: FramedRead<ReadHalf<Box<dyn Stream>>, Resp3>,
    writer: Writer,
}

/// The sending half.
pub(in super::super) struct Writer(WriteHalf<Box<dyn Stream>>);

/// The receiving half.
pub(in super::super) struct Reader(FramedRead<ReadHalf<Box<dyn Stream>>, Resp3>);

impl Reader {
    /// The next reply or push. Safe to cancel.
    ///
    /// # Errors
    /// When the connection is lost or speaks something else.
    pub(in super::super) async fn next(&mut self) -> Result<Reply, RoomError> {
        next(&mut self.0).await
    }
}

impl Writer {
    /// Sends bytes.
    ///
    /// # Errors
    /// When the connection is lost, or does not take them within `timeout`.
    pub(in super::super) async fn send(&mut self, bytes: &[u8], timeout: Duration) -> Result<(), RoomError> {
        let send = async {
            self.0.write_all(bytes).await?;
            self.0.flush().await
        };
        match tokio::time::timeout(timeout, send).await {
            Ok(outcome) => Ok(outcome.map_err(lost)?),
            Err(_) => Err(RoomError::Unavailable("the connection takes no more commands".to_owned())),
        }
    }
}

impl Socket {
    /// Connects and logs in.
    ///
    /// # Errors
    /// [`RoomError::Unavailable`] that names the server, also when it is too old or has not answered within `timeout`.
    pub(in super::super) async fn connect(
        endpoint: &Endpoint,
        address: &Address,
        timeout: Duration,
    ) -> Result<Self, RoomError> {
        let outcome = match tokio::time::timeout(timeout, Self::open(endpoint, address, timeout)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(RoomError::Unavailable(format!("no connection within {} ms", timeout.as_millis()))),
        };
        outcome.map_err(|error| match error {
            RoomError::Unavailable(why) => RoomError::Unavailable(format!("{address}: {why}")),
            error => error,
        })
    }

    async fn open(endpoint: &Endpoint, address: &Address, timeout: Duration) -> Result<Self, RoomError> {
        let tcp = TcpStream::connect((&*address.host, address.port)).await.map_err(lost)?;
        tcp.set_nodelay(true).map_err(lost)?;
        let stream: Box<dyn Stream> = match &endpoint.tls {
            None => Box::new(tcp),
            Some(tls) => {
                let name = ServerName::try_from(address.host.to_string());
                let name = name.map_err(|error| RoomError::Unavailable(error.to_string()))?;
                Box::new(TlsConnector::from(std::sync::Arc::clone(tls)).connect(name, tcp).await.map_err(lost)?)
            }
        };
        let (reader, writer) = tokio::io::split(stream);
        let mut socket = Self { replies: FramedRead::new(reader, Resp3::default()), writer: Writer(writer) };
        let mut hello = Command::without_key("HELLO").arg("3");
        if let Some(login) = &endpoint.login {
            hello = hello.arg("AUTH").arg(&login.user).arg(&login.password);
        }
        check_version(&socket.ask(&hello, timeout).await?)?;
        if endpoint.database != 0 {
            let select = Command::without_key("SELECT").arg(endpoint.database.to_string());
            if let Some(error) = error_of(&socket.ask(&select, timeout).await?) {
                return Err(RoomError::Unavailable(error.to_owned()));
            }
        }
        Ok(socket)
    }

    async fn ask(&mut self, command: &Command, timeout: Duration) -> Result<Reply, RoomError> {
        self.writer.send(&command.encode(), timeout).await?;
        next(&mut self.replies).await
    }

    /// Both directions.
    pub(in super::super) fn split(self) -> (Reader, Writer) {
        (Reader(self.replies), self.writer)
    }
}

async fn next(replies: &mut FramedRead<ReadHalf<Box<dyn Stream>>, Resp3>) -> Result<Reply, RoomError> {
    match replies.next().await {
        Some(reply) => reply.map_err(|error| RoomError::Unavailable(format!("the connection broke: {error}"))),
        None => Err(RoomError::Unavailable("the connection was closed".to_owned())),
    }
}

fn lost(error: std::io::Error) -> RoomError {
    RoomError::Unavailable(error.to_string())
}

/// Whether the answer to `HELLO 3` is that of a server with everything that is needed.
fn check_version(hello: &Reply) -> Result<(), RoomError> {
    let too_old = |version: &str| {
        let needed = format!("the server is Redis {version}; version {OLDEST} or newer is needed (sharded pub/sub)");
        Err(RoomError::Unavailable(needed))
    };
    match error_of(hello) {
        None => {}
        // Version 6 has HELLO, and 5 has not.
        Some(error) if error.starts_with("ERR unknown command") => return too_old("5 or older"),
        Some(error) => return Err(RoomError::Unavailable(error.to_owned())),
    }
    let BytesFrame::Map { data, .. } = hello else {
        return Err(RoomError::Unavailable("the server is no Redis: it does not answer HELLO".to_owned()));
    };
    let version = data.iter().find(|(name, _)| text_of(name) == Some("version")).and_then(|(_, value)| text_of(value));
    // What says no number is something compatible with a numbering of its own.
    let major = version.and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    match (major, version) {
        (Some(major), Some(version)) if major < OLDEST => too_old(version),
        _ => Ok(()),
    }
}

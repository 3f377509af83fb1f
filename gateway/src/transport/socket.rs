//! WebSocket of one connection, for its session: reading, pongs and the closing handshake. Every byte that is written, also by
//! the WebSocket library itself, goes through the connection's [`Queue`].

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::tcp::OwnedReadHalf,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message, Utf8Bytes,
        handshake::server::Callback,
        protocol::{CloseFrame, WebSocketConfig},
    },
};
use wire::close;

use super::{
    encoded::Encoded,
    queue::{Closing, End, Queue, end},
};

/// The byte stream under the WebSocket library.
struct Stream {
    /// A read half of its own: after a short read it waits for readiness, without another system call.
    socket: OwnedReadHalf,
    queue: Arc<Queue>,
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    /// Takes all bytes: the library writes whole frames, and no other frame may come between the parts of one.
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.queue.reply(Encoded::raw(bytes));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.queue.shut_down())
    }
}

/// The WebSocket of a connection.
pub struct Socket(WebSocketStream<Stream>);

impl Socket {
    /// Answers an upgrade request, which `check` may reject.
    ///
    /// # Errors
    /// When it is rejected or is not one, or the connection is broken.
    pub async fn accept(
        socket: OwnedReadHalf,
        queue: Arc<Queue>,
        check: impl Callback + Unpin,
        config: WebSocketConfig,
    ) -> Result<Self, Error> {
        let stream = Stream { socket, queue: Arc::clone(&queue) };
        let accepted = tokio_tungstenite::accept_hdr_async_with_config(stream, check, Some(config)).await;
        queue.drained().await?;
        accepted.map(Self)
    }

    /// The next message; `None` when the connection is closed. Safe to cancel.
    pub async fn next(&mut self) -> Option<Result<Message, Error>> {
        self.0.next().await
    }

    /// Queues the pongs that the library owes.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.0.flush().await
    }

    /// Answers the client's close frame, if there was one, after the queue is written (RFC 6455, section 5.5.1).
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn finish(&mut self, queue: &Queue) -> Result<(), Error> {
        // The library reports the closed connection as an error.
        drop(self.0.flush().await);
        Ok(queue.drained().await?)
    }

    /// Sends a close frame after the queue and waits for the client's, so that nothing sent before is lost (RFC 6455, section
    /// 7.1.1).
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn close(&mut self, queue: &Queue, closing: Closing) -> Result<(), Error> {
        let reason = Utf8Bytes::from_static(closing.reason);
        self.0.close(Some(CloseFrame { code: closing.code.into(), reason })).await?;
        queue.drained().await?;
        while let Some(Ok(_)) = self.0.next().await {}
        if closing.code == close::BAD_FRAME {
            // The library stops reading after a frame that it could not read. The rest is read here: a socket that is closed with
            // unread bytes is reset, and the reset may overtake the close frame.
            let stream = self.0.get_mut();
            stream.shutdown().await?;
            tokio::io::copy(stream, &mut tokio::io::sink()).await?;
        }
        Ok(())
    }
}

/// How a session ends whose socket failed to read with this error.
pub fn end_of(error: &Error) -> End {
    match error {
        Error::Capacity(_) => end(close::BAD_FRAME, "the frame is too large"),
        Error::Utf8(_) => end(close::BAD_FRAME, "the text is not UTF-8"),
        Error::Protocol(_) => end(close::BAD_FRAME, "not a WebSocket frame"),
        _ => None,
    }
}

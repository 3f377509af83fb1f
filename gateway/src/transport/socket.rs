//! One connection's socket, as its session sees it. Reading, pongs and closing are the WebSocket library's; every byte that
//! leaves, the library's too, goes through the connection's [`Queue`].

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

/// What the WebSocket library reads from and writes to.
struct Stream {
    /// Reads until nothing is left without asking the kernel once more whether that is so.
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
    /// Takes everything: the library writes whole frames, and nothing may come between the parts of one.
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.queue.reply(Encoded::made(bytes));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.queue.shut_down())
    }
}

/// The socket of a connection.
pub struct Socket(WebSocketStream<Stream>);

impl Socket {
    /// Answers the upgrade that a client asks for, if `check` agrees.
    ///
    /// # Errors
    /// When it does not, or the connection is broken or speaks something else.
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

    /// Queues what the library has answered by itself: pongs.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.0.flush().await
    }

    /// Answers the client's close frame, if there was one, behind what is queued (RFC 6455, section 5.5.1).
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn finish(&mut self, queue: &Queue) -> Result<(), Error> {
        // The library says that the connection is closed, which is no failure here.
        drop(self.0.flush().await);
        Ok(queue.drained().await?)
    }

    /// Sends the close frame behind what is queued and waits for the other side's, so that what was sent before it is not
    /// lost (RFC 6455, section 7.1.1).
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn close(&mut self, queue: &Queue, closing: Closing) -> Result<(), Error> {
        let reason = Utf8Bytes::from_static(closing.reason);
        self.0.close(Some(CloseFrame { code: closing.code.into(), reason })).await?;
        queue.drained().await?;
        while let Some(Ok(_)) = self.0.next().await {}
        if closing.code == close::BAD_FRAME {
            // The library reads nothing more after a frame that it could not read. What still comes is taken all the same: a
            // socket that is closed with unread bytes is reset, and the reset may overtake the close frame.
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

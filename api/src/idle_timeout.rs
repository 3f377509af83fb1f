//! Connection limit and idle timeout for HTTP connections, including a half-sent request head (slowloris).

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use poem::{
    http::uri::Scheme,
    listener::Acceptor,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep},
};

/// Idle timeout: longer than load balancers keep an idle connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// Pause after a failed accept: most likely too many files are open, and some will be closed.
const RETRY: Duration = Duration::from_millis(50);

/// Acceptor of connections with the idle timeout [`IDLE_TIMEOUT`]. At the limit, further connections wait in the
/// backlog.
pub(crate) struct IdleTimeout<A> {
    acceptor: A,
    places: Arc<Semaphore>,
}

impl<A> IdleTimeout<A> {
    /// Accepts at most `connections` at a time.
    pub(crate) fn new(acceptor: A, connections: usize) -> Self {
        Self { acceptor, places: Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS))) }
    }
}

impl<A: Acceptor> Acceptor for IdleTimeout<A> {
    type Io = Timed<A::Io>;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.acceptor.local_addr()
    }

    async fn accept(&mut self) -> io::Result<(Self::Io, LocalAddr, RemoteAddr, Scheme)> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(io::Error::other)?;
        loop {
            match self.acceptor.accept().await {
                Ok((io, local, remote, scheme)) => return Ok((Timed::new(io, Some(place)), local, remote, scheme)),
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

/// Connection whose reads and writes fail when neither has made progress for [`IDLE_TIMEOUT`].
pub(crate) struct Timed<Io> {
    io: Io,
    heard: Instant,
    /// Rearmed when it fires, not at every read and write.
    alarm: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl<Io> Timed<Io> {
    fn new(io: Io, place: Option<OwnedSemaphorePermit>) -> Self {
        Self { io, heard: Instant::now(), alarm: Box::pin(tokio::time::sleep(IDLE_TIMEOUT)), _place: place }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.heard = Instant::now();
            return outcome;
        }
        while self.alarm.as_mut().poll(cx).is_ready() {
            let until = self.heard + IDLE_TIMEOUT;
            if until <= Instant::now() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.alarm.as_mut().reset(until);
        }
        Poll::Pending
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Timed<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_read(cx, buf);
        self.watch(cx, outcome)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Timed<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write(cx, buf);
        self.watch(cx, outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Flushing and closing are no sign of the peer.
        match Pin::new(&mut self.io).poll_flush(cx) {
            Poll::Pending => self.watch(cx, Poll::Pending),
            done => done,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Flushing and closing are no sign of the peer.
        match Pin::new(&mut self.io).poll_shutdown(cx) {
            Poll::Pending => self.watch(cx, Poll::Pending),
            done => done,
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.watch(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silent_connection_is_closed() {
        let (here, mut there) = tokio::io::duplex(16);
        let mut here = Timed::new(here, None);
        let began = Instant::now();
        let mut byte = [0];
        for _ in 0..3 {
            tokio::time::sleep(IDLE_TIMEOUT - Duration::from_secs(1)).await;
            there.write_all(b"x").await.expect("written");
            here.read_exact(&mut byte).await.expect("it is not silent");
        }
        let silent = here.read_exact(&mut byte).await.expect_err("it is silent");
        assert_eq!(silent.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), 3 * (IDLE_TIMEOUT.as_secs() - 1) + IDLE_TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn connection_that_nobody_reads_is_closed() {
        let (here, _there) = tokio::io::duplex(16);
        let stuck = Timed::new(here, None).write_all(&[0; 17]).await.expect_err("nobody reads");
        assert_eq!(stuck.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn connection_over_the_limit_waits() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let acceptor = poem::listener::TcpAcceptor::from_tokio(listener).expect("an acceptor");
        let mut acceptor = IdleTimeout::new(acceptor, 1);
        let _clients = [
            tokio::net::TcpStream::connect(address).await.expect("connected"),
            tokio::net::TcpStream::connect(address).await.expect("connected"),
        ];
        let first = acceptor.accept().await.expect("accepted").0;
        let second = std::pin::pin!(acceptor.accept());
        let (waited, second) = match futures_util::future::select(second, std::future::ready(())).await {
            futures_util::future::Either::Left(_) => (false, None),
            futures_util::future::Either::Right(((), second)) => (true, Some(second)),
        };
        assert!(waited, "there was no place for it");
        drop(first);
        second.expect("it waits").await.expect("accepted");
    }
}

//! Connections that end when they are silent for long, also in the middle of a request's head.

use std::{
    io,
    pin::Pin,
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
    time::{Instant, Sleep},
};

/// How long a connection may be silent: longer than load balancers keep one.
const PATIENCE: Duration = Duration::from_secs(75);

/// Accepts connections that end when they are silent for [`PATIENCE`].
pub(crate) struct Impatient<A>(pub A);

impl<A: Acceptor> Acceptor for Impatient<A> {
    type Io = Timed<A::Io>;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.0.local_addr()
    }

    async fn accept(&mut self) -> io::Result<(Self::Io, LocalAddr, RemoteAddr, Scheme)> {
        let (io, local, remote, scheme) = self.0.accept().await?;
        Ok((Timed::new(io), local, remote, scheme))
    }
}

/// A connection on which reading and writing fail when neither has got on for [`PATIENCE`].
pub(crate) struct Timed<Io> {
    io: Io,
    heard: Instant,
    /// Set anew when it rings, not whenever something happens.
    alarm: Pin<Box<Sleep>>,
}

impl<Io> Timed<Io> {
    fn new(io: Io) -> Self {
        Self { io, heard: Instant::now(), alarm: Box::pin(tokio::time::sleep(PATIENCE)) }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.heard = Instant::now();
            return outcome;
        }
        while self.alarm.as_mut().poll(cx).is_ready() {
            let until = self.heard + PATIENCE;
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
        // Done or not, it says nothing about the other side.
        match Pin::new(&mut self.io).poll_flush(cx) {
            Poll::Pending => self.watch(cx, Poll::Pending),
            done => done,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Done or not, it says nothing about the other side.
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
    async fn a_connection_ends_when_nothing_comes_for_long() {
        let (here, mut there) = tokio::io::duplex(16);
        let mut here = Timed::new(here);
        let began = Instant::now();
        let mut byte = [0];
        for _ in 0..3 {
            tokio::time::sleep(PATIENCE - Duration::from_secs(1)).await;
            there.write_all(b"x").await.expect("written");
            here.read_exact(&mut byte).await.expect("it is not silent");
        }
        let silent = here.read_exact(&mut byte).await.expect_err("it is silent");
        assert_eq!(silent.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), 3 * (PATIENCE.as_secs() - 1) + PATIENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_when_nobody_reads() {
        let (here, _there) = tokio::io::duplex(16);
        let stuck = Timed::new(here).write_all(&[0; 17]).await.expect_err("nobody reads");
        assert_eq!(stuck.kind(), io::ErrorKind::TimedOut);
    }
}

//! The gateway's server: accept loop and graceful stop.
//!
//! Each accepted TCP connection gets a task of its own: [`handshake`], then [`session`]. Both limits of the process,
//! connections and handshakes a second, are enforced before the request is read.

use std::{io, num::NonZeroU32, sync::Arc, time::Duration};

use common::{bootstrap::Backends, ops::Ops};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{context::Context, drain, handshake, metrics::Metrics, revocation, session};

/// The pause after a failed accept: most likely too many files are open, and some will be closed.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Serves chat on `listener` and operations on `ops_listener` until `stop`. Then drains the connections and waits for their
/// tasks, at most `shutdown_timeout`.
///
/// # Errors
/// When a listener breaks or a metric cannot be registered.
pub async fn launch(
    backends: Backends,
    listener: TcpListener,
    ops_listener: TcpListener,
    stop: CancellationToken,
) -> io::Result<()> {
    let ops = Ops::new(backends.db.clone(), Arc::clone(&backends.rooms));
    let cx = Context::new(&backends, Metrics::register(ops.registry()).map_err(io::Error::other)?);
    let ops_stop = CancellationToken::new();
    let ops_server = tokio::spawn(ops.clone().serve(ops_listener, ops_stop.clone()));
    let sessions = TaskTracker::new();
    tokio::select! {
        () = stop.cancelled() => {}
        () = accept(&cx, &listener, &sessions) => {}
        () = revocation::watch(&cx) => {}
    }
    ops.drain();
    drop(listener);
    let drained = async {
        drain::end_all(&cx.registry).await;
        sessions.close();
        sessions.wait().await;
    };
    if tokio::time::timeout(cx.config.shutdown_timeout, drained).await.is_err() {
        tracing::warn!(connections = sessions.len(), "shutdown timeout: some connections did not end");
    }
    ops_stop.cancel();
    ops_server.await.map_err(io::Error::other)?
}

async fn accept(cx: &Arc<Context>, listener: &TcpListener, sessions: &TaskTracker) {
    let permits = Arc::new(Semaphore::new(cx.config.connections));
    let rate = NonZeroU32::new(cx.config.handshakes_per_second).unwrap_or(NonZeroU32::MIN);
    let handshakes = RateLimiter::direct(Quota::per_second(rate));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => admit(cx, stream, &permits, &handshakes, sessions),
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

fn admit(
    cx: &Arc<Context>,
    stream: TcpStream,
    permits: &Arc<Semaphore>,
    handshakes: &DefaultDirectRateLimiter,
    sessions: &TaskTracker,
) {
    match Arc::clone(permits).try_acquire_owned() {
        Ok(permit) if handshakes.check().is_ok() => {
            sessions.spawn(serve(Arc::clone(cx), stream, permit));
        }
        _ => {
            sessions.spawn(handshake::reject_busy(stream));
        }
    }
}

/// One connection, from its upgrade to its close. It holds its permit until then.
async fn serve(cx: Arc<Context>, stream: TcpStream, _permit: OwnedSemaphorePermit) {
    if let Some(upgraded) = handshake::upgrade(&cx.config, stream).await {
        session::run(cx, upgraded.socket, upgraded.queue, upgraded.token).await;
    }
}

//! Connections of an HTTP client: kept open between requests, of one user or of all.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Response,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    engines::{
        connect::{Connector, Origin, Timings},
        error::UserError,
    },
    script::Plan,
};

/// Largest answer that is kept for captures, in bytes; of more, only the length is known.
pub const KEPT_BYTES: usize = 64 << 20;

/// Connections to servers.
pub struct Client {
    idle: Mutex<Vec<(Origin, SendRequest<Full<Bytes>>)>>,
    limit: Option<Semaphore>,
}

impl Client {
    /// Connections of one user: as many as it uses at the same time, or one, as with Artillery.
    #[must_use]
    pub fn of_user(plan: &Plan) -> Self {
        Self::limited(plan.as_artillery.then_some(1))
    }

    /// Connections that all users share.
    #[must_use]
    pub fn pool(size: usize) -> Self {
        Self::limited(Some(size))
    }

    fn limited(limit: Option<usize>) -> Self {
        Self { idle: Mutex::default(), limit: limit.map(Semaphore::new) }
    }

    /// Waits until one more connection may be used.
    pub async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.limit.as_ref()?.acquire().await.ok()
    }

    fn take_idle(&self, origin: &Origin) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = lock(&self.idle);
        idle.retain(|(_, sender)| !sender.is_closed());
        let index = idle.iter().position(|(of, _)| of == origin)?;
        Some(idle.swap_remove(index).1)
    }

    /// Keeps a connection whose answer was read for the next request.
    pub fn give_back(&self, origin: Origin, sender: SendRequest<Full<Bytes>>) {
        if !sender.is_closed() {
            lock(&self.idle).push((origin, sender));
        }
    }

    /// An idle connection, or a new one with its timings.
    ///
    /// # Errors
    /// When no connection can be made within `limit`.
    pub async fn open(
        &self,
        connector: &Connector,
        origin: &Origin,
        limit: Duration,
    ) -> Result<(SendRequest<Full<Bytes>>, Option<Timings>), UserError> {
        while let Some(mut sender) = self.take_idle(origin) {
            if sender.ready().await.is_ok() {
                return Ok((sender, None));
            }
        }
        let (stream, timings) = connector.connect(origin, limit).await?;
        let handshake = http1::Builder::new().max_headers(256).handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(|error| UserError::from(&error))?;
        // Ends when the sender is dropped or the server closes; its error is also that of the request.
        tokio::spawn(async move { connection.await.unwrap_or_default() });
        Ok((sender, Some(timings)))
    }
}

/// Reads the whole body, keeps it if `keep`, and returns its length.
///
/// # Errors
/// When the connection breaks.
pub async fn read(
    response: Response<Incoming>,
    keep: bool,
) -> Result<(hyper::http::response::Parts, Vec<u8>, u64), hyper::Error> {
    let (parts, mut body) = response.into_parts();
    let (mut kept, mut size) = (Vec::new(), 0_u64);
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            size += data.len() as u64;
            if keep && kept.len() + data.len() <= KEPT_BYTES {
                kept.extend_from_slice(&data);
            }
        }
    }
    Ok((parts, kept, size))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is whole: a panic elsewhere leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! State shared by all endpoints: the backends, and the REST service's own limits and clients.

use std::{ops::Deref, sync::Arc};

use common::bootstrap::Backends;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{auth::passwords::Passwords, places::kakao::Kakao};

/// Exports that a process writes at a time, at most: each reads the logs of many rooms.
const EXPORTS: usize = 2;

/// Shared state. Cheap to clone; dereferences to [`Backends`].
#[derive(Clone)]
pub struct Context {
    backends: Backends,
    /// Hashes and verifies passwords.
    pub passwords: Arc<Passwords>,
    /// Permits for account exports under way.
    pub exports: Arc<Semaphore>,
    /// Client of Kakao Local, if a key is configured.
    pub kakao: Option<Arc<Kakao>>,
}

impl Context {
    /// The shared state on `backends`.
    pub fn new(backends: Backends) -> Self {
        let passwords = Arc::new(Passwords::new(backends.config.bcrypt_cost));
        let config = &backends.config;
        let kakao = config.kakao_rest_key.clone().and_then(|key| {
            let made = Kakao::new(&config.kakao_base_url, key);
            made.inspect_err(|error| tracing::error!(%error, "Kakao client not created; places are unavailable"))
                .ok()
                .map(Arc::new)
        });
        Self { backends, passwords, exports: Arc::new(Semaphore::new(EXPORTS)), kakao }
    }

    /// Publishes to the gateways that sessions of a user have ended; call it after the commit. A gateway that misses
    /// it notices when the access token of the connection expires.
    pub async fn publish_sessions_ended(&self, user: Uuid) {
        if let Err(error) = self.rooms.sessions_changed(user).await {
            tracing::warn!(%error, %user, "publishing the end of sessions failed");
        }
    }
}

impl Deref for Context {
    type Target = Backends;
    fn deref(&self) -> &Backends {
        &self.backends
    }
}

//! What endpoints work with.

use std::{ops::Deref, sync::Arc};

use common::bootstrap::Backends;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{auth::passwords::Passwords, places::kakao::Kakao};

/// Exports that a process writes at a time, at most: each reads the logs of many rooms.
const EXPORTS: usize = 2;

/// The backends, and what the service adds to them. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    backends: Backends,
    /// Hashes and verifies passwords.
    pub passwords: Arc<Passwords>,
    /// Places for those who export everything about themselves.
    pub exports: Arc<Semaphore>,
    /// Finds places, where a key for that is configured.
    pub kakao: Option<Arc<Kakao>>,
}

impl Context {
    /// What endpoints work with, on `backends`.
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

    /// Tells the gateways that sessions of a user have ended, after that is committed. What they do not hear now they
    /// learn when the access token of the connection expires.
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

//! What endpoints work with.

use std::{ops::Deref, sync::Arc};

use common::bootstrap::Backends;
use uuid::Uuid;

use crate::auth::passwords::Passwords;

/// The backends, and what the service adds to them. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    backends: Backends,
    /// Hashes and verifies passwords.
    pub passwords: Arc<Passwords>,
}

impl Context {
    /// What endpoints work with, on `backends`.
    pub fn new(backends: Backends) -> Self {
        let passwords = Arc::new(Passwords::new(backends.config.bcrypt_cost));
        Self { backends, passwords }
    }

    /// Tells the gateways that sessions of a user have ended, after that is committed. What they do not hear now they
    /// learn when the access token of the connection expires.
    pub async fn sessions_ended(&self, user: Uuid) {
        if let Err(error) = self.rooms.sessions_changed(user).await {
            tracing::warn!(%error, %user, "the gateways were not told that sessions have ended");
        }
    }
}

impl Deref for Context {
    type Target = Backends;
    fn deref(&self) -> &Backends {
        &self.backends
    }
}

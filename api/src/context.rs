//! What endpoints work with.

use std::{ops::Deref, sync::Arc};

use common::bootstrap::Backends;

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
}

impl Deref for Context {
    type Target = Backends;
    fn deref(&self) -> &Backends {
        &self.backends
    }
}

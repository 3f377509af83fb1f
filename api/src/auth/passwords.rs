//! Hashing and verifying passwords with bcrypt, off the threads that serve requests.

use std::sync::OnceLock;

use tokio::sync::Semaphore;

use crate::problem::{Code, Failure};

/// Hashes of one process at a time, at most: each takes a whole core for a while, and chat must go on.
const CONCURRENT: usize = 2;

/// Hashes and verifies passwords.
#[derive(Debug)]
pub struct Passwords {
    cost: u32,
    turns: Semaphore,
    /// What an unknown email's password is compared with, so that it takes as long as a known one's.
    nobody: OnceLock<String>,
}

impl Passwords {
    /// With the work factor `cost`.
    pub fn new(cost: u32) -> Self {
        Self { cost, turns: Semaphore::new(CONCURRENT), nobody: OnceLock::new() }
    }

    /// The hash to store.
    ///
    /// # Errors
    /// [`Code::Internal`] if bcrypt fails, which no password of at most 72 bytes makes it do.
    pub async fn hash(&self, password: String) -> Result<String, Failure> {
        let cost = self.cost;
        self.run(move || bcrypt::non_truncating_hash(password, cost)).await
    }

    /// Whether `password` has the hash; with no hash, `false` after as long a time.
    ///
    /// # Errors
    /// [`Code::Internal`] if the hash is not one of bcrypt's.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, Failure> {
        let known = hash.is_some();
        let hash = match hash {
            Some(hash) => hash,
            None => self.nobody().await?,
        };
        // No stored hash is of a longer password, and bcrypt would compare only the beginning.
        let fits = password.len() <= super::rules::MAX_PASSWORD_BYTES;
        let same = self.run(move || bcrypt::verify(password, &hash)).await?;
        Ok(same && known && fits)
    }

    async fn nobody(&self) -> Result<String, Failure> {
        if let Some(hash) = self.nobody.get() {
            return Ok(hash.clone());
        }
        let hash = self.hash(String::new()).await?;
        Ok(self.nobody.get_or_init(|| hash).clone())
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, bcrypt::BcryptError> + Send + 'static,
    ) -> Result<T, Failure> {
        let failed = |error: String| Failure { cause: Some(error), ..Code::Internal.into() };
        let _turn = self.turns.acquire().await.map_err(|error| failed(error.to_string()))?;
        let outcome = tokio::task::spawn_blocking(work).await.map_err(|error| failed(error.to_string()))?;
        outcome.map_err(|error| failed(error.to_string()))
    }
}

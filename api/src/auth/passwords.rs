//! Password hashing with bcrypt on the blocking pool, with bounded concurrency and a bounded queue.

use std::{sync::Arc, time::Duration};

use common::config::Secret;
use tokio::sync::Semaphore;

use crate::problem::{Code, Failure};

/// Concurrent hashes of a process: each takes a whole core, and chat must go on.
const CONCURRENT: usize = 2;
/// Passwords that wait for their turn, at most; further requests are answered with `Retry-After`.
const WAITING: usize = 64;
/// The longest that a password waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// Value of `Retry-After`.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Hashes and verifies passwords.
#[derive(Debug)]
pub struct Passwords {
    cost: u32,
    turns: Arc<Semaphore>,
    places: Semaphore,
    /// Hash that the password of an unknown email is verified against, so that it takes as long as for a known one. No
    /// password has it; verifying costs the same.
    nobody: String,
}

impl Passwords {
    /// Hashes with the bcrypt work factor `cost`.
    pub fn new(cost: u32) -> Self {
        Self {
            cost,
            turns: Arc::new(Semaphore::new(CONCURRENT)),
            places: Semaphore::new(WAITING + CONCURRENT),
            nobody: format!("$2b${cost:02}${}", ".".repeat(53)),
        }
    }

    /// The hash to store of a password of at most [`MAX_PASSWORD_BYTES`](super::rules::MAX_PASSWORD_BYTES).
    ///
    /// # Errors
    /// [`Code::Unavailable`] when too many passwords wait.
    pub async fn hash(&self, password: String) -> Result<String, Failure> {
        let (cost, password) = (self.cost, Secret::new(password));
        self.run(move || bcrypt::hash(password.expose(), cost)).await
    }

    /// Whether `password` has the hash; with no hash, `false` after as long a time.
    ///
    /// # Errors
    /// [`Code::Unavailable`] when too many passwords wait, [`Code::Internal`] if the hash is not one of bcrypt's.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, Failure> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        // No stored hash is of a longer password, and bcrypt would compare only the beginning.
        let fits = password.len() <= super::rules::MAX_PASSWORD_BYTES;
        let same = self.run(move || bcrypt::verify(password, &hash)).await?;
        Ok(same && known && fits)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, bcrypt::BcryptError> + Send + 'static,
    ) -> Result<T, Failure> {
        let busy = || Failure {
            retry_after: Some(RETRY_AFTER),
            cause: Some("too many passwords wait to be hashed".to_owned()),
            ..Code::Unavailable.into()
        };
        let failed = |error: String| Failure { cause: Some(error), ..Code::Internal.into() };
        let _place = self.places.try_acquire().map_err(|_| busy())?;
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned())
            .await
            .map_err(|_| busy())?
            .map_err(|error| failed(error.to_string()))?;
        let hashing = tokio::task::spawn_blocking(move || {
            // The permit is held until the work ends, even when the caller has gone away.
            let _turn = turn;
            work()
        });
        hashing.await.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn verification_covers_every_byte() {
        let passwords = Passwords::new(4);
        for length in [8, 71, 72] {
            let password = "x".repeat(length);
            let hash = passwords.hash(password.clone()).await.expect("a hash");
            assert!(passwords.verify(password.clone(), Some(hash.clone())).await.expect("verified"), "{length}");
            let mut other = password.clone();
            other.replace_range(length - 1.., "y");
            assert!(!passwords.verify(other, Some(hash.clone())).await.expect("verified"), "{length}");
            assert!(!passwords.verify(format!("{password}x"), Some(hash)).await.expect("verified"), "{length}");
        }
    }

    #[tokio::test]
    async fn hash_for_unknown_emails_has_the_same_cost_and_no_password() {
        let passwords = Passwords::new(4);
        let nobody: bcrypt::HashParts = passwords.nobody.parse().expect("a hash of bcrypt's form");
        assert_eq!(nobody.get_cost(), 4);
        assert!(!passwords.verify("stretch2gether".to_owned(), None).await.expect("verified"));
    }

    #[tokio::test]
    async fn unknown_email_takes_as_long_as_known_email() {
        let passwords = Passwords::new(8);
        let hash = passwords.hash("stretch2gether".to_owned()).await.expect("a hash");
        // The minimum of many runs: other load on the machine only adds to it.
        let mut shortest = [Duration::MAX; 3];
        for _ in 0..10 {
            let attempts = [("stretch2gether", Some(hash.clone())), ("wrong", Some(hash.clone())), ("wrong", None)];
            for (shortest, (password, hash)) in shortest.iter_mut().zip(attempts) {
                let began = std::time::Instant::now();
                passwords.verify(password.to_owned(), hash).await.expect("verified");
                *shortest = began.elapsed().min(*shortest);
            }
        }
        let [right, wrong, nobody] = shortest;
        assert!(nobody > wrong / 2 && nobody < wrong * 2, "{shortest:?}");
        assert!(right > wrong / 2 && right < wrong * 2, "{shortest:?}");
    }

    #[tokio::test]
    async fn full_queue_answers_retry_after() {
        let passwords = Arc::new(Passwords::new(4));
        // Nobody's turn comes: both are taken.
        let turns = Arc::clone(&passwords.turns).acquire_many_owned(2).await.expect("turns");
        let ask = || {
            let passwords = Arc::clone(&passwords);
            tokio::spawn(async move { passwords.verify("x".to_owned(), None).await })
        };
        let crowd: Vec<_> = (0..WAITING + CONCURRENT).map(|_| ask()).collect();
        while passwords.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = ask().await.expect("no panic").expect_err("the queue is full");
        assert_eq!((refused.code, refused.retry_after), (Code::Unavailable, Some(RETRY_AFTER)));
        drop(turns);
        for waiting in crowd {
            assert!(!waiting.await.expect("no panic").expect("its turn came"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_times_out() {
        let passwords = Passwords::new(4);
        let _turns = Arc::clone(&passwords.turns).acquire_many_owned(2).await.expect("turns");
        let refused = passwords.hash("x".to_owned()).await.expect_err("no turn came");
        assert_eq!(refused.code, Code::Unavailable);
    }
}

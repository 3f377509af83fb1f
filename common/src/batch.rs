//! Request coalescing (the dataloader pattern): concurrent look-ups by key become one query.
//!
//! The first look-up runs alone; those that arrive while it is under way form the next batch. When thousands of clients
//! reconnect together, the database sees a few statements instead of thousands. Bounded in keys a batch and in waiting callers,
//! and every look-up has a deadline.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::db::DbError;

/// Most keys of one batch.
const MAX_KEYS: usize = 64;
/// Most look-ups that wait for the next batch; further callers wait for a place, within their deadline.
const QUEUE: usize = 1024;

/// Deadline of a look-up.
const TIMEOUT: Duration = Duration::from_secs(4);

type Lookup<K, V> = (K, oneshot::Sender<Result<V, String>>);

/// Loads values by key in batches, one batch after the other. Its task ends when the last handle is dropped.
#[derive(Debug)]
pub struct BatchLoader<K, V>(mpsc::Sender<Lookup<K, V>>);

impl<K: Clone + Send + 'static, V: Send + 'static> BatchLoader<K, V> {
    /// A loader. `load` returns one value for each key, in the order of the keys.
    pub fn new<F>(load: impl Fn(Vec<K>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<Vec<V>, DbError>> + Send,
    {
        let (sender, mut queue) = mpsc::channel::<Lookup<K, V>>(QUEUE);
        tokio::spawn(async move {
            let mut lookups = Vec::new();
            while queue.recv_many(&mut lookups, MAX_KEYS).await > 0 {
                // A caller that was cancelled needs no answer.
                lookups.retain(|(_, caller)| !caller.is_closed());
                if lookups.is_empty() {
                    continue;
                }
                let outcome = load(lookups.iter().map(|(key, _)| key.clone()).collect()).await;
                let values: Box<dyn Iterator<Item = Result<V, String>> + Send> = match outcome {
                    Ok(values) => Box::new(values.into_iter().map(Ok)),
                    Err(error) => Box::new(std::iter::repeat_with(move || Err(error.to_string()))),
                };
                for ((_, caller), value) in lookups.drain(..).zip(values) {
                    drop(caller.send(value));
                }
            }
        });
        Self(sender)
    }

    /// The value of a key, loaded by a query that starts after this call.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] when the batch failed, or the deadline of 4 s passed.
    pub async fn get(&self, key: K) -> Result<V, DbError> {
        let gone = || DbError::Unavailable("look-ups have ended".to_owned());
        let asked = async {
            let (sender, answer) = oneshot::channel();
            self.0.send((key, sender)).await.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?.map_err(DbError::Unavailable)
        };
        tokio::time::timeout(TIMEOUT, asked)
            .await
            .map_err(|_| DbError::Unavailable(format!("not looked up within {} s", TIMEOUT.as_secs())))?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures_util::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn lookups_during_a_query_share_the_next_one() {
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let gate = Arc::new(Semaphore::new(0));
        let batches = BatchLoader::new({
            let (sizes, gate) = (Arc::clone(&sizes), Arc::clone(&gate));
            move |keys: Vec<usize>| {
                sizes.lock().expect("sizes").push(keys.len());
                let gate = Arc::clone(&gate);
                async move {
                    gate.acquire().await.expect("open").forget();
                    Ok(keys.into_iter().map(|key| key * 2).collect())
                }
            }
        });
        let open = async {
            // All look-ups below are queued once the first query waits at the gate.
            while sizes.lock().expect("sizes").is_empty() {
                tokio::task::yield_now().await;
            }
            gate.add_permits(100);
        };
        let (values, ()) = tokio::join!(join_all((0..100).map(|key| batches.get(key))), open);
        let values: Vec<usize> = values.into_iter().map(|value| value.expect("a value")).collect();
        assert_eq!(values, (0..100).map(|key| key * 2).collect::<Vec<_>>());
        let sizes = sizes.lock().expect("sizes").clone();
        assert!(sizes.len() <= 3 && sizes.iter().all(|size| *size <= MAX_KEYS), "{sizes:?}");
    }

    #[tokio::test]
    async fn a_failed_batch_fails_every_lookup_in_it_and_no_later_one() {
        let fails = Arc::new(Mutex::new(true));
        let batches = BatchLoader::new({
            let fails = Arc::clone(&fails);
            move |keys: Vec<u8>| {
                let fails = *fails.lock().expect("whether it fails");
                async move { if fails { Err(DbError::Unavailable("down".to_owned())) } else { Ok(keys) } }
            }
        });
        let outcomes = join_all([batches.get(1), batches.get(2)]).await;
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(DbError::Unavailable(_)))), "{outcomes:?}");
        *fails.lock().expect("whether it fails") = false;
        assert_eq!(batches.get(3).await.expect("a value"), 3);
    }
}

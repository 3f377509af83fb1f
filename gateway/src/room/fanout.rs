//! Fan-out: delivers a batch of encoded frames to all subscribers of a room. Each frame is encoded once; each queue gets a cheap
//! clone of it.

use std::sync::Arc;

use super::{ephemeral::EphemeralBatch, subscriber::Subscriber};
use crate::transport::encoded::Encoded;

/// Subscribers that one task delivers to; those of a large room are divided among several tasks.
const SUBSCRIBERS_PER_TASK: usize = 256;

/// Frames that all subscribers get at once.
pub(super) struct Batch {
    /// Entries with their numbers, in order.
    pub(super) entries: Vec<(u64, Encoded)>,
    /// Ephemeral events.
    pub(super) ephemeral: EphemeralBatch,
}

impl Batch {
    /// Returns how many entries were delivered.
    fn deliver_to_all(&self, subscribers: &[Arc<Subscriber>]) -> usize {
        subscribers.iter().map(|subscriber| self.deliver_to(subscriber)).sum()
    }

    fn deliver_to(&self, subscriber: &Subscriber) -> usize {
        // Typing is sent before the message, so that it never appears after it.
        self.ephemeral.deliver_to(subscriber);
        if self.entries.is_empty() { 0 } else { subscriber.deliver_entries(&self.entries) }
    }
}

/// Delivers a batch to all of `subscribers`. Returns how many entries were delivered.
pub(super) async fn deliver(batch: Batch, subscribers: &[Arc<Subscriber>]) -> usize {
    if subscribers.len() <= SUBSCRIBERS_PER_TASK {
        return batch.deliver_to_all(subscribers);
    }
    let batch = Arc::new(batch);
    let shares = subscribers.chunks(SUBSCRIBERS_PER_TASK).map(|share| {
        let (batch, share) = (Arc::clone(&batch), share.to_vec());
        tokio::spawn(async move { batch.deliver_to_all(&share) })
    });
    let shares: Vec<_> = shares.collect();
    futures_util::future::join_all(shares).await.into_iter().flatten().sum()
}

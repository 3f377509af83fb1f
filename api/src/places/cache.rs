//! Bounded cache with a time to live.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use common::time::Timestamp;

/// Cache of at most `size` values, each for `ttl`. When full, it evicts the oldest.
#[derive(Debug)]
pub struct Cache<K, V> {
    answers: Mutex<HashMap<K, (Timestamp, V)>>,
    size: usize,
    ttl: Duration,
}

impl<K: Eq + Hash + Clone, V: Clone> Cache<K, V> {
    /// An empty cache.
    pub fn new(size: usize, ttl: Duration) -> Self {
        Self { answers: Mutex::default(), size, ttl }
    }

    /// The value, unless it has expired.
    pub fn get(&self, key: &K, now: Timestamp) -> Option<V> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(key).filter(|(at, _)| now.since(*at) < self.ttl).map(|(_, answer)| answer.clone())
    }

    /// Stores a value.
    pub fn put(&self, key: K, answer: V, now: Timestamp) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= self.size && !answers.contains_key(&key) {
            let oldest = answers.iter().min_by_key(|(_, (at, _))| *at).map(|(key, _)| key.clone());
            oldest.map(|oldest| answers.remove(&oldest));
        }
        answers.insert(key, (now, answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_expire_and_the_oldest_is_evicted() {
        let cache = Cache::new(2, Duration::from_millis(10));
        cache.put("a", 1, Timestamp(0));
        cache.put("b", 2, Timestamp(1));
        assert_eq!((cache.get(&"a", Timestamp(9)), cache.get(&"a", Timestamp(10))), (Some(1), None));
        cache.put("a", 3, Timestamp(5));
        cache.put("c", 4, Timestamp(6));
        let got: Vec<_> = ["a", "b", "c"].iter().map(|key| cache.get(key, Timestamp(7))).collect();
        assert_eq!(got, [Some(3), None, Some(4)]);
    }
}

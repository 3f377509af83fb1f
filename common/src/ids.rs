//! Where ids come from.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use uuid::Uuid;

use crate::time::{Clock, SystemClock};

/// Makes ids. Passed in, so that tests can predict them.
pub trait IdSource: Send + Sync + 'static {
    /// An id that was never given before: UUID version 7 (RFC 9562, section 5.7), so that ids made later sort later
    /// and a primary key grows at its end.
    fn next_id(&self) -> Uuid;
}

/// Ids from the clock and the operating system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomIds;

impl IdSource for RandomIds {
    fn next_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}

/// Ids 1, 2, 3 … in the shape of UUIDs.
#[derive(Clone, Debug, Default)]
pub struct SequentialIds(Arc<AtomicU64>);

impl IdSource for SequentialIds {
    fn next_id(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + 1)
    }
}

/// What domain code takes from its surroundings.
#[derive(Clone)]
pub struct Env {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids.
    pub ids: Arc<dyn IdSource>,
}

impl Default for Env {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), ids: Arc::new(RandomIds) }
    }
}

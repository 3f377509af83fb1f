//! Id sources: UUID version 7, passed in so that tests can predict ids.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use uuid::Uuid;

use crate::time::{Clock, SystemClock};

/// Source of ids.
pub trait IdSource: Send + Sync + 'static {
    /// A new, unique id: UUID version 7 (RFC 9562, section 5.7). Later ids sort later, so that a primary key grows at its end.
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

/// Ids 1, 2, 3 … as UUIDs, for tests.
#[derive(Clone, Debug, Default)]
pub struct SequentialIds(Arc<AtomicU64>);

impl IdSource for SequentialIds {
    fn next_id(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + 1)
    }
}

/// Environment of domain code: clock and id source.
#[derive(Clone)]
pub struct Env {
    /// Clock.
    pub clock: Arc<dyn Clock>,
    /// Id source.
    pub ids: Arc<dyn IdSource>,
}

impl Default for Env {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), ids: Arc::new(RandomIds) }
    }
}

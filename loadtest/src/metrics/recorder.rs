//! Where virtual users record: windows in shards, so that the threads do not wait for each other.

use std::{
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{report::PERIOD_MS, window::Window};

/// Shards: more than threads that record at the same time.
const SHARDS: usize = 8;

/// Slice of the wall clock and index of the phase that a window belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// Start of the slice of ten seconds, in milliseconds since 1970.
    pub period: u64,
    /// Index of the phase that ran then.
    pub phase: usize,
}

/// Recorder of a run, shared by all virtual users.
#[derive(Debug)]
pub struct Recorder {
    shards: Vec<Mutex<Shard>>,
    phase: AtomicUsize,
    began: Instant,
    began_ms: u64,
}

#[derive(Debug, Default)]
struct Shard {
    current: Option<(Slot, Window)>,
    done: Vec<(Slot, Window)>,
}

impl Default for Recorder {
    fn default() -> Self {
        let began_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            phase: AtomicUsize::new(0),
            began: Instant::now(),
            began_ms: millis(began_ms),
        }
    }
}

impl Recorder {
    /// Now, in milliseconds since 1970. Never goes back: the wall clock is read once, at the start of the run.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.began_ms + millis(self.began.elapsed())
    }

    /// Sets the phase that what follows belongs to.
    pub fn set_phase(&self, index: usize) {
        self.phase.store(index, Ordering::Relaxed);
    }

    /// Records several things at once, now. `shard` spreads those who record: any number, such as a user's.
    pub fn with<T>(&self, shard: usize, record: impl FnOnce(&mut Window) -> T) -> T {
        self.with_at(self.now(), shard, record)
    }

    /// The same at `now`.
    pub fn with_at<T>(&self, now: u64, shard: usize, record: impl FnOnce(&mut Window) -> T) -> T {
        let slot = Slot { period: now - now % PERIOD_MS, phase: self.phase.load(Ordering::Relaxed) };
        let mut shard = self.shard(shard);
        let Shard { current, done } = &mut *shard;
        if current.as_ref().is_some_and(|(of, _)| *of != slot) {
            done.extend(current.take());
        }
        let (_, window) = current.get_or_insert_with(|| (slot, Window::default()));
        window.set_now(now);
        record(window)
    }

    /// Takes everything that was recorded since this was last called.
    pub fn take(&self) -> Vec<(Slot, Window)> {
        let mut taken = Vec::new();
        for index in 0..self.shards.len() {
            let mut shard = self.shard(index);
            taken.append(&mut mem::take(&mut shard.done));
            taken.extend(shard.current.take());
        }
        taken
    }

    fn shard(&self, index: usize) -> MutexGuard<'_, Shard> {
        // A panic elsewhere leaves whole values behind: counters are never half written.
        self.shards[index % self.shards.len()].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

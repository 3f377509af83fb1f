//! Probe of each partition: once a second a key is written and a message published, which must be heard here.
//!
//! It finds a server that is gone, one that answers and takes no writes (`READONLY`, `OOM`, `NOPERM`, `MISCONF`), a slot that
//! is being moved or has moved, and a subscription that is silently gone. A single Redis has one probe, a Cluster one for each
//! partition.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rand::Rng;
use tokio::time::{sleep, timeout};

use super::{
    super::{keys, partitions::slot_of},
    Live, PARTITIONS, lock,
};
use crate::rooms::{Health, RoomError};

/// How often a partition is probed.
const PROBE: Duration = Duration::from_secs(1);
/// How long a probe's key lives: less than `PROBE`, so that it is not there when the next one is sent. A server that hands
/// the slot over says of a key that is not there that the other server has it, and with that, that the slot is on its way.
const PROBE_TTL: Duration = Duration::from_millis(500);
/// A partition whose probes are published and not heard for longer is subscribed to again.
const SILENCE: Duration = Duration::from_secs(3);
/// Problems that readiness names, at most.
const PROBLEMS: usize = 3;
/// How often the heads of all rooms are compared with what was heard of them, give or take a fifth.
const COMPARE: Duration = Duration::from_secs(60);

/// What the probes of a partition found.
#[derive(Default)]
pub(super) struct ProbeState {
    /// When one was last heard, or the partition was last subscribed to, from the start of the process.
    heard: Duration,
    /// Whether one was heard since the partition was last subscribed to.
    proven: bool,
    /// Why the last one was not carried out.
    failure: Option<String>,
    /// Why the partition could not be subscribed to again.
    mending: Option<String>,
    /// How often in a row it was subscribed to again without being heard after.
    silences: u32,
}

impl Live {
    /// A single Redis takes all writes or none, and has one connection for all subscriptions.
    pub(super) fn is_probed(&self, number: usize) -> bool {
        self.client.is_clustered() || number == 0
    }

    /// Probes a partition every second and compares its heads every minute.
    pub(super) async fn watch(self: Arc<Self>, number: usize) {
        let share = u32::try_from(number).unwrap_or(0);
        sleep(PROBE * share / u32::try_from(PARTITIONS).unwrap_or(1)).await;
        tokio::join!(self.probe_again_and_again(number), self.compare_again_and_again(number));
    }

    async fn compare_again_and_again(&self, number: usize) {
        loop {
            let share = rand::rng().random_range(0.8..1.2);
            sleep(COMPARE.mul_f64(share)).await;
            self.compare_heads(number, true).await;
        }
    }

    async fn probe_again_and_again(self: &Arc<Self>, number: usize) {
        if !self.is_probed(number) {
            return;
        }
        loop {
            let carried_out = self.send_probe(number).await;
            self.notice_takeover(number);
            self.notice_silence(number);
            let pause = if carried_out { PROBE } else { PROBE / 4 };
            // At once when there are new subscriptions to prove.
            drop(timeout(pause, self.partitions[number].subscribed.notified()).await);
        }
    }

    /// Returns whether it was carried out.
    async fn send_probe(self: &Arc<Self>, number: usize) -> bool {
        let channel = keys::probe(number, self.process);
        let arguments = [PROBE_TTL.as_millis().to_string(), channel.clone()];
        let outcome = self.client.eval_where(&self.probe, &[channel], &arguments).await;
        let partition = &self.partitions[number];
        let failure = match outcome {
            Ok(moving_to) => {
                let before = std::mem::replace(&mut lock(&partition.place).moving_to, moving_to.clone());
                if before != moving_to {
                    tracing::info!(partition = number, to = ?moving_to.map(|to| to.to_string()), "a slot is being moved");
                    self.mend(number);
                }
                None
            }
            Err(error) => Some(reason(&error)),
        };
        let carried_out = failure.is_none();
        lock(&partition.probe).failure = failure;
        carried_out
    }

    /// Another server has the slot than the one that is subscribed to: a master that was replaced keeps subscriptions, and
    /// nothing is published there any more.
    fn notice_takeover(self: &Arc<Self>, number: usize) {
        let partition = &self.partitions[number];
        let home = lock(&partition.place).home.clone();
        let owner = self.client.owner(slot_of(number));
        if let (Some(home), Ok(owner)) = (home, owner)
            && *home.address() != owner
            && partition.is_whole()
        {
            self.mend(number);
        }
    }

    /// While probes fail there is nothing to be heard.
    fn notice_silence(self: &Arc<Self>, number: usize) {
        let partition = &self.partitions[number];
        let again = {
            let mut state = lock(&partition.probe);
            let silent = self.started.elapsed().saturating_sub(state.heard) > SILENCE;
            if state.failure.is_some() || !silent || !partition.is_whole() {
                return;
            }
            // It has as long again to be heard.
            state.heard = self.started.elapsed();
            state.silences += 1;
            state.silences > 1
        };
        tracing::warn!(partition = number, "what is published is not heard; subscribing again");
        let home = lock(&partition.place).home.clone();
        match home {
            // The connection says that it is subscribed, and is wrong; with it all that is subscribed to there begins anew.
            Some(home) if again || !self.client.is_clustered() => home.end(),
            _ => self.mend(number),
        }
    }

    pub(super) fn hear_probe(&self, number: usize) {
        let mut state = lock(&self.partitions[number].probe);
        (state.heard, state.proven, state.silences) = (self.started.elapsed(), true, 0);
    }

    /// The partition is subscribed to again, and has a while to be heard.
    pub(super) fn mended(&self, number: usize) {
        let mut state = lock(&self.partitions[number].probe);
        (state.heard, state.proven, state.mending) = (self.started.elapsed(), false, None);
        drop(state);
        self.partitions[number].subscribed.notify_one();
    }

    pub(super) fn mending_failed(&self, number: usize, error: &RoomError) {
        lock(&self.partitions[number].probe).mending = Some(reason(error));
    }

    pub(super) fn mending_error(&self, number: usize) -> Option<String> {
        lock(&self.partitions[number].probe).mending.clone()
    }

    /// What is wrong with a partition.
    fn problem(&self, number: usize) -> Option<String> {
        let partition = &self.partitions[number];
        let state = lock(&partition.probe);
        if let Some(failure) = &state.failure {
            return Some(failure.clone());
        }
        if !partition.is_whole() {
            let why = state.mending.clone().unwrap_or_else(|| "it is being subscribed to".to_owned());
            return Some(format!("the live stream is not whole: {why}"));
        }
        if !self.is_probed(number) {
            return None;
        }
        let silent = self.started.elapsed().saturating_sub(state.heard) > SILENCE;
        (silent || !state.proven).then(|| "the live stream is silent".to_owned())
    }

    /// Whether the partitions take writes and are heard, as the last probes found.
    pub(in super::super) fn health(&self) -> Health {
        let mut problems: BTreeMap<String, usize> = BTreeMap::new();
        for problem in (0..PARTITIONS).filter_map(|number| self.problem(number)) {
            *problems.entry(problem).or_default() += 1;
        }
        // A single server is one thing: what its probe finds is true of all of it.
        let whole = if self.client.is_clustered() { None } else { self.problem(0) };
        health_of(&problems, whole)
    }

    /// Waits until every partition was subscribed to, or could not be.
    ///
    /// # Errors
    /// When none could be: why not.
    pub(in super::super) async fn begun(&self) -> Result<(), RoomError> {
        let mut failures = Vec::new();
        for number in 0..PARTITIONS {
            if let Err(error) = self.until_whole(number).await {
                failures.push(error);
            }
        }
        match failures.pop() {
            Some(error) if failures.len() + 1 == PARTITIONS => Err(error),
            _ => Ok(()),
        }
    }
}

/// What `problems`, each with how many partitions have it, or one of the `whole` come to.
fn health_of(problems: &BTreeMap<String, usize>, whole: Option<String>) -> Health {
    if let Some(problem) = whole {
        return Health::Down(problem);
    }
    let broken: usize = problems.values().sum();
    let texts: Vec<&str> = problems.keys().take(PROBLEMS).map(String::as_str).collect();
    let text = texts.join("; ");
    match broken {
        0 => Health::Ok,
        PARTITIONS => Health::Down(text),
        _ => Health::Degraded(format!("the rooms of {broken} of {PARTITIONS} partitions cannot be used: {text}")),
    }
}

fn reason(error: &RoomError) -> String {
    match error {
        RoomError::Unavailable(why) => why.clone(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_some_partitions_lack_takes_nothing_from_the_others() {
        let problems =
            |counts: &[(&str, usize)]| counts.iter().map(|(why, count)| ((*why).to_owned(), *count)).collect();
        let degraded = "the rooms of 88 of 256 partitions cannot be used: a:1: refused; b:2: late";
        for (counts, whole, expected) in [
            (problems(&[]), None, Health::Ok),
            (problems(&[("a:1: refused", 85), ("b:2: late", 3)]), None, Health::Degraded(degraded.to_owned())),
            (problems(&[("CLUSTERDOWN", 256)]), None, Health::Down("CLUSTERDOWN".to_owned())),
            (problems(&[("OOM", 1)]), Some("OOM".to_owned()), Health::Down("OOM".to_owned())),
        ] {
            assert_eq!(health_of(&counts, whole), expected);
        }
    }
}

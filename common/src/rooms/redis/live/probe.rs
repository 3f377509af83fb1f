//! Probe of each partition: once a second a key is written and a message published, which must be heard here.
//!
//! It finds a server that is gone, one that answers and takes no writes (`READONLY`, `OOM`, `NOPERM`, `MISCONF`), a slot that
//! is being moved or has moved, and a subscription that is silently gone. A single Redis has one probe, a Cluster one for each
//! partition.

use std::{sync::Arc, time::Duration};

use rand::Rng;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::{super::keys, Live, PARTITIONS, lock};
use crate::rooms::RoomError;

/// How often a partition is probed.
const PROBE: Duration = Duration::from_secs(1);
/// How long a probe's key lives: less than `PROBE`, so that it is not there when the next one is sent. A server that hands
/// the slot over says of a key that is not there that the other server has it, and with that, that the slot is on its way.
const PROBE_TTL: Duration = Duration::from_millis(500);
/// A partition whose probes are published and not heard for longer is subscribed to again.
const SILENCE: Duration = Duration::from_secs(3);
/// How often the heads of all rooms are compared with what was heard of them, give or take a fifth.
const COMPARE: Duration = Duration::from_secs(60);

/// What the probes of a partition found.
#[derive(Default)]
pub(super) struct ProbeState {
    /// When one was last heard, from the start of the process.
    heard: Duration,
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
        let mut ticks = interval(PROBE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.send_probe(number).await;
            self.notice_silence(number);
        }
    }

    async fn send_probe(self: &Arc<Self>, number: usize) {
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
        lock(&partition.probe).failure = failure;
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
        (state.heard, state.silences) = (self.started.elapsed(), 0);
    }

    /// The partition is subscribed to again, and has a while to be heard.
    pub(super) fn mended(&self, number: usize) {
        let mut state = lock(&self.partitions[number].probe);
        (state.heard, state.mending) = (self.started.elapsed(), None);
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
        let silent = self.is_probed(number) && self.started.elapsed().saturating_sub(state.heard) > SILENCE;
        silent.then(|| "the live stream is silent".to_owned())
    }

    /// Whether every partition takes writes and is heard, as the last probes found.
    ///
    /// # Errors
    /// With what is wrong.
    pub(in super::super) fn health(&self) -> Result<(), RoomError> {
        match (0..PARTITIONS).find_map(|number| self.problem(number)) {
            Some(problem) => Err(RoomError::Unavailable(problem)),
            None => Ok(()),
        }
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

fn reason(error: &RoomError) -> String {
    match error {
        RoomError::Unavailable(why) => why.clone(),
        error => error.to_string(),
    }
}

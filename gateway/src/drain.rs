//! Draining: at shutdown every connection gets `reconnect` with a random delay and is closed with 1012, in stages, so that
//! neither this process nor the next one meets all of them at once.

use std::time::Duration;

use wire::{Frame, close};

use crate::{
    registry::Registry,
    transport::{
        frame,
        queue::{Closing, Queue},
    },
};

/// Into how many stages the connections are divided.
const STAGES: usize = 20;
/// The time between two stages.
const STAGE_INTERVAL: Duration = Duration::from_millis(100);
/// The longest delay that a client is told.
const RECONNECT_SPREAD_MS: u64 = 3_000;

/// Ends every connection of this process, stage by stage.
pub async fn end_all(registry: &Registry) {
    let queues = registry.begin_draining();
    let stage_size = queues.len().div_ceil(STAGES).max(1);
    for stage in queues.chunks(stage_size) {
        stage.iter().for_each(|queue| end(queue));
        if queues.len() > stage_size {
            tokio::time::sleep(STAGE_INTERVAL).await;
        }
    }
}

/// Ends one connection.
pub fn end(queue: &Queue) {
    let after_ms = rand::random_range(0..=RECONNECT_SPREAD_MS);
    queue.reply(frame::encode(&Frame::Reconnect { after_ms }));
    queue.close(Closing { code: close::RESTART, reason: "restarting" });
}

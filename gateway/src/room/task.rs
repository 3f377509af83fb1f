//! The task of a room: takes the signals of its subscription in order, delivers batches when they are due, and ends once the room
//! has had no subscriber for a while.

use std::{sync::Arc, time::Duration};

use common::rooms::{Signal, Subscription};
use tokio::time::{Instant, MissedTickBehavior};

use super::{Room, resync::resync, state::Deadlines};

/// How often a big room delivers its summary of ephemeral events.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(1);

/// Runs the room until it is closed, or its log is.
pub async fn run(room: Arc<Room>, mut subscription: Subscription) {
    let mut summary = tokio::time::interval(SUMMARY_INTERVAL);
    summary.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let Deadlines { close, entries, ephemeral } = room.lock().deadlines();
        tokio::select! {
            signal = subscription.next() => match signal {
                Some(Signal::Entry { epoch, entry }) => {
                    if !room.deliver_entry(epoch, entry).await {
                        resync(&room).await;
                    }
                }
                Some(Signal::Check) => resync(&room).await,
                Some(Signal::Ephemeral { event, json }) => room.add_ephemeral(&event, json).await,
                None => return,
            },
            () = room.resync_requested.notified() => resync(&room).await,
            // Begins the wait for the close.
            () = room.emptied.notified() => {}
            () = reached(entries) => room.deliver_batch().await,
            () = reached(ephemeral) => room.deliver_ephemeral().await,
            _ = summary.tick(), if room.has_summary() => room.deliver_summary().await,
            () = reached(close) => {
                if room.lock().close_if_empty() {
                    return;
                }
            }
        }
    }
}

/// Waits for a deadline: for ever, if there is none.
async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

//! Scheduled jobs (Asia/Seoul); a lease in SQL lets one replica run each.
//!
//! The row of a due time in `job_runs` is claimed by one process and records the outcome. A run that was missed,
//! failed, or died with its process is repeated by the next process that checks: each checks at its start and every
//! minute. `schedule.rs` has the due times, `store.rs` the leases.

pub mod schedule;
pub mod store;

use common::db::DbError;
use tokio_cron_scheduler::{JobScheduler, JobSchedulerError};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{schedule::Schedule, store::Lease};
use crate::{auth::sessions, context::Context, me::purge, room::end};

/// A job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Removes accounts whose withdrawal is final.
    PurgeWithdrawn,
    /// Removes expired tokens and sessions, and the records of old runs.
    CleanUp,
    /// Appends the closing entry to the rooms of ended meetups.
    TellEnded,
    /// Closes rooms for good.
    RetireRooms,
}

impl Job {
    /// Every job.
    pub const ALL: [Self; 4] = [Self::PurgeWithdrawn, Self::CleanUp, Self::TellEnded, Self::RetireRooms];

    /// Name in `job_runs` and in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PurgeWithdrawn => "purge_withdrawn",
            Self::CleanUp => "clean_up",
            Self::TellEnded => "tell_ended",
            Self::RetireRooms => "retire_rooms",
        }
    }

    /// When it runs.
    pub const fn schedule(self) -> Schedule {
        match self {
            Self::PurgeWithdrawn => Schedule::Daily,
            Self::CleanUp | Self::RetireRooms => Schedule::Hourly,
            Self::TellEnded => Schedule::EveryMinute,
        }
    }

    /// Runs the job. Returns the number of items handled and a summary for the record.
    async fn work(self, cx: &Context) -> Result<(u64, String), JobError> {
        let now = cx.env.clock.now();
        let (count, verb, things) = match self {
            Self::PurgeWithdrawn => (purge::purge_withdrawn(cx).await?, "purged", "accounts"),
            Self::CleanUp => {
                let rows = sessions::clean_up(&cx.db, now, cx.config.refresh_token_ttl).await?;
                (rows + store::delete_old(&cx.db, now).await?, "removed", "rows")
            }
            Self::TellEnded => (end::queue_closing_entries(cx).await?, "told", "rooms"),
            Self::RetireRooms => (end::retire(cx).await?, "closed", "rooms"),
        };
        Ok((count, format!("{verb} {count} {things}")))
    }
}

/// Why a job failed; for the log and the record.
type JobError = Box<dyn std::error::Error + Send + Sync>;

/// Cron expression of the check for missed runs: every minute, away from the due times.
const CATCH_UP: &str = "30 * * * * *";

/// How a run ended.
enum Ended {
    Worked(Result<(u64, String), JobError>),
    TakenOver,
    Stopped,
}

/// Runs a job for its latest due time, unless that is done or another process holds the lease. Returns whether it ran.
pub async fn run(cx: &Context, job: Job, stop: &CancellationToken) -> bool {
    let due = job.schedule().latest_due(cx.env.clock.now());
    let lease = match store::claim(&cx.db, &cx.env, job.name(), due).await {
        Ok(Some(lease)) => lease,
        Ok(None) => return false,
        Err(error) => {
            tracing::error!(job = job.name(), %error, "job claim failed");
            return false;
        }
    };
    let ended = tokio::select! {
        outcome = job.work(cx) => Ended::Worked(outcome),
        () = taken_over(cx, &lease) => Ended::TakenOver,
        () = stop.cancelled() => Ended::Stopped,
    };
    if let Err(error) = record(cx, job, &lease, ended).await {
        tracing::error!(job = job.name(), %error, "recording the outcome of a job failed");
    }
    true
}

async fn record(cx: &Context, job: Job, lease: &Lease, ended: Ended) -> Result<(), DbError> {
    let now = cx.env.clock.now();
    match ended {
        Ended::Worked(Ok((count, done))) => {
            if count > 0 {
                tracing::info!(job = job.name(), %done, "job done");
            } else {
                tracing::debug!(job = job.name(), "job had nothing to do");
            }
            lease.finish(&cx.db, now, &done).await
        }
        Ended::Worked(Err(error)) => {
            tracing::error!(job = job.name(), %error, "job failed");
            lease.give_back(&cx.db, now + store::RETRY_AFTER, &format!("failed: {error}")).await
        }
        Ended::Stopped => lease.give_back(&cx.db, now, "the process stopped").await,
        Ended::TakenOver => {
            tracing::warn!(job = job.name(), "job lease lost to another process");
            Ok(())
        }
    }
}

/// Renews the lease of a run. Returns when another process has taken it over.
async fn taken_over(cx: &Context, lease: &Lease) {
    loop {
        tokio::time::sleep(store::LEASE / 3).await;
        match lease.renew(&cx.db, cx.env.clock.now()).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => tracing::warn!(%error, "renewing a job lease failed"),
        }
    }
}

/// Runs every job at its times until `stop`, missed runs first; none if the configuration disables jobs.
pub async fn run_configured(cx: Context, stop: CancellationToken) {
    if !cx.config.jobs {
        return;
    }
    if let Err(error) = run_all(cx, stop).await {
        tracing::error!(%error, "job scheduler failed; no jobs run in this process");
    }
}

async fn run_all(cx: Context, stop: CancellationToken) -> Result<(), JobSchedulerError> {
    let running = TaskTracker::new();
    let mut scheduler = JobScheduler::new().await?;
    for job in Job::ALL {
        scheduler.add(timed(job.schedule().cron(), &[job], &cx, &stop, &running)?).await?;
    }
    scheduler.add(timed(CATCH_UP, &Job::ALL, &cx, &stop, &running)?).await?;
    scheduler.start().await?;
    run_each(&cx, &Job::ALL, &stop).await;
    stop.cancelled().await;
    let outcome = scheduler.shutdown().await;
    running.close();
    running.wait().await;
    outcome
}

async fn run_each(cx: &Context, jobs: &[Job], stop: &CancellationToken) {
    for job in jobs {
        if !stop.is_cancelled() {
            run(cx, *job, stop).await;
        }
    }
}

/// Runs `jobs` at the times of `cron` in Seoul.
fn timed(
    cron: &str,
    jobs: &[Job],
    cx: &Context,
    stop: &CancellationToken,
    running: &TaskTracker,
) -> Result<tokio_cron_scheduler::Job, JobSchedulerError> {
    let (jobs, cx, stop, running) = (jobs.to_vec(), cx.clone(), stop.clone(), running.clone());
    tokio_cron_scheduler::Job::new_async_tz(cron, chrono_tz::Asia::Seoul, move |_, _| {
        let (jobs, cx, stop) = (jobs.clone(), cx.clone(), stop.clone());
        Box::pin(running.track_future(async move { run_each(&cx, &jobs, &stop).await }))
    })
}

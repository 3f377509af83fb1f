//! What runs by the clock: each job at its times in Seoul, in one process of however many there are.
//!
//! The row of a due time in `job_runs` decides which process runs it, and keeps how it went. A job that no process was up
//! to run is made up for by the next one that starts.

pub mod schedule;
pub mod store;

use tokio_cron_scheduler::{JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;

use self::schedule::Schedule;
use crate::{auth::sessions, context::Context, me::purge};

/// A job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Removes accounts whose withdrawal is final.
    PurgeWithdrawn,
    /// Removes expired tokens and sessions, and the records of old runs.
    CleanUp,
}

impl Job {
    /// Every job.
    pub const ALL: [Self; 2] = [Self::PurgeWithdrawn, Self::CleanUp];

    /// Its name in `job_runs` and in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PurgeWithdrawn => "purge_withdrawn",
            Self::CleanUp => "clean_up",
        }
    }

    /// When it runs.
    pub const fn schedule(self) -> Schedule {
        match self {
            Self::PurgeWithdrawn => Schedule::Daily,
            Self::CleanUp => Schedule::Hourly,
        }
    }

    async fn work(self, cx: &Context) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let now = cx.around.clock.now();
        match self {
            Self::PurgeWithdrawn => Ok(format!("purged {} accounts", purge::purge_withdrawn(cx).await?)),
            Self::CleanUp => {
                let rows = sessions::clean_up(&cx.db, now, cx.config.refresh_token_ttl).await?;
                Ok(format!("removed {} rows", rows + store::forget_old(&cx.db, now).await?))
            }
        }
    }
}

/// Runs a job for its latest due time, unless a process has done so before. Returns whether it ran.
pub async fn run(cx: &Context, job: Job) -> bool {
    let now = cx.around.clock.now();
    let due = job.schedule().latest_due(now);
    match store::claim(&cx.db, job.name(), due, now).await {
        Ok(true) => {}
        Ok(false) => return false,
        Err(error) => {
            tracing::error!(job = job.name(), %error, "a job could not be claimed");
            return false;
        }
    }
    let outcome = match job.work(cx).await {
        Ok(done) => {
            tracing::info!(job = job.name(), %done, "a job ran");
            done
        }
        Err(error) => {
            tracing::error!(job = job.name(), %error, "a job failed");
            format!("failed: {error}")
        }
    };
    if let Err(error) = store::finish(&cx.db, job.name(), due, cx.around.clock.now(), &outcome).await {
        tracing::error!(job = job.name(), %error, "the outcome of a job could not be recorded");
    }
    true
}

/// Runs every job at its times until `stop`, beginning with those that were missed; nothing if the configuration says so.
pub async fn run_configured(cx: Context, stop: CancellationToken) {
    if !cx.config.jobs {
        return;
    }
    if let Err(error) = run_all(cx, stop).await {
        tracing::error!(%error, "no jobs run in this process");
    }
}

async fn run_all(cx: Context, stop: CancellationToken) -> Result<(), JobSchedulerError> {
    let mut scheduler = JobScheduler::new().await?;
    for job in Job::ALL {
        scheduler.add(timed(&cx, job)?).await?;
    }
    scheduler.start().await?;
    for job in Job::ALL {
        if !stop.is_cancelled() {
            run(&cx, job).await;
        }
    }
    stop.cancelled().await;
    scheduler.shutdown().await
}

fn timed(cx: &Context, job: Job) -> Result<tokio_cron_scheduler::Job, JobSchedulerError> {
    let cx = cx.clone();
    tokio_cron_scheduler::Job::new_async_tz(job.schedule().cron(), chrono_tz::Asia::Seoul, move |_, _| {
        let cx = cx.clone();
        Box::pin(async move {
            run(&cx, job).await;
        })
    })
}

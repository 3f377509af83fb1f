//! Leases and records of job runs in SQL.

use std::time::Duration;

use common::{
    db::{Db, DbError, sql},
    ids::Env,
    time::Timestamp,
};
use uuid::Uuid;

/// Retention of run records.
const RETENTION: Duration = Duration::from_secs(30 * 86_400);
/// Characters of an outcome that are kept.
const OUTCOME_CHARS: usize = 500;
/// Duration of a lease after its last renewal.
pub const LEASE: Duration = Duration::from_secs(60);
/// Pause before a failed run is repeated.
pub const RETRY_AFTER: Duration = Duration::from_secs(300);

/// Lease of one process on the run of a job for a due time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    job: &'static str,
    due: Timestamp,
    runner: Uuid,
}

/// Claims a run that nobody has claimed, or whose lease has expired unfinished. `None`: it is finished, or another
/// process holds the lease.
///
/// # Errors
/// See [`DbError`].
pub async fn claim(db: &Db, env: &Env, job: &'static str, due: Timestamp) -> Result<Option<Lease>, DbError> {
    let (lease, now) = (Lease { job, due, runner: env.ids.next_id() }, env.clock.now());
    let taken_over = sql("UPDATE job_runs SET runner = ?, started_at = ?, lease_until = ? \
         WHERE job = ? AND due_at = ? AND finished_at IS NULL AND lease_until <= ?")
    .bind(lease.runner)
    .bind(now)
    .bind(now + LEASE)
    .bind(job)
    .bind(due)
    .bind(now)
    .run(db)
    .await?;
    if taken_over > 0 {
        return Ok(Some(lease));
    }
    let insert = format!(
        "{} INTO job_runs (job, due_at, started_at, runner, lease_until) VALUES (?, ?, ?, ?, ?)",
        db.dialect().insert_ignore()
    );
    let first = sql(insert).bind(job).bind(due).bind(now).bind(lease.runner).bind(now + LEASE).run(db).await?;
    Ok((first > 0).then_some(lease))
}

impl Lease {
    /// Extends the lease. `false`: another process has taken the run over.
    ///
    /// # Errors
    /// See [`DbError`].
    pub async fn renew(&self, db: &Db, now: Timestamp) -> Result<bool, DbError> {
        let renewed = sql("UPDATE job_runs SET lease_until = ? \
             WHERE job = ? AND due_at = ? AND runner = ? AND finished_at IS NULL")
        .bind(now + LEASE)
        .bind(self.job)
        .bind(self.due)
        .bind(self.runner)
        .run(db)
        .await?;
        Ok(renewed > 0)
    }

    /// Records the outcome of a finished run.
    ///
    /// # Errors
    /// See [`DbError`].
    pub async fn finish(&self, db: &Db, now: Timestamp, outcome: &str) -> Result<(), DbError> {
        self.end(db, Some(now), now, outcome).await
    }

    /// Records why a run failed, and lets any process claim it from `again_at` on.
    ///
    /// # Errors
    /// See [`DbError`].
    pub async fn give_back(&self, db: &Db, again_at: Timestamp, outcome: &str) -> Result<(), DbError> {
        self.end(db, None, again_at, outcome).await
    }

    async fn end(&self, db: &Db, finished: Option<Timestamp>, until: Timestamp, outcome: &str) -> Result<(), DbError> {
        sql("UPDATE job_runs SET finished_at = ?, lease_until = ?, outcome = ? WHERE job = ? AND due_at = ? AND runner = ?")
            .bind(finished)
            .bind(until)
            .bind(outcome.chars().take(OUTCOME_CHARS).collect::<String>())
            .bind(self.job)
            .bind(self.due)
            .bind(self.runner)
            .run(db)
            .await?;
        Ok(())
    }
}

/// Deletes records older than the retention. Returns the number of rows.
///
/// # Errors
/// See [`DbError`].
pub async fn delete_old(db: &Db, now: Timestamp) -> Result<u64, DbError> {
    sql("DELETE FROM job_runs WHERE due_at < ?").bind(now - RETENTION).run(db).await
}

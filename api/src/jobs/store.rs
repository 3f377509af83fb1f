//! Runs of jobs in SQL.

use std::time::Duration;

use common::{
    db::{Db, DbError, sql},
    time::Timestamp,
};

/// How long runs are remembered.
const REMEMBERED: Duration = Duration::from_secs(30 * 86_400);
/// Characters of an outcome that are kept.
const OUTCOME_CHARS: usize = 500;

/// Claims the run of a job that was due at a time. `false`: another process has it.
///
/// # Errors
/// See [`DbError`].
pub async fn claim(db: &Db, job: &str, due: Timestamp, now: Timestamp) -> Result<bool, DbError> {
    let claimed = sql("INSERT INTO job_runs (job, due_at, started_at) VALUES (?, ?, ?)")
        .bind(job)
        .bind(due)
        .bind(now)
        .run(db)
        .await;
    match claimed {
        Ok(_) => Ok(true),
        Err(DbError::UniqueViolation(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Records how a run went.
///
/// # Errors
/// See [`DbError`].
pub async fn finish(db: &Db, job: &str, due: Timestamp, now: Timestamp, outcome: &str) -> Result<(), DbError> {
    sql("UPDATE job_runs SET finished_at = ?, outcome = ? WHERE job = ? AND due_at = ?")
        .bind(now)
        .bind(outcome.chars().take(OUTCOME_CHARS).collect::<String>())
        .bind(job)
        .bind(due)
        .run(db)
        .await?;
    Ok(())
}

/// Removes the records of runs that are a month old. Returns how many.
///
/// # Errors
/// See [`DbError`].
pub async fn forget_old(db: &Db, now: Timestamp) -> Result<u64, DbError> {
    sql("DELETE FROM job_runs WHERE due_at < ?").bind(now - REMEMBERED).run(db).await
}

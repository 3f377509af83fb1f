-- Every run of a scheduled job. The row of a due time is written by the one process that runs it.
CREATE TABLE job_runs (
    job TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    outcome TEXT,
    PRIMARY KEY (job, due_at)
);
CREATE INDEX job_runs_by_due ON job_runs (due_at);

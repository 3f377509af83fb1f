-- Every run of a scheduled job. The row of a due time is written by the one process that runs it.
CREATE TABLE job_runs (
    job VARCHAR(64) NOT NULL,
    due_at BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT,
    outcome VARCHAR(500),
    PRIMARY KEY (job, due_at)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE INDEX job_runs_by_due ON job_runs (due_at);

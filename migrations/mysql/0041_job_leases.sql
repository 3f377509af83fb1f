-- Who runs a job, and until when nobody else does: a run that its process did not finish is taken over.
ALTER TABLE job_runs ADD COLUMN runner BINARY(16);
ALTER TABLE job_runs ADD COLUMN lease_until BIGINT NOT NULL DEFAULT 0;

-- Who runs a job, and until when nobody else does: a run that its process did not finish is taken over.
ALTER TABLE job_runs ADD COLUMN runner BLOB;
ALTER TABLE job_runs ADD COLUMN lease_until INTEGER NOT NULL DEFAULT 0;

-- For the purge of an account.
CREATE INDEX room_reads_by_user ON room_reads (user_id);

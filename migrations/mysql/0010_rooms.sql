-- Whom an entry is from or about, so that a purged account disappears from every log.
ALTER TABLE room_entries ADD COLUMN person_id BINARY(16);
CREATE INDEX room_entries_by_person ON room_entries (person_id, room_id);

-- A room is closed in two steps, so that a crash between them is noticed: it takes no more entries, then all of it is in SQL.
ALTER TABLE rooms ADD COLUMN closing_at BIGINT;
ALTER TABLE rooms ADD COLUMN closed_at BIGINT;

-- Up to where members have read.
CREATE TABLE room_reads (
    room_id BINARY(16) NOT NULL,
    user_id BINARY(16) NOT NULL,
    epoch BINARY(16) NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (room_id, user_id)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

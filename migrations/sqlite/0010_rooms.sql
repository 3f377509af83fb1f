-- Whom an entry is from or about, so that a purged account disappears from every log.
ALTER TABLE room_entries ADD COLUMN person_id BLOB;
CREATE INDEX room_entries_by_person ON room_entries (person_id, room_id);

-- A room is closed in two steps, so that a crash between them is noticed: it takes no more entries, then all of it is in SQL.
ALTER TABLE rooms ADD COLUMN closing_at INTEGER;
ALTER TABLE rooms ADD COLUMN closed_at INTEGER;

-- Up to where members have read.
CREATE TABLE room_reads (
    room_id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    epoch BLOB NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (room_id, user_id)
);

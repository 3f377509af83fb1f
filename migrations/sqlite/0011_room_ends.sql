-- When a meetup's room was told that the meetup is over, and when it was closed for good.
ALTER TABLE meetups ADD COLUMN end_told_at INTEGER;
ALTER TABLE meetups ADD COLUMN room_retired_at INTEGER;
CREATE INDEX meetups_by_untold_end ON meetups (end_told_at, ends_at, id);
CREATE INDEX meetups_by_unretired_room ON meetups (room_retired_at, id);

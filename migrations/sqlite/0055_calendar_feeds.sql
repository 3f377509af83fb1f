-- The secret address of a person's calendar.
CREATE TABLE calendar_feeds (
    user_id BLOB NOT NULL PRIMARY KEY,
    token TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

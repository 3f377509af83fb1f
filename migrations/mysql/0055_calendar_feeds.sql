-- The secret address of a person's calendar.
CREATE TABLE calendar_feeds (
    user_id BINARY(16) NOT NULL PRIMARY KEY,
    token VARCHAR(64) NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

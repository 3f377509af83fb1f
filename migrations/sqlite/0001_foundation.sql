-- Accounts: who there is, their log-in sessions, and the refresh tokens of each session (its family).
CREATE TABLE users (
    id BLOB NOT NULL PRIMARY KEY,
    email TEXT,
    email_key TEXT UNIQUE,
    password_hash TEXT,
    nickname TEXT NOT NULL,
    nickname_key TEXT NOT NULL UNIQUE,
    time_zone TEXT NOT NULL,
    week_start TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    withdrawn_at INTEGER
);

CREATE TABLE sessions (
    id BLOB NOT NULL PRIMARY KEY,
    user_id BLOB NOT NULL,
    device TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    revoked_at INTEGER,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX sessions_by_user ON sessions (user_id, last_used_at);

CREATE TABLE refresh_tokens (
    hash BLOB NOT NULL PRIMARY KEY,
    session_id BLOB NOT NULL,
    issued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER,
    FOREIGN KEY (session_id) REFERENCES sessions (id) ON DELETE CASCADE
);
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);

-- Meetups and their members. The host is a member too.
CREATE TABLE meetups (
    id BLOB NOT NULL PRIMARY KEY,
    host_id BLOB NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    image_url TEXT,
    place_name TEXT NOT NULL,
    road_address TEXT NOT NULL,
    lot_address TEXT NOT NULL,
    latitude REAL NOT NULL,
    longitude REAL NOT NULL,
    sido TEXT NOT NULL,
    sigungu TEXT NOT NULL,
    region_code TEXT NOT NULL,
    kakao_place_id TEXT,
    kakao_place_url TEXT,
    starts_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    capacity INTEGER,
    member_count INTEGER NOT NULL,
    waiting_count INTEGER NOT NULL,
    like_count INTEGER NOT NULL,
    comment_count INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    cancelled_at INTEGER,
    FOREIGN KEY (host_id) REFERENCES users (id)
);
CREATE INDEX meetups_by_host ON meetups (host_id, id);
CREATE INDEX meetups_by_start ON meetups (starts_at, id);
CREATE INDEX meetups_by_end ON meetups (ends_at, id);
CREATE INDEX meetups_by_likes ON meetups (like_count, id);
CREATE INDEX meetups_by_region ON meetups (region_code, id);

CREATE TABLE meetup_members (
    meetup_id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    state TEXT NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (meetup_id, user_id),
    FOREIGN KEY (meetup_id) REFERENCES meetups (id) ON DELETE CASCADE,
    FOREIGN KEY (user_id) REFERENCES users (id)
);
CREATE INDEX meetup_members_by_state ON meetup_members (meetup_id, state, since, user_id);
CREATE INDEX meetup_members_by_user ON meetup_members (user_id, state, since, meetup_id);

-- The room log in SQL. No foreign keys: a log may outlive what it speaks of, and is written on the hot path.
CREATE TABLE rooms (
    id BLOB NOT NULL PRIMARY KEY,
    epoch BLOB NOT NULL,
    head INTEGER NOT NULL,
    notice TEXT
);

CREATE TABLE room_entries (
    room_id BLOB NOT NULL,
    epoch BLOB NOT NULL,
    seq INTEGER NOT NULL,
    author_id BLOB NOT NULL,
    nonce TEXT,
    at INTEGER NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (room_id, epoch, seq)
);
CREATE INDEX room_entries_by_nonce ON room_entries (room_id, author_id, nonce);

-- What committed transactions still have to tell a room's log.
CREATE TABLE room_outbox (
    position INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    room_id BLOB NOT NULL,
    body TEXT NOT NULL,
    created_at INTEGER NOT NULL
);

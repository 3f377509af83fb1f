-- Accounts: who there is, their log-in sessions, and the refresh tokens of each session (its family).
CREATE TABLE users (
    id BINARY(16) NOT NULL PRIMARY KEY,
    email VARCHAR(254),
    email_key VARCHAR(254) UNIQUE,
    password_hash VARCHAR(72),
    nickname VARCHAR(64) NOT NULL,
    nickname_key VARCHAR(64) NOT NULL UNIQUE,
    time_zone VARCHAR(64) NOT NULL,
    week_start VARCHAR(16) NOT NULL,
    created_at BIGINT NOT NULL,
    withdrawn_at BIGINT
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE sessions (
    id BINARY(16) NOT NULL PRIMARY KEY,
    user_id BINARY(16) NOT NULL,
    device VARCHAR(200) NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    revoked_at BIGINT,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE INDEX sessions_by_user ON sessions (user_id, last_used_at);

CREATE TABLE refresh_tokens (
    hash BINARY(32) NOT NULL PRIMARY KEY,
    session_id BINARY(16) NOT NULL,
    issued_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    FOREIGN KEY (session_id) REFERENCES sessions (id) ON DELETE CASCADE
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);

-- Meetups and their members. The host is a member too.
CREATE TABLE meetups (
    id BINARY(16) NOT NULL PRIMARY KEY,
    host_id BINARY(16) NOT NULL,
    title VARCHAR(64) NOT NULL,
    description VARCHAR(2000) NOT NULL,
    image_url VARCHAR(500),
    place_name VARCHAR(200) NOT NULL,
    road_address VARCHAR(200) NOT NULL,
    lot_address VARCHAR(200) NOT NULL,
    latitude DOUBLE NOT NULL,
    longitude DOUBLE NOT NULL,
    sido VARCHAR(64) NOT NULL,
    sigungu VARCHAR(64) NOT NULL,
    region_code VARCHAR(16) NOT NULL,
    kakao_place_id VARCHAR(64),
    kakao_place_url VARCHAR(500),
    starts_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    capacity BIGINT,
    member_count BIGINT NOT NULL,
    waiting_count BIGINT NOT NULL,
    like_count BIGINT NOT NULL,
    comment_count BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    cancelled_at BIGINT,
    FOREIGN KEY (host_id) REFERENCES users (id)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE INDEX meetups_by_host ON meetups (host_id, id);
CREATE INDEX meetups_by_start ON meetups (starts_at, id);
CREATE INDEX meetups_by_end ON meetups (ends_at, id);
CREATE INDEX meetups_by_likes ON meetups (like_count, id);
CREATE INDEX meetups_by_region ON meetups (region_code, id);

CREATE TABLE meetup_members (
    meetup_id BINARY(16) NOT NULL,
    user_id BINARY(16) NOT NULL,
    state VARCHAR(16) NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (meetup_id, user_id),
    FOREIGN KEY (meetup_id) REFERENCES meetups (id) ON DELETE CASCADE,
    FOREIGN KEY (user_id) REFERENCES users (id)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE INDEX meetup_members_by_state ON meetup_members (meetup_id, state, since, user_id);
CREATE INDEX meetup_members_by_user ON meetup_members (user_id, state, since, meetup_id);

-- The room log in SQL. No foreign keys: a log may outlive what it speaks of, and is written on the hot path.
CREATE TABLE rooms (
    id BINARY(16) NOT NULL PRIMARY KEY,
    epoch BINARY(16) NOT NULL,
    head BIGINT NOT NULL,
    notice VARCHAR(4000)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE room_entries (
    room_id BINARY(16) NOT NULL,
    epoch BINARY(16) NOT NULL,
    seq BIGINT NOT NULL,
    author_id BINARY(16) NOT NULL,
    nonce VARCHAR(64),
    at BIGINT NOT NULL,
    json MEDIUMTEXT NOT NULL,
    PRIMARY KEY (room_id, epoch, seq)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE INDEX room_entries_by_nonce ON room_entries (room_id, author_id, nonce);

-- What committed transactions still have to tell a room's log.
CREATE TABLE room_outbox (
    position BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    id BINARY(16) NOT NULL UNIQUE,
    room_id BINARY(16) NOT NULL,
    body VARCHAR(4000) NOT NULL,
    created_at BIGINT NOT NULL
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

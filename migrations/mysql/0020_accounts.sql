-- Brings a withdrawn account back: at most one token for each, stored hashed.
CREATE TABLE restore_tokens (
    user_id BINARY(16) NOT NULL PRIMARY KEY,
    hash BINARY(32) NOT NULL UNIQUE,
    expires_at BIGINT NOT NULL,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE INDEX restore_tokens_by_expiry ON restore_tokens (expires_at);

-- For the jobs that remove what is over.
CREATE INDEX sessions_by_last_use ON sessions (last_used_at);
CREATE INDEX users_by_withdrawal ON users (withdrawn_at, id);

-- Whoever was purged: the host of the meetups they left behind. Nobody can log in as this account.
INSERT INTO users (id, nickname, nickname_key, time_zone, week_start, created_at, withdrawn_at)
VALUES (X'00000000000000000000000000000000', '탈퇴한 회원', '탈퇴한 회원', 'Asia/Seoul', 'monday', 0, 0);

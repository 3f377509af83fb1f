-- What readiness counts up, to see that writes are committed: one row.
CREATE TABLE readiness (
    id BIGINT NOT NULL PRIMARY KEY,
    checks BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
INSERT INTO readiness (id, checks) VALUES (1, 0);

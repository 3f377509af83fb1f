-- What readiness counts up, to see that writes are committed: one row.
CREATE TABLE readiness (
    id INTEGER NOT NULL PRIMARY KEY,
    checks INTEGER NOT NULL
);
INSERT INTO readiness (id, checks) VALUES (1, 0);

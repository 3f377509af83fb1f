-- What a user repeats. `actions` is a JSON list of what to do, in order.
CREATE TABLE routines (
    id BINARY(16) NOT NULL PRIMARY KEY,
    user_id BINARY(16) NOT NULL,
    name VARCHAR(30) NOT NULL,
    name_key VARCHAR(120) NOT NULL,
    actions MEDIUMTEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (user_id, name_key),
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE INDEX routines_by_user ON routines (user_id, id);

-- One run of a routine, with a snapshot of it. `completed` has a bit for each action, the first lowest;
-- `open_routine_id` is the routine while the run is open, so that a routine has one open run at most.
CREATE TABLE workouts (
    id BINARY(16) NOT NULL PRIMARY KEY,
    user_id BINARY(16) NOT NULL,
    routine_id BINARY(16) NOT NULL,
    open_routine_id BINARY(16) UNIQUE,
    name VARCHAR(30) NOT NULL,
    actions MEDIUMTEXT NOT NULL,
    completed BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT,
    finished_by BIGINT,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE INDEX workouts_by_user ON workouts (user_id, id);

-- The ledger of awards: one row a cause, on the user's day when it happened. `cause` is the position of the action in
-- the workout, or 0 for finishing it; `entitled` is the award before it was cut to what was left of the day.
CREATE TABLE awards (
    workout_id BINARY(16) NOT NULL,
    cause BIGINT NOT NULL,
    user_id BINARY(16) NOT NULL,
    day BIGINT NOT NULL,
    entitled BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (workout_id, cause),
    FOREIGN KEY (workout_id) REFERENCES workouts (id) ON DELETE CASCADE,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE INDEX awards_by_user ON awards (user_id, workout_id, cause);

-- The ledger summed for each of a user's days (days since 1970-01-01). A day without anything has no row.
CREATE TABLE active_days (
    user_id BINARY(16) NOT NULL,
    day BIGINT NOT NULL,
    actions BIGINT NOT NULL,
    routines BIGINT NOT NULL,
    experience BIGINT NOT NULL,
    PRIMARY KEY (user_id, day),
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Every unbroken run of active days, as long as it can be: no two of one user touch.
CREATE TABLE streaks (
    user_id BINARY(16) NOT NULL,
    last_day BIGINT NOT NULL,
    first_day BIGINT NOT NULL,
    length BIGINT NOT NULL,
    PRIMARY KEY (user_id, last_day),
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE INDEX streaks_by_length ON streaks (user_id, length);

-- `growing_user_id` is the user while the monster grows, so that one grows at a time.
CREATE TABLE monsters (
    id BINARY(16) NOT NULL PRIMARY KEY,
    user_id BINARY(16) NOT NULL,
    growing_user_id BINARY(16) UNIQUE,
    species VARCHAR(32) NOT NULL,
    experience BIGINT NOT NULL,
    drawn_at BIGINT NOT NULL,
    grown_at BIGINT,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE INDEX monsters_by_user ON monsters (user_id, id);

-- One row a user: the main routine, and the experience that waits for the next monster.
CREATE TABLE progress (
    user_id BINARY(16) NOT NULL PRIMARY KEY,
    main_routine_id BINARY(16),
    kept_experience BIGINT NOT NULL,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    FOREIGN KEY (main_routine_id) REFERENCES routines (id) ON DELETE SET NULL
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE INDEX progress_by_main_routine ON progress (main_routine_id);

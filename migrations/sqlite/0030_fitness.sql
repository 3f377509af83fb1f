-- What a user repeats. `actions` is a JSON list of what to do, in order.
CREATE TABLE routines (
    id BLOB NOT NULL PRIMARY KEY,
    user_id BLOB NOT NULL,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    actions TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (user_id, name_key),
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX routines_by_user ON routines (user_id, id);

-- One run of a routine, with a snapshot of it. `completed` has a bit for each action, the first lowest;
-- `open_routine_id` is the routine while the run is open, so that a routine has one open run at most.
CREATE TABLE workouts (
    id BLOB NOT NULL PRIMARY KEY,
    user_id BLOB NOT NULL,
    routine_id BLOB NOT NULL,
    open_routine_id BLOB UNIQUE,
    name TEXT NOT NULL,
    actions TEXT NOT NULL,
    completed INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    finished_by INTEGER,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX workouts_by_user ON workouts (user_id, id);

-- The ledger of awards: one row a cause, on the user's day when it happened. `cause` is the position of the action in
-- the workout, or 0 for finishing it; `entitled` is the award before it was cut to what was left of the day.
CREATE TABLE awards (
    workout_id BLOB NOT NULL,
    cause INTEGER NOT NULL,
    user_id BLOB NOT NULL,
    day INTEGER NOT NULL,
    entitled INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (workout_id, cause),
    FOREIGN KEY (workout_id) REFERENCES workouts (id) ON DELETE CASCADE,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX awards_by_user ON awards (user_id, workout_id, cause);

-- The ledger summed for each of a user's days (days since 1970-01-01). A day without anything has no row.
CREATE TABLE active_days (
    user_id BLOB NOT NULL,
    day INTEGER NOT NULL,
    actions INTEGER NOT NULL,
    routines INTEGER NOT NULL,
    experience INTEGER NOT NULL,
    PRIMARY KEY (user_id, day),
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

-- Every unbroken run of active days, as long as it can be: no two of one user touch.
CREATE TABLE streaks (
    user_id BLOB NOT NULL,
    last_day INTEGER NOT NULL,
    first_day INTEGER NOT NULL,
    length INTEGER NOT NULL,
    PRIMARY KEY (user_id, last_day),
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX streaks_by_length ON streaks (user_id, length);

-- `growing_user_id` is the user while the monster grows, so that one grows at a time.
CREATE TABLE monsters (
    id BLOB NOT NULL PRIMARY KEY,
    user_id BLOB NOT NULL,
    growing_user_id BLOB UNIQUE,
    species TEXT NOT NULL,
    experience INTEGER NOT NULL,
    drawn_at INTEGER NOT NULL,
    grown_at INTEGER,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX monsters_by_user ON monsters (user_id, id);

-- One row a user: the main routine, and the experience that waits for the next monster.
CREATE TABLE progress (
    user_id BLOB NOT NULL PRIMARY KEY,
    main_routine_id BLOB,
    kept_experience INTEGER NOT NULL,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    FOREIGN KEY (main_routine_id) REFERENCES routines (id) ON DELETE SET NULL
);
CREATE INDEX progress_by_main_routine ON progress (main_routine_id);

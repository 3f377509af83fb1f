-- What finds a meetup: its texts folded, and the square of a grid over the globe that its place lies in.
ALTER TABLE meetups ADD COLUMN search_text TEXT NOT NULL DEFAULT '';
ALTER TABLE meetups ADD COLUMN cell INTEGER NOT NULL DEFAULT 0;
CREATE INDEX meetups_by_cell ON meetups (cell, id);
CREATE INDEX meetups_by_cancellation ON meetups (cancelled_at, id);

-- The characters and the pairs of characters of each word of a meetup's texts: an index for searching that every database has.
CREATE TABLE meetup_terms (
    term TEXT NOT NULL,
    meetup_id BLOB NOT NULL,
    PRIMARY KEY (term, meetup_id),
    FOREIGN KEY (meetup_id) REFERENCES meetups (id) ON DELETE CASCADE
);
CREATE INDEX meetup_terms_by_meetup ON meetup_terms (meetup_id);

CREATE TABLE meetup_likes (
    meetup_id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (meetup_id, user_id),
    FOREIGN KEY (meetup_id) REFERENCES meetups (id) ON DELETE CASCADE,
    FOREIGN KEY (user_id) REFERENCES users (id)
);
CREATE INDEX meetup_likes_by_user ON meetup_likes (user_id, meetup_id);

CREATE TABLE comments (
    id BLOB NOT NULL PRIMARY KEY,
    meetup_id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    text TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    FOREIGN KEY (meetup_id) REFERENCES meetups (id) ON DELETE CASCADE,
    FOREIGN KEY (user_id) REFERENCES users (id)
);
CREATE INDEX comments_by_meetup ON comments (meetup_id, id);
CREATE INDEX comments_by_user ON comments (user_id, id);
CREATE INDEX comments_by_user_and_meetup ON comments (user_id, meetup_id);

-- The meetups of a user, the latest first.
CREATE INDEX meetup_members_of_user ON meetup_members (user_id, state, meetup_id);

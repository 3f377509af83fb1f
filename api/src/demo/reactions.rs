//! Likes and comments of demo meetups.

use common::{ids::Env, time::Timestamp};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use uuid::Uuid;

use super::{people::Account, table::Table, time::moments, words};

/// Likes and comments of a meetup, at most.
const LIKES: usize = 12;
const COMMENTS: usize = 6;

/// Rows of likes and comments.
pub(super) struct Reactions {
    pub(super) likes: Table,
    pub(super) comments: Table,
}

impl Reactions {
    /// Without rows.
    pub(super) fn new() -> Self {
        let comments = ["id", "meetup_id", "user_id", "text", "created_at", "updated_at"];
        Self {
            likes: Table::new("meetup_likes", &["meetup_id", "user_id", "at"]),
            comments: Table::new("comments", &comments),
        }
    }

    /// Adds random likes, one an account at most, and comments to a meetup, from when it was opened until now. Returns
    /// the numbers of likes and comments.
    pub(super) fn draw(
        &mut self,
        (meetup, opened_at): (Uuid, Timestamp),
        accounts: &[Account],
        env: &Env,
        rng: &mut StdRng,
    ) -> (usize, usize) {
        let (from, until) = (opened_at, env.clock.now());
        let likes = rng.random_range(0..=LIKES).min(accounts.len());
        let people: Vec<&Account> = accounts.choose_multiple(rng, likes).collect();
        for (account, at) in people.into_iter().zip(moments(rng, from, until, likes)) {
            self.likes.push(vec![meetup.into(), account.person.id.into(), at.into()]);
        }
        let comments = rng.random_range(0..=COMMENTS);
        for at in moments(rng, from, until, comments) {
            let author = &accounts[rng.random_range(0..accounts.len())];
            let (id, text) = (env.ids.next_id(), words::comment(rng));
            let author = author.person.id;
            self.comments.push(vec![id.into(), meetup.into(), author.into(), text.into(), at.into(), at.into()]);
        }
        (likes, comments)
    }
}

//! What people think of the demo meetups: likes and comments.

use common::{
    db::{DbError, Tx, insert_rows, sql},
    ids::Surroundings,
};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use uuid::Uuid;

use super::{Account, words};

/// Likes and comments of a meetup, at most.
const LIKES: usize = 12;
const COMMENTS: usize = 6;

/// Who likes a meetup, and who says what about it.
pub(super) struct Reactions {
    likes: Vec<Uuid>,
    comments: Vec<(Uuid, &'static str)>,
}

impl Reactions {
    /// Some of the accounts, each liking it once.
    pub(super) fn draw(accounts: &[Account], rng: &mut StdRng) -> Self {
        let likes = rng.random_range(0..=LIKES);
        let likes = accounts.choose_multiple(rng, likes).map(|account| account.person.id).collect();
        let count = rng.random_range(0..=COMMENTS);
        let comment = |_| Some((accounts.choose(rng)?.person.id, words::comment(rng)));
        Self { likes, comments: (0..count).filter_map(comment).collect() }
    }

    /// Writes them, and counts them on the meetup's row.
    pub(super) async fn insert(&self, tx: &mut Tx, around: &Surroundings, meetup: Uuid) -> Result<(), DbError> {
        let now = around.clock.now();
        let likes = self.likes.iter().map(|user| vec![meetup.into(), (*user).into(), now.into()]).collect();
        insert_rows(tx, "meetup_likes", &["meetup_id", "user_id", "at"], likes).await?;
        let comment = |(user, text): &(Uuid, &'static str)| {
            vec![around.ids.next_id().into(), meetup.into(), (*user).into(), (*text).into(), now.into(), now.into()]
        };
        let comments = self.comments.iter().map(comment).collect();
        let columns = ["id", "meetup_id", "user_id", "text", "created_at", "updated_at"];
        insert_rows(tx, "comments", &columns, comments).await?;
        sql("UPDATE meetups SET like_count = ?, comment_count = ? WHERE id = ?")
            .bind(self.likes.len())
            .bind(self.comments.len())
            .bind(meetup)
            .run(tx)
            .await?;
        Ok(())
    }
}

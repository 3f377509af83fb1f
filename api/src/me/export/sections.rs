//! Sections of the export: one paged query for each.

use common::db::{Db, DbError, Row, sql};
use poem_openapi::types::ToJSON;
use uuid::Uuid;

use super::model::{ExportedAward, ExportedComment, ExportedLike, ExportedMeetup, ExportedMembership, ExportedSession};
use crate::{
    monsters::{self, model::Monster},
    routines::{self, model::Routine},
    workouts::{self, model::Workout},
};

/// Rows of one page.
const PAGE: u32 = 500;

/// A list of the document.
pub(super) trait Section: ToJSON + Send + Sync + Sized + 'static {
    /// Name of the list in the document.
    const NAME: &'static str;
    /// Sort key of an item; the default is before the first.
    type Key: Default + Send + Sync;
    /// Sort key of this item.
    fn key(&self) -> Self::Key;
    /// A page of a user's items after a key, in order; empty at the end.
    async fn page(db: &Db, user: Uuid, after: Self::Key) -> Result<Vec<Self>, DbError>;
}

macro_rules! sections {
    ($($thing:ident $name:literal by $key:ident: |$db:ident, $user:ident, $after:ident| $page:expr;)*) => {$(
        impl Section for $thing {
            const NAME: &'static str = $name;
            type Key = Uuid;
            fn key(&self) -> Uuid {
                self.$key
            }
            async fn page($db: &Db, $user: Uuid, $after: Uuid) -> Result<Vec<Self>, DbError> {
                $page.await
            }
        }
    )*};
}

sections! {
    ExportedSession "sessions" by id: |db, user, after| rows(db, user, after,
        "SELECT id, device, created_at, last_used_at, revoked_at FROM sessions \
         WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?");
    ExportedMeetup "hosted_meetups" by id: |db, user, after| rows(db, user, after,
        "SELECT id, title, description, image_url, place_name, road_address, lot_address, latitude, longitude, sido, sigungu, \
         region_code, kakao_place_id, kakao_place_url, starts_at, ends_at, capacity, cancelled_at, created_at, updated_at \
         FROM meetups WHERE host_id = ? AND id > ? ORDER BY id LIMIT ?");
    ExportedMembership "memberships" by meetup_id: |db, user, after| rows(db, user, after,
        "SELECT mm.meetup_id, m.title, mm.state, mm.since FROM meetup_members mm JOIN meetups m ON m.id = mm.meetup_id \
         WHERE mm.user_id = ? AND mm.meetup_id > ? ORDER BY mm.meetup_id LIMIT ?");
    ExportedLike "likes" by meetup_id: |db, user, after| rows(db, user, after,
        "SELECT l.meetup_id, m.title, l.at FROM meetup_likes l JOIN meetups m ON m.id = l.meetup_id \
         WHERE l.user_id = ? AND l.meetup_id > ? ORDER BY l.meetup_id LIMIT ?");
    ExportedComment "comments" by id: |db, user, after| rows(db, user, after,
        "SELECT id, meetup_id, text, created_at, updated_at FROM comments WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?");
    Routine "routines" by id: |db, user, after| routines::store::list(db, user, Some(after), PAGE);
    Workout "workouts" by id: |db, user, after| workouts::store::list(db, user, after, PAGE);
    Monster "monsters" by id: |db, user, after| monsters::store::list(db, user, after, false, PAGE);
}

async fn rows<T: Row>(db: &Db, user: Uuid, after: Uuid, select: &'static str) -> Result<Vec<T>, DbError> {
    sql(select).bind(user).bind(after).bind(PAGE).all(db).await
}

impl Section for ExportedAward {
    const NAME: &'static str = "awards";
    type Key = (Uuid, i64);
    fn key(&self) -> Self::Key {
        (self.workout_id, self.action)
    }
    async fn page(db: &Db, user: Uuid, (workout, action): Self::Key) -> Result<Vec<Self>, DbError> {
        // Causes begin at 0; that skips nothing, because no workout has the nil id.
        sql("SELECT workout_id, cause AS action, day, entitled, amount, at FROM awards WHERE user_id = ? \
             AND workout_id >= ? AND (workout_id > ? OR cause > ?) ORDER BY workout_id, cause LIMIT ?")
        .bind(user)
        .bind(workout)
        .bind(workout)
        .bind(action)
        .bind(PAGE)
        .all(db)
        .await
    }
}

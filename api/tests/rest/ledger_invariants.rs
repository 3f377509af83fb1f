//! Invariants of the experience ledger: every figure kept beside it is recomputed from it and compared.

use std::collections::{BTreeMap, BTreeSet};

use common::db::{Db, Row, sql};
use uuid::Uuid;

const DAY_CAP: i64 = 2_000;
const GROWN: i64 = 100_000;
/// What finishing a workout has for a cause.
const FINISHING: i64 = 0;

async fn all<T: Row>(db: &Db, select: &'static str) -> Vec<T> {
    sql(select).all(db).await.expect("rows")
}

#[derive(sqlx::FromRow)]
struct Award {
    workout_id: Uuid,
    cause: i64,
    user_id: Uuid,
    day: i64,
    entitled: i64,
    amount: i64,
}

#[derive(sqlx::FromRow)]
struct Workout {
    id: Uuid,
    user_id: Uuid,
    routine_id: Uuid,
    open_routine_id: Option<Uuid>,
    actions: String,
    completed: i64,
    finished_at: Option<i64>,
    finished_by: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct Monster {
    user_id: Uuid,
    growing_user_id: Option<Uuid>,
    experience: i64,
    grown_at: Option<i64>,
}

/// How much there was to count.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) awards: usize,
    pub(crate) grown: usize,
    pub(crate) longest_streak: i64,
}

/// Counts everything of everyone again.
pub(crate) async fn check(db: &Db) -> Totals {
    let awards: Vec<Award> =
        all(db, "SELECT workout_id, cause, user_id, day, entitled, amount FROM awards ORDER BY workout_id, cause")
            .await;
    check_workouts(db, &awards).await;
    let days = check_days(db, &awards).await;
    let grown = check_monsters(db, &awards).await;
    let longest_streak = check_streaks(db, &days).await;
    Totals { awards: awards.len(), grown, longest_streak }
}

/// What is completed is what was awarded, and nobody was awarded for another's workout.
async fn check_workouts(db: &Db, awards: &[Award]) {
    let mut causes: BTreeMap<Uuid, Vec<&Award>> = BTreeMap::new();
    for award in awards {
        causes.entry(award.workout_id).or_default().push(award);
    }
    let select =
        "SELECT id, user_id, routine_id, open_routine_id, actions, completed, finished_at, finished_by FROM workouts";
    for workout in all::<Workout>(db, select).await {
        let actions: Vec<serde_json::Value> = serde_json::from_str(&workout.actions).expect("actions");
        let count = i64::try_from(actions.len()).expect("a count");
        let of = causes.remove(&workout.id).unwrap_or_default();
        let expected: Vec<i64> = (1..=count).filter(|position| workout.completed >> (position - 1) & 1 == 1).collect();
        let finished = i64::try_from(expected.len()) == Ok(count);
        let expected: Vec<i64> = finished.then_some(FINISHING).into_iter().chain(expected).collect();
        assert_eq!(of.iter().map(|award| award.cause).collect::<Vec<_>>(), expected, "workout {}", workout.id);
        assert!(of.iter().all(|award| award.user_id == workout.user_id));
        for award in of {
            assert_eq!(award.entitled, if award.cause == FINISHING { 20 * count } else { 100 });
        }
        assert_eq!((workout.finished_at.is_some(), workout.finished_by.is_some()), (finished, finished));
        assert_eq!(workout.open_routine_id, (!finished).then_some(workout.routine_id));
    }
    assert!(causes.is_empty(), "awards without a workout");
}

/// The sums by day are those of the ledger, and no day has brought too much. Returns the active days of everyone.
async fn check_days(db: &Db, awards: &[Award]) -> BTreeMap<Uuid, BTreeSet<i64>> {
    let mut sums: BTreeMap<(Uuid, i64), (i64, i64, i64)> = BTreeMap::new();
    for award in awards {
        assert!(0 <= award.amount && award.amount <= award.entitled);
        let (actions, routines, experience) = sums.entry((award.user_id, award.day)).or_default();
        *if award.cause == FINISHING { routines } else { actions } += 1;
        *experience += award.amount;
    }
    assert!(sums.values().all(|(_, _, experience)| *experience <= DAY_CAP));
    let kept: Vec<(Uuid, i64, i64, i64, i64)> =
        all(db, "SELECT user_id, day, actions, routines, experience FROM active_days").await;
    let kept: BTreeMap<_, _> = kept.into_iter().map(|(user, day, a, r, e)| ((user, day), (a, r, e))).collect();
    assert_eq!(kept, sums);
    let mut days: BTreeMap<Uuid, BTreeSet<i64>> = BTreeMap::new();
    for (user, day) in sums.into_keys() {
        days.entry(user).or_default().insert(day);
    }
    days
}

/// What was awarded is in monsters, or waits for the next. Returns how many are grown.
async fn check_monsters(db: &Db, awards: &[Award]) -> usize {
    let mut sums: BTreeMap<Uuid, i64> = BTreeMap::new();
    for award in awards {
        *sums.entry(award.user_id).or_default() += award.amount;
    }
    let mut eaten: BTreeMap<Uuid, i64> = BTreeMap::new();
    let monsters: Vec<Monster> = all(db, "SELECT user_id, growing_user_id, experience, grown_at FROM monsters").await;
    for monster in &monsters {
        *eaten.entry(monster.user_id).or_default() += monster.experience;
        let grown = monster.grown_at.is_some();
        assert_eq!(
            (monster.experience >= GROWN, monster.growing_user_id),
            (grown, (!grown).then_some(monster.user_id))
        );
    }
    let kept: Vec<(Uuid, i64)> = all(db, "SELECT user_id, kept_experience FROM progress").await;
    for (user, kept) in kept {
        *eaten.entry(user).or_default() += kept;
    }
    for users in [&mut sums, &mut eaten] {
        users.retain(|_, experience| *experience != 0);
    }
    assert_eq!(eaten, sums);
    monsters.iter().filter(|monster| monster.grown_at.is_some()).count()
}

/// The streaks are the unbroken runs of active days. Returns the longest of anyone.
async fn check_streaks(db: &Db, days: &BTreeMap<Uuid, BTreeSet<i64>>) -> i64 {
    let mut runs = BTreeSet::new();
    for (user, days) in days {
        for first in days.iter().filter(|day| !days.contains(&(*day - 1))) {
            let length = (0..).take_while(|after| days.contains(&(first + after))).count();
            let length = i64::try_from(length).expect("a length");
            runs.insert((*user, first + length - 1, *first, length));
        }
    }
    let kept: Vec<(Uuid, i64, i64, i64)> = all(db, "SELECT user_id, last_day, first_day, length FROM streaks").await;
    assert_eq!(kept.into_iter().collect::<BTreeSet<_>>(), runs);
    runs.into_iter().map(|(_, _, _, length)| length).max().unwrap_or(0)
}

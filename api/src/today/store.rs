//! Today in SQL: one statement of key look-ups, because it is the most frequent read.

use common::{
    db::{Db, DbError, sql},
    time::Timestamp,
};
use uuid::Uuid;

use super::model::Today;
use crate::{
    awards::{ledger::Sum, rules::DAY_CAP},
    calendar::Calendar,
    day::Day,
    history::rules::mark,
    monsters::model::Monster,
    routines::model::{Actions, Routine},
    workouts::{model::Workout, rules::CompletionMask},
};

/// The user's day depends on the time zone, which is read in the same statement: it returns a row for each possible
/// day, three at most, which differ in their sums only.
const SELECT: &str = "SELECT u.time_zone, u.week_start, p.kept_experience, \
    r.id AS routine_id, r.name AS routine_name, r.actions AS routine_actions, r.created_at, r.updated_at, \
    w.id AS workout_id, w.name AS workout_name, w.actions AS workout_actions, w.completed, w.started_at, \
    m.id AS monster_id, m.species, m.experience, m.drawn_at, \
    d.day, d.actions AS day_actions, d.routines AS day_routines, d.experience AS day_experience \
    FROM users u LEFT JOIN progress p ON p.user_id = u.id LEFT JOIN routines r ON r.id = p.main_routine_id \
    LEFT JOIN workouts w ON w.open_routine_id = r.id LEFT JOIN monsters m ON m.growing_user_id = u.id \
    LEFT JOIN active_days d ON d.user_id = u.id AND d.day BETWEEN ? AND ? \
    WHERE u.id = ? AND u.withdrawn_at IS NULL";

#[derive(sqlx::FromRow)]
struct Row {
    time_zone: String,
    week_start: String,
    kept_experience: Option<i64>,
    routine_id: Option<Uuid>,
    routine_name: Option<String>,
    routine_actions: Option<String>,
    created_at: Option<Timestamp>,
    updated_at: Option<Timestamp>,
    workout_id: Option<Uuid>,
    workout_name: Option<String>,
    workout_actions: Option<String>,
    completed: Option<CompletionMask>,
    started_at: Option<Timestamp>,
    monster_id: Option<Uuid>,
    species: Option<String>,
    experience: Option<i64>,
    drawn_at: Option<Timestamp>,
    day: Option<Day>,
    day_actions: Option<i64>,
    day_routines: Option<i64>,
    day_experience: Option<i64>,
}

impl Row {
    fn sum(&self) -> Sum {
        let [actions, routines, experience] =
            [self.day_actions, self.day_routines, self.day_experience].map(Option::unwrap_or_default);
        Sum { actions, routines, experience }
    }

    fn monster(&mut self) -> Option<Monster> {
        Some(Monster::new(self.monster_id?, &self.species.take()?, self.experience?, self.drawn_at?, None))
    }

    fn routine(&mut self) -> Result<Option<Routine>, DbError> {
        let Some(actions) = actions(self.routine_actions.take())? else { return Ok(None) };
        let routine = |id, name, created_at, updated_at| Routine {
            id,
            name,
            actions: actions.0,
            main: true,
            created_at,
            updated_at,
        };
        let key = self.routine_id.zip(self.routine_name.take());
        let times = self.created_at.zip(self.updated_at);
        Ok(key.zip(times).map(|((id, name), (created_at, updated_at))| routine(id, name, created_at, updated_at)))
    }

    fn workout(&mut self) -> Result<Option<Workout>, DbError> {
        let Some(actions) = actions(self.workout_actions.take())? else { return Ok(None) };
        let key = self.workout_id.zip(self.routine_id).zip(self.workout_name.take());
        let state = self.completed.zip(self.started_at);
        Ok(key.zip(state).map(|(((id, routine), name), (completed, started_at))| {
            Workout::new(id, routine, name, actions, completed, started_at, None)
        }))
    }
}

fn actions(text: Option<String>) -> Result<Option<Actions>, DbError> {
    text.map(Actions::try_from).transpose().map_err(|error| DbError::Other(sqlx::Error::Decode(error.into())))
}

/// A user's today. `None`: there is no such account any more.
///
/// # Errors
/// See [`DbError`].
pub async fn read(db: &Db, user: Uuid, now: Timestamp) -> Result<Option<Today>, DbError> {
    let day = Day::at(now, chrono_tz::UTC);
    let rows: Vec<Row> = sql(SELECT).bind(day.plus(-1)).bind(day.plus(1)).bind(user).all(db).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let today = Calendar::new(user, now, &first.time_zone, &first.week_start).today;
    let sum = rows.iter().find(|row| row.day == Some(today)).map(Row::sum).unwrap_or_default();
    let Some(mut row) = rows.into_iter().next() else { return Ok(None) };
    Ok(Some(Today {
        day: today,
        workout: row.workout()?,
        main_routine: row.routine()?,
        monster: row.monster(),
        kept_experience: row.kept_experience.unwrap_or(0).max(0),
        experience: sum.experience,
        experience_cap: DAY_CAP,
        actions: sum.actions,
        routines: sum.routines,
        mark: mark(sum),
    }))
}

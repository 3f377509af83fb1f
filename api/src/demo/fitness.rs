//! Workouts, awards, streaks and monsters of demo accounts over months.
//!
//! Each account is simulated day by day with the rules of the service itself; only the rows are written in batches.

use chrono_tz::Tz;
use common::{
    bootstrap::Backends,
    db::{DbError, Tx},
    ids::IdSource,
    time::Timestamp,
    transaction,
};
use rand::{Rng, rngs::StdRng};
use std::time::Duration;
use uuid::Uuid;

use super::{
    people::Account,
    plan::DemoError,
    table::Table,
    time::{self, HOUR},
};
use crate::{
    actions::catalogue::{PRESETS, Preset},
    awards::{
        cause::Cause,
        ledger::Sum,
        rules as awards,
        runs::{self, Run},
    },
    day::Day,
    monsters::{
        rules::{self as monsters, GROWN},
        species,
    },
    routines::model::Actions,
    workouts::rules::CompletionMask,
};

/// Accounts whose rows are written in one batch.
const PEOPLE: usize = 200;

/// Rows of all fitness tables.
struct Rows {
    routines: Table,
    progress: Table,
    workouts: Table,
    awards: Table,
    days: Table,
    streaks: Table,
    monsters: Table,
}

impl Rows {
    fn new() -> Self {
        Self {
            routines: Table::new(
                "routines",
                &["id", "user_id", "name", "name_key", "actions", "created_at", "updated_at"],
            ),
            progress: Table::new("progress", &["user_id", "main_routine_id", "kept_experience"]),
            workouts: Table::new(
                "workouts",
                &[
                    "id",
                    "user_id",
                    "routine_id",
                    "open_routine_id",
                    "name",
                    "actions",
                    "completed",
                    "started_at",
                    "finished_at",
                    "finished_by",
                ],
            ),
            awards: Table::new("awards", &["workout_id", "cause", "user_id", "day", "entitled", "amount", "at"]),
            days: Table::new("active_days", &["user_id", "day", "actions", "routines", "experience"]),
            streaks: Table::new("streaks", &["user_id", "last_day", "first_day", "length"]),
            monsters: Table::new(
                "monsters",
                &["id", "user_id", "growing_user_id", "species", "experience", "drawn_at", "grown_at"],
            ),
        }
    }

    /// Ordered so that referenced rows come first.
    fn tables(&self) -> [&Table; 7] {
        let Self { routines, progress, workouts, awards, days, streaks, monsters } = self;
        [routines, progress, workouts, awards, days, streaks, monsters]
    }

    async fn insert(&self, tx: &mut Tx) -> Result<(), DbError> {
        for table in self.tables() {
            table.insert(tx).await?;
        }
        Ok(())
    }
}

/// Simulates the last `days` days of every account.
pub(super) async fn fill(
    backends: &Backends,
    accounts: &[Account],
    days: u32,
    rng: &mut StdRng,
) -> Result<(), DemoError> {
    let now = backends.env.clock.now();
    for people in accounts.chunks(PEOPLE) {
        let mut rows = Rows::new();
        for account in people {
            let time = Period { now, zone: account.zone, days: days.into() };
            Simulation::new(account.person.id, &*backends.env.ids, rng, &mut rows).run(&time);
        }
        transaction!(backends.db, |tx| rows.insert(tx))?;
    }
    Ok(())
}

/// Simulated period in a time zone.
struct Period {
    now: Timestamp,
    zone: Tz,
    days: i64,
}

impl Period {
    fn midnight(&self, day: Day) -> Timestamp {
        time::midnight(day, self.zone, self.now)
    }
}

/// A workout under way.
struct OpenWorkout {
    id: Uuid,
    completed: CompletionMask,
    started_at: Timestamp,
}

/// The monster that grows.
struct GrowingMonster {
    id: Uuid,
    species: &'static str,
    experience: i64,
    drawn_at: Timestamp,
}

/// Simulation of one account.
struct Simulation<'a> {
    user: Uuid,
    ids: &'a dyn IdSource,
    rng: &'a mut StdRng,
    rows: &'a mut Rows,
    routine: Uuid,
    preset: &'static Preset,
    actions: Actions,
    workout: Option<OpenWorkout>,
    monster: Option<GrowingMonster>,
    collected: Vec<String>,
    kept: i64,
    streaks: Vec<Run>,
}

impl<'a> Simulation<'a> {
    fn new(user: Uuid, ids: &'a dyn IdSource, rng: &'a mut StdRng, rows: &'a mut Rows) -> Self {
        let preset = &PRESETS[rng.random_range(0..PRESETS.len())];
        Self {
            user,
            ids,
            rng,
            rows,
            routine: ids.next_id(),
            preset,
            actions: Actions::of_preset(preset),
            workout: None,
            monster: None,
            collected: Vec::new(),
            kept: 0,
            streaks: Vec::new(),
        }
    }

    fn run(mut self, time: &Period) {
        let today = Day::at(time.now, time.zone);
        let first = today.plus(1 - time.days);
        self.choose_routine(time.midnight(first).min(time.now));
        // One in six works out nearly every day; the others at random.
        let keen = self.rng.random_bool(1.0 / 6.0);
        let diligence = if keen { 0.95 } else { self.rng.random_range(0.15..0.85) };
        for day in (first.0..=today.0).map(Day) {
            if self.rng.random_bool(diligence) {
                let workouts = if keen { 4 } else { self.rng.random_range(1..=2) };
                self.run_day(day, workouts, time);
            }
        }
        self.write_rest();
    }

    /// Adds both presets as routines, one of them as the main routine.
    fn choose_routine(&mut self, at: Timestamp) {
        for preset in &PRESETS {
            let id = if preset.id == self.preset.id { self.routine } else { self.ids.next_id() };
            self.rows.routines.push(vec![
                id.into(),
                self.user.into(),
                preset.name.into(),
                common::text::fold(preset.name).into(),
                Actions::of_preset(preset).to_text().into(),
                at.into(),
                at.into(),
            ]);
        }
    }

    fn run_day(&mut self, day: Day, workouts: u32, time: &Period) {
        let mut at = time.midnight(day) + HOUR * self.rng.random_range(7..19);
        let mut sum = Sum::default();
        for _ in 0..workouts {
            at = at + HOUR;
            if at >= time.now || !self.work_out(day, &mut at, &mut sum) {
                break;
            }
        }
        if sum != Sum::default() {
            let Sum { actions, routines, experience } = sum;
            let row = vec![self.user.into(), day.into(), actions.into(), routines.into(), experience.into()];
            self.rows.days.push(row);
            self.streaks = runs::with(&self.streaks, day);
        }
    }

    /// Continues the open workout, or begins one. Returns whether it was finished.
    fn work_out(&mut self, day: Day, at: &mut Timestamp, sum: &mut Sum) -> bool {
        if self.monster.is_none() {
            self.draw(*at);
        }
        let begin = || OpenWorkout { id: self.ids.next_id(), completed: CompletionMask(0), started_at: *at };
        let mut workout = self.workout.take().unwrap_or_else(begin);
        for position in 1..=self.actions.0.len() {
            if workout.completed.has(position) {
                continue;
            }
            if self.rng.random_bool(0.02) {
                self.workout = Some(workout);
                return false;
            }
            *at = *at + Duration::from_secs(self.rng.random_range(20..90));
            workout.completed = workout.completed.with(position);
            self.award(&workout, Cause::Action(position), awards::ACTION, day, *at, sum);
        }
        let actions = self.actions.0.len();
        self.award(&workout, Cause::Finish, awards::finish(actions), day, *at, sum);
        self.write_workout(&workout, Some(*at));
        true
    }

    fn award(&mut self, workout: &OpenWorkout, cause: Cause, entitled: i64, day: Day, at: Timestamp, sum: &mut Sum) {
        let amount = awards::cut(entitled, sum.experience);
        let row = [workout.id.into(), cause.into(), self.user.into(), day.into(), entitled.into(), amount.into()];
        self.rows.awards.push(row.into_iter().chain([at.into()]).collect());
        sum.experience += amount;
        if cause == Cause::Finish {
            sum.routines += 1;
        } else {
            sum.actions += 1;
        }
        self.feed(amount, at);
    }

    fn draw(&mut self, at: Timestamp) {
        let id = self.ids.next_id();
        let species = species::draw(&self.collected, self.rng.random()).id;
        self.monster = Some(GrowingMonster { id, species, experience: 0, drawn_at: at });
        let kept = std::mem::take(&mut self.kept);
        self.feed(kept, at);
    }

    fn feed(&mut self, food: i64, at: Timestamp) {
        let Some(mut monster) = self.monster.take() else {
            self.kept += food;
            return;
        };
        let fed = monsters::feed(monster.experience, food);
        monster.experience = fed.experience;
        self.kept = fed.kept;
        if monster.experience >= GROWN {
            self.write_monster(&monster, Some(at));
            self.collected.push(monster.species.to_owned());
        } else {
            self.monster = Some(monster);
        }
    }

    fn write_workout(&mut self, workout: &OpenWorkout, finished_at: Option<Timestamp>) {
        // Actions are completed in order, so the last one finishes.
        let finished_by = finished_at.map(|_| self.actions.0.len());
        self.rows.workouts.push(vec![
            workout.id.into(),
            self.user.into(),
            self.routine.into(),
            finished_at.is_none().then_some(self.routine).into(),
            self.preset.name.into(),
            self.actions.to_text().into(),
            workout.completed.0.into(),
            workout.started_at.into(),
            finished_at.into(),
            finished_by.into(),
        ]);
    }

    fn write_monster(&mut self, monster: &GrowingMonster, grown_at: Option<Timestamp>) {
        self.rows.monsters.push(vec![
            monster.id.into(),
            self.user.into(),
            grown_at.is_none().then_some(self.user).into(),
            monster.species.into(),
            monster.experience.into(),
            monster.drawn_at.into(),
            grown_at.into(),
        ]);
    }

    /// Writes the open workout, the growing monster, the streaks and the progress.
    fn write_rest(mut self) {
        if let Some(workout) = self.workout.take() {
            self.write_workout(&workout, None);
        }
        if let Some(monster) = self.monster.take() {
            self.write_monster(&monster, None);
        }
        for run in &self.streaks {
            let row = vec![self.user.into(), run.last_day.into(), run.first_day.into(), run.length().into()];
            self.rows.streaks.push(row);
        }
        self.rows.progress.push(vec![self.user.into(), self.routine.into(), self.kept.into()]);
    }
}

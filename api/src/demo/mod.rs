//! Believable data for trying the service and for load tests: people and what they did, meetups around Seoul, talkative rooms.
//!
//! `people.rs` makes accounts, and `fitness.rs` lets them work out for months; `meetups.rs` thinks up meetups, `reactions.rs`
//! who likes and comments on them, `talk.rs` what is said in their rooms; `words.rs` holds the words. Rows are collected in
//! `table.rs`.

mod fitness;
mod meetups;
mod people;
mod reactions;
mod table;
mod talk;
mod words;

use std::{io, time::Duration};

use chrono::NaiveTime;
use chrono_tz::Tz;
use common::{
    bootstrap::Backends,
    config::{Config, Profile},
    db::DbError,
    rooms::RoomError,
    time::Timestamp,
};
use rand::{Rng, SeedableRng, rngs::StdRng};

use self::{meetups::Meetup, people::Account};
use crate::{day::Day, problem::Failure};

/// The password of every demo account.
pub const PASSWORD: &str = "mingizuk-demo-1";
/// How long the access tokens of the list are valid.
pub const TOKEN_TTL: Duration = Duration::from_secs(24 * 3600);
/// Meetups written together.
const TOGETHER: usize = 200;
/// Days of workouts, at most.
const MAX_DAYS: u32 = 1_000;
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// How much data to make.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Accounts.
    pub users: usize,
    /// Meetups ahead, each with a room that can be written to for as long as the tokens are valid. Half as many besides are
    /// near, under way, over or cancelled.
    pub meetups: usize,
    /// Members of each meetup, its host among them.
    pub members: usize,
    /// Days that everyone has had an account and worked out on, more or less often.
    pub days: u32,
    /// The same seed on an empty database makes the same people say the same things.
    pub seed: u64,
}

/// Why there is no demo data.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The profile is production.
    #[error("demo data is refused in the production profile (MINGIZUK_ENV)")]
    Production,
    /// The numbers do not fit each other.
    #[error("--members must be between 1 and --users, --users at most 1,000,000, and --days at most 1,000")]
    Plan,
    /// The database.
    #[error("the demo data could not be stored: {0}")]
    Db(#[from] DbError),
    /// The room log.
    #[error("the demo rooms could not be filled: {0}")]
    Rooms(#[from] RoomError),
    /// Hashing or signing.
    #[error("the demo accounts could not be made: {0}")]
    Accounts(#[from] Failure),
    /// The file of the tokens.
    #[error("the tokens could not be written: {0}")]
    File(#[from] io::Error),
}

/// Whether the profile takes demo data.
///
/// # Errors
/// [`DemoError::Production`].
pub fn check(config: &Config) -> Result<(), DemoError> {
    if config.profile == Profile::Production { Err(DemoError::Production) } else { Ok(()) }
}

/// Adds demo data and writes a line `user_id,nickname,access_token,room_id` for each membership of the meetups
/// ahead to `tokens`.
///
/// # Errors
/// See [`DemoError`]. What was committed before stays.
pub async fn fill(backends: &Backends, plan: Plan, tokens: &mut (dyn io::Write + Send)) -> Result<(), DemoError> {
    check(&backends.config)?;
    if plan.members == 0 || plan.members > plan.users || plan.users > 1_000_000 || plan.days > MAX_DAYS {
        return Err(DemoError::Plan);
    }
    let mut rng = StdRng::seed_from_u64(plan.seed);
    let accounts = people::make(backends, plan, &mut rng).await?;
    fitness::fill(backends, &accounts, plan.days, &mut rng).await?;
    let meetups = meetups::draw(plan, &backends.env, &mut rng);
    for meetups in meetups.chunks(TOGETHER) {
        meetups::insert(backends, meetups, &accounts, &mut rng).await?;
        talk::fill(backends, meetups, &accounts, &mut rng).await?;
    }
    write_tokens(backends, &accounts, &meetups, tokens)
}

/// When a day begins somewhere; `otherwise` where the calendar ends.
fn midnight(day: Day, zone: Tz, otherwise: Timestamp) -> Timestamp {
    let midnight = day.date().and_time(NaiveTime::MIN).and_local_timezone(zone);
    midnight.earliest().map_or(otherwise, |midnight| midnight.to_utc().into())
}

/// Some moment from `from` on, until `until` if that is later.
fn between(rng: &mut StdRng, from: Timestamp, until: Timestamp) -> Timestamp {
    Timestamp(rng.random_range(from.0..=until.0.max(from.0)))
}

/// So many moments, in their order.
fn moments(rng: &mut StdRng, from: Timestamp, until: Timestamp, count: usize) -> Vec<Timestamp> {
    let mut moments: Vec<Timestamp> = (0..count).map(|_| between(rng, from, until)).collect();
    moments.sort_unstable();
    moments
}

fn write_tokens(
    backends: &Backends,
    accounts: &[Account],
    meetups: &[Meetup],
    tokens: &mut (dyn io::Write + Send),
) -> Result<(), DemoError> {
    writeln!(tokens, "user_id,nickname,access_token,room_id")?;
    for meetup in meetups.iter().filter(|meetup| meetup.stays_open()) {
        for (place, _) in &meetup.members {
            let Account { person, session, .. } = &accounts[*place];
            let token = backends.tokens.issue(person.id, *session, TOKEN_TTL).map_err(Failure::from)?;
            writeln!(tokens, "{},{},{token},{}", person.id, person.nickname, meetup.id)?;
        }
    }
    Ok(tokens.flush()?)
}

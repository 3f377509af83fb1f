//! Believable data for trying the service and for load tests: people and what they did, meetups around Seoul, talkative rooms.
//!
//! `people.rs` makes accounts, and `fitness.rs` lets them work out for months; `meetups.rs` thinks up meetups, `reactions.rs`
//! who likes and comments on them, `talk.rs` what is said in their rooms; `words.rs` holds the words. Rows are collected in
//! `table.rs`.

mod fitness;
mod meetups;
mod people;
mod plan;
mod reactions;
mod table;
mod talk;
mod time;
mod words;

use std::{io, time::Duration};

use common::{
    bootstrap::Backends,
    config::{Config, Profile},
};
use rand::{SeedableRng, rngs::StdRng};

pub use self::plan::{DemoError, PASSWORD, Plan};
use self::{meetups::DemoMeetup, people::Account};
use crate::problem::Failure;

/// How long the access tokens of the list are valid.
pub const TOKEN_TTL: Duration = Duration::from_secs(24 * 3600);
/// Meetups written together.
const TOGETHER: usize = 200;
/// Days of workouts, at most.
const MAX_DAYS: u32 = 1_000;

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

fn write_tokens(
    backends: &Backends,
    accounts: &[Account],
    meetups: &[DemoMeetup],
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

//! Demo data for trials and load tests: accounts with months of activity, meetups around Seoul, and rooms with
//! conversations.
//!
//! `plan.rs` has the size and the errors. `people.rs` makes accounts, `fitness.rs` their workouts, `meetups.rs`
//! meetups with members, `reactions.rs` likes and comments, `talk.rs` the rooms' logs. Below them: `words.rs` (texts),
//! `time.rs` (random moments), `table.rs` (batched inserts). All randomness comes from one seeded generator.

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

/// Validity of the access tokens in the list.
pub const TOKEN_TTL: Duration = Duration::from_secs(24 * 3600);
/// Meetups written in one batch.
const TOGETHER: usize = 200;
/// Days of workouts, at most.
const MAX_DAYS: u32 = 1_000;

/// Checks that the profile allows demo data.
///
/// # Errors
/// [`DemoError::Production`].
pub fn check(config: &Config) -> Result<(), DemoError> {
    if config.profile == Profile::Production { Err(DemoError::Production) } else { Ok(()) }
}

/// Adds demo data, and writes a line `user_id,nickname,access_token,room_id` to `tokens` for each membership of an
/// upcoming meetup.
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

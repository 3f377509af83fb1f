//! Believable data for trying the service and for load tests: people and what they did, meetups around Seoul, talkative rooms.
//!
//! `fitness.rs` lets them work out for months, `reactions.rs` like and comment; `words.rs` holds what they are called and what they say.

mod fitness;
mod reactions;
mod words;

use std::{io, time::Duration};

use common::{
    bootstrap::Backends,
    config::{Config, Profile},
    db::{DbError, Tx, Value, insert_rows},
    membership::MemberState,
    outbox::{self, RelayError},
    rooms::{Draft, RoomError},
    text::fold,
    time::Timestamp,
    transaction,
    wire::{Body, Change, Person, Role},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use uuid::Uuid;

use self::reactions::Reactions;
use crate::{
    auth::passwords::Passwords,
    meetups::{
        model::{NewMeetup, Place, Region},
        store,
    },
    problem::Failure,
};

/// The password of every demo account.
pub const PASSWORD: &str = "mingizuk-demo-1";
/// How long the access tokens of the list are valid.
pub const TOKEN_TTL: Duration = Duration::from_secs(24 * 3600);
/// Messages in each room.
const MESSAGES: usize = 20;
/// Days of workouts, at most.
const MAX_DAYS: u32 = 1_000;
const HOUR: Duration = Duration::from_secs(3600);

/// How much data to make.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Accounts.
    pub users: usize,
    /// Meetups, each with a room.
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
    /// The room log, by way of the outbox.
    #[error("the demo rooms could not be filled: {0}")]
    Relay(#[from] RelayError),
    /// Hashing or signing.
    #[error("the demo accounts could not be made: {0}")]
    Accounts(#[from] Failure),
    /// The file of the tokens.
    #[error("the tokens could not be written: {0}")]
    File(#[from] io::Error),
}

/// A demo account.
#[derive(Clone, Debug)]
struct Account {
    person: Person,
    session: Uuid,
}

/// A demo meetup with the places of its members in the list of accounts, the host first.
struct Meetup {
    id: Uuid,
    members: Vec<usize>,
}

/// Whether the profile takes demo data.
///
/// # Errors
/// [`DemoError::Production`].
pub fn check(config: &Config) -> Result<(), DemoError> {
    if config.profile == Profile::Production { Err(DemoError::Production) } else { Ok(()) }
}

/// Adds demo data and writes a line `user_id,nickname,access_token,room_id` for each membership to `tokens`.
///
/// # Errors
/// See [`DemoError`]. What was committed before stays.
pub async fn fill(backends: &Backends, plan: Plan, tokens: &mut (dyn io::Write + Send)) -> Result<(), DemoError> {
    check(&backends.config)?;
    if plan.members == 0 || plan.members > plan.users || plan.users > 1_000_000 || plan.days > MAX_DAYS {
        return Err(DemoError::Plan);
    }
    let mut rng = StdRng::seed_from_u64(plan.seed);
    let accounts = make_accounts(backends, plan, &mut rng).await?;
    fitness::fill(backends, &accounts, plan.days, &mut rng).await?;
    let meetups = make_meetups(backends, plan, &accounts, &mut rng).await?;
    backends.relay.drain().await?;
    for meetup in &meetups {
        talk(backends, meetup, &accounts, &mut rng).await?;
    }
    write_tokens(backends, &accounts, &meetups, tokens)
}

async fn make_accounts(backends: &Backends, plan: Plan, rng: &mut StdRng) -> Result<Vec<Account>, DemoError> {
    let (ids, now) = (&backends.around.ids, backends.around.clock.now());
    let hash = Passwords::new(backends.config.bcrypt_cost).hash(PASSWORD.to_owned()).await?;
    // Keeps the names of one run apart from those of another.
    let run = format!("{:03x}", ids.next_id().as_u128() & 0xfff);
    let accounts: Vec<Account> = (0..plan.users)
        .map(|number| {
            let person = Person { id: ids.next_id(), nickname: words::nickname(rng, &run, number) };
            Account { person, session: ids.next_id() }
        })
        .collect();
    let rows = |row: &dyn Fn(usize, &Account) -> Vec<Value>| -> Vec<Vec<Value>> {
        accounts.iter().enumerate().map(|(number, account)| row(number, account)).collect()
    };
    let user = |number: usize, account: &Account| -> Vec<Value> {
        let (email, name) = (format!("demo-{run}-{number}@example.com"), &account.person.nickname);
        let zone = crate::auth::rules::DEFAULT_TIME_ZONE;
        vec![
            account.person.id.into(),
            email.as_str().into(),
            fold(&email).into(),
            hash.as_str().into(),
            name.into(),
            fold(name).into(),
            zone.into(),
            "monday".into(),
            (now - HOUR * 24 * plan.days).into(),
        ]
    };
    let session = |_, account: &Account| -> Vec<Value> {
        vec![account.session.into(), account.person.id.into(), "demo".into(), now.into(), now.into()]
    };
    let columns = [
        "id",
        "email",
        "email_key",
        "password_hash",
        "nickname",
        "nickname_key",
        "time_zone",
        "week_start",
        "created_at",
    ];
    transaction!(backends.db, |tx| async {
        insert_rows(tx, "users", &columns, rows(&user)).await?;
        let columns = ["id", "user_id", "device", "created_at", "last_used_at"];
        insert_rows(tx, "sessions", &columns, rows(&session)).await
    })?;
    Ok(accounts)
}

async fn make_meetups(
    backends: &Backends,
    plan: Plan,
    accounts: &[Account],
    rng: &mut StdRng,
) -> Result<Vec<Meetup>, DemoError> {
    let mut meetups = Vec::with_capacity(plan.meetups);
    for number in 0..plan.meetups {
        let id = backends.around.ids.next_id();
        let members = (0..plan.members).map(|place| (number * plan.members + place) % plan.users).collect();
        let meetup = Meetup { id, members };
        let new = new_meetup(backends.around.clock.now(), rng);
        let reactions = Reactions::draw(accounts, rng);
        transaction!(backends.db, |tx| async {
            insert_meetup(tx, backends, &meetup, accounts, &new).await?;
            reactions.insert(tx, &backends.around, meetup.id).await
        })?;
        meetups.push(meetup);
    }
    Ok(meetups)
}

fn new_meetup(now: Timestamp, rng: &mut StdRng) -> NewMeetup {
    let place = words::place(rng);
    let (title, description) = words::meetup(rng);
    let starts_at = now + HOUR * rng.random_range(1..24 * 14);
    let ends_at = starts_at + HOUR * rng.random_range(1..4);
    let region =
        Region {
            sido: "서울특별시".to_owned(), sigungu: place.sigungu.to_owned(), code: place.region_code.to_owned()
        };
    let place = Place {
        name: place.name.to_owned(),
        road_address: place.road_address.to_owned(),
        lot_address: String::new(),
        // Not everyone meets at the very same spot.
        latitude: place.latitude + rng.random_range(-0.004..0.004),
        longitude: place.longitude + rng.random_range(-0.004..0.004),
        region,
        kakao_place_id: None,
        kakao_place_url: None,
    };
    NewMeetup {
        title: title.to_owned(),
        description: description.to_owned(),
        image_url: None,
        place,
        starts_at,
        ends_at,
        capacity: None,
    }
}

async fn insert_meetup(
    tx: &mut Tx,
    backends: &Backends,
    meetup: &Meetup,
    accounts: &[Account],
    new: &NewMeetup,
) -> Result<(), DbError> {
    let now = backends.around.clock.now();
    let host = &accounts[meetup.members[0]].person;
    store::insert(tx, meetup.id, host.id, new, meetup.members.len(), now).await?;
    let people = || meetup.members.iter().map(|place| &accounts[*place].person);
    let members = people()
        .map(|person| vec![meetup.id.into(), person.id.into(), MemberState::Member.as_str().into(), now.into()])
        .collect();
    insert_rows(tx, "meetup_members", &["meetup_id", "user_id", "state", "since"], members).await?;
    let joined: Vec<Body> =
        people().skip(1).map(|person| Body::Member { user: person.clone(), change: Change::Joined }).collect();
    outbox::put(tx, &backends.around, meetup.id, &joined).await
}

async fn talk(backends: &Backends, meetup: &Meetup, accounts: &[Account], rng: &mut StdRng) -> Result<(), DemoError> {
    for _ in 0..MESSAGES {
        let Some(place) = meetup.members.choose(rng) else { return Ok(()) };
        let user = accounts[*place].person.clone();
        let nonce = backends.around.ids.next_id().to_string();
        let text = Some(words::line(rng).to_owned());
        let author = user.id;
        let body = Body::Message { user, nonce: nonce.clone(), text, edited_at: None, deleted_at: None };
        let draft = Draft { author, role: Role::Member, nonce: Some(nonce), at: backends.around.clock.now(), body };
        backends.rooms.append(meetup.id, draft).await?;
    }
    Ok(())
}

fn write_tokens(
    backends: &Backends,
    accounts: &[Account],
    meetups: &[Meetup],
    tokens: &mut (dyn io::Write + Send),
) -> Result<(), DemoError> {
    writeln!(tokens, "user_id,nickname,access_token,room_id")?;
    for meetup in meetups {
        for place in &meetup.members {
            let Account { person, session } = &accounts[*place];
            let token = backends.tokens.issue(person.id, *session, TOKEN_TTL).map_err(Failure::from)?;
            writeln!(tokens, "{},{},{token},{}", person.id, person.nickname, meetup.id)?;
        }
    }
    Ok(tokens.flush()?)
}

//! Demo accounts, each with a session.

use chrono_tz::Tz;
use common::{
    bootstrap::Backends,
    db::{DbError, Value},
    text::fold,
    time::Timestamp,
    transaction,
};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use uuid::Uuid;
use wire::Person;

use super::{
    plan::{DemoError, PASSWORD, Plan},
    table::Table,
    time::DAY,
    words,
};
use crate::auth::{passwords::Passwords, rules::DEFAULT_WEEK_START};

/// Accounts written in one batch.
const TOGETHER: usize = 5_000;
const USERS: [&str; 9] =
    ["id", "email", "email_key", "password_hash", "nickname", "nickname_key", "time_zone", "week_start", "created_at"];
const SESSIONS: [&str; 5] = ["id", "user_id", "device", "created_at", "last_used_at"];
/// Time zones of accounts outside Korea.
const ABROAD: [Tz; 5] =
    [Tz::Asia__Tokyo, Tz::America__Los_Angeles, Tz::America__New_York, Tz::Europe__London, Tz::Australia__Sydney];

/// A demo account.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) person: Person,
    pub(super) session: Uuid,
    pub(super) zone: Tz,
}

/// Values that all accounts of a run share.
struct Shared {
    /// Part of every name, so that the names of two runs differ.
    name: String,
    password_hash: String,
    now: Timestamp,
    days: u32,
}

/// Inserts the accounts with a session each.
pub(super) async fn make(backends: &Backends, plan: Plan, rng: &mut StdRng) -> Result<Vec<Account>, DemoError> {
    let ids = &backends.env.ids;
    let run = Shared {
        name: format!("{:03x}", ids.next_id().as_u128() & 0xfff),
        password_hash: Passwords::new(backends.config.bcrypt_cost).hash(PASSWORD.to_owned()).await?,
        now: backends.env.clock.now(),
        days: plan.days,
    };
    let mut accounts = Vec::with_capacity(plan.users);
    while accounts.len() < plan.users {
        let (mut users, mut sessions) = (Table::new("users", &USERS), Table::new("sessions", &SESSIONS));
        for number in accounts.len()..plan.users.min(accounts.len() + TOGETHER) {
            let person = Person { id: ids.next_id(), nickname: words::nickname(rng, &run.name, number) };
            let zone = ABROAD.choose(rng).copied().filter(|_| rng.random_bool(0.1)).unwrap_or(Tz::Asia__Seoul);
            let account = Account { person, session: ids.next_id(), zone };
            users.push(run.user(number, &account, rng));
            sessions.push(run.session(&account, rng));
            accounts.push(account);
        }
        transaction!(backends.db, |tx| async {
            users.insert(tx).await?;
            sessions.insert(tx).await?;
            Ok::<_, DbError>(())
        })?;
    }
    Ok(accounts)
}

impl Shared {
    fn user(&self, number: usize, account: &Account, rng: &mut StdRng) -> Vec<Value> {
        let (email, name) = (format!("demo-{}-{number}@example.com", self.name), &account.person.nickname);
        let sunday = rng.random_bool(0.3);
        // Accounts are older than their first simulated day.
        let created_at = self.now - DAY * self.days - DAY.mul_f64(rng.random());
        vec![
            account.person.id.into(),
            email.as_str().into(),
            fold(&email).into(),
            self.password_hash.as_str().into(),
            name.into(),
            fold(name).into(),
            account.zone.name().into(),
            if sunday { "sunday" } else { DEFAULT_WEEK_START }.into(),
            created_at.into(),
        ]
    }

    fn session(&self, account: &Account, rng: &mut StdRng) -> Vec<Value> {
        let created_at = self.now - DAY.mul_f64(rng.random());
        vec![account.session.into(), account.person.id.into(), "demo".into(), created_at.into(), self.now.into()]
    }
}

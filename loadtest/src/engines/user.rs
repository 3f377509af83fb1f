//! A virtual user: its variables, its randomness, and what it shares with all others of the run.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rand::{Rng, RngCore, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    connect::Connector,
    http::{Client, cookies::Jar},
};
use crate::{
    metrics::{Recorder, Window, deliveries::Ledger},
    script::{
        Plan,
        plan::{Order, Rows, Scenario},
        template::{Scope, Template},
    },
};

/// What all users of a run share.
pub struct Shared {
    /// The compiled script.
    pub plan: Arc<Plan>,
    /// Where they record.
    pub recorder: Arc<Recorder>,
    /// Where connections come from.
    pub connector: Arc<Connector>,
    /// Variables that are the same for all: constants, and what `before` captured.
    pub common: HashMap<String, Value>,
    /// Connections that all share, if the script asks for a pool.
    pub pool: Option<Arc<Client>>,
    /// Accounts of chat deliveries, if the script asks for them.
    pub ledger: Option<Arc<Ledger>>,
    /// Ends all users.
    pub stop: CancellationToken,
    /// Start of the run: the clock of stamps.
    pub began: Instant,
    /// Seed of every random choice.
    pub seed: u64,
    /// Prints a line of a `log` step or of a failed expectation.
    pub print: Box<dyn Fn(&str) + Send + Sync>,
    /// Next row of each data file.
    pub rows: Vec<AtomicU64>,
}

impl Shared {
    /// Records several things for a user.
    pub fn record<T>(&self, user: u64, record: impl FnOnce(&mut Window) -> T) -> T {
        // Shards are few; the low bits of a count spread users well.
        self.recorder.with(usize::try_from(user & 0xff).unwrap_or(0), record)
    }

    /// Microseconds since the start of the run.
    #[must_use]
    pub fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.began).as_micros()).unwrap_or(u64::MAX)
    }
}

/// A virtual user.
pub struct User {
    /// What it shares with all others.
    pub shared: Arc<Shared>,
    /// Number of the user in the run, from 0.
    pub id: u64,
    /// Its connections.
    pub client: Arc<Client>,
    /// Its cookies.
    pub jar: Arc<Jar>,
    /// When it last sent each request, by address of the request.
    pub sent: HashMap<usize, Instant>,
    /// How late the generator started it; counted with its first request.
    pub late: Duration,
    variables: HashMap<String, Value>,
    random: StdRng,
}

impl User {
    /// A user with its row of each data file. `None` if the rows of a file that is read once have run out.
    #[must_use]
    pub fn new(shared: &Arc<Shared>, id: u64) -> Option<Self> {
        let mut random = StdRng::seed_from_u64(shared.seed ^ id.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut variables = HashMap::new();
        deal(shared, &mut variables, &mut random)?;
        let client = shared.pool.clone().unwrap_or_else(|| Arc::new(Client::of_user(&shared.plan)));
        let late = Duration::ZERO;
        let mut user = Self {
            shared: shared.clone(),
            id,
            client,
            jar: Arc::default(),
            sent: HashMap::new(),
            late,
            variables,
            random,
        };
        let uuid = uuid::Builder::from_random_bytes(user.random.random()).into_uuid();
        user.set("$uuid", uuid.to_string().into());
        let plan = shared.plan.clone();
        for (name, template) in &plan.variables {
            let value = match template.value(&mut user) {
                Some(Value::Array(items)) => items.choose(&mut user.random).cloned(),
                other => other,
            };
            if let Some(value) = value {
                user.variables.insert(name.clone(), value);
            }
        }
        Some(user)
    }

    /// The same user for a step that runs beside others.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self {
            shared: self.shared.clone(),
            id: self.id,
            client: self.client.clone(),
            jar: self.jar.clone(),
            sent: HashMap::new(),
            late: Duration::ZERO,
            variables: self.variables.clone(),
            random: StdRng::seed_from_u64(self.random.next_u64()),
        }
    }

    /// Takes over the variables that a fork has set.
    pub fn join(&mut self, fork: Self) {
        self.variables.extend(fork.variables);
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: Value) {
        match self.variables.get_mut(name) {
            Some(slot) => *slot = value,
            None => {
                self.variables.insert(name.to_owned(), value);
            }
        }
    }

    /// Variables that the user has set or was given.
    #[must_use]
    pub fn into_variables(self) -> HashMap<String, Value> {
        self.variables
    }

    /// Chooses a scenario by weight.
    pub fn choose<'a>(&mut self, scenarios: &'a [Scenario]) -> &'a Scenario {
        let weights: Vec<f64> = scenarios.iter().map(|scenario| self.weight(&scenario.weight)).collect();
        let total: f64 = weights.iter().sum();
        let mut draw = self.random.random::<f64>() * total;
        for (scenario, weight) in scenarios.iter().zip(&weights) {
            draw -= weight;
            if draw < 0.0 {
                return scenario;
            }
        }
        &scenarios[0]
    }

    fn weight(&mut self, template: &Template) -> f64 {
        template.text(self).trim().parse::<f64>().ok().filter(|weight| weight.is_finite()).unwrap_or(1.0).max(0.0)
    }

    /// Records several things.
    pub fn record<T>(&self, record: impl FnOnce(&mut Window) -> T) -> T {
        self.shared.record(self.id, record)
    }
}

impl Scope for User {
    fn variable(&self, name: &str) -> Option<&Value> {
        self.variables.get(name).or_else(|| self.shared.common.get(name))
    }

    fn random(&mut self) -> &mut dyn RngCore {
        &mut self.random
    }
}

fn deal(shared: &Shared, variables: &mut HashMap<String, Value>, random: &mut StdRng) -> Option<()> {
    for (payload, next) in shared.plan.payloads.iter().zip(&shared.rows) {
        let (fields, rows) = match &payload.data {
            Rows::All { name, rows } => {
                variables.insert(name.clone(), rows.clone());
                continue;
            }
            Rows::Each { fields, rows } => (fields, rows),
        };
        let row = match payload.order {
            Order::Random => rows.choose(random)?,
            Order::Sequence => {
                let turn = next.fetch_add(1, Ordering::Relaxed);
                rows.get(usize::try_from(turn % rows.len() as u64).ok()?)?
            }
            Order::Once => rows.get(usize::try_from(next.fetch_add(1, Ordering::Relaxed)).ok()?)?,
        };
        variables.extend(fields.iter().cloned().zip(row.iter().cloned()));
    }
    Some(())
}

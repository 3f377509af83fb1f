//! Runner: phases start users, users run, and what they record becomes the report.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`arrivals`] | when users start |
//! | [`checks`] | checks of `ensure` |
//! | [`watch`] | processor time and memory of processes |

pub mod arrivals;
pub mod checks;
pub mod watch;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng};
use tokio::time::{interval, sleep_until};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::watch::Watch;
use crate::{
    engines::{
        Session, Shared, User, UserError,
        connect::Connector,
        http::{Client, millis},
    },
    failure::{Failure, Outcome},
    metrics::{Collector, Period, PhaseFigures, Report, RunInfo, Window, deliveries::Ledger},
    script::{
        Plan,
        plan::{Engine, Load, Phase, Scenario},
    },
};

/// A user that is started this much later than it was due is late: timers have a resolution of one millisecond.
const TIMER: Duration = Duration::from_millis(2);
/// Lateness of the slowest hundredth from which on the generator was the limit, in milliseconds.
const LATE_MS: f64 = 20.0;
/// Share of the machine's cores from which on the generator was the limit.
const BUSY: f64 = 0.85;
/// A user that fails in a phase of constant users is replaced after this.
const RETRY: Duration = Duration::from_millis(100);

/// How a plan is run.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Whether connections to other machines are allowed.
    pub allow_remote: bool,
    /// Whether the run ends when a strict upper limit is exceeded.
    pub abort_on_fail: bool,
    /// The run ends after this.
    pub stop_after: Option<Duration>,
    /// Processes to watch.
    pub processes: Vec<(String, u32)>,
    /// Seed of every random choice.
    pub seed: u64,
    /// Name of the run.
    pub name: Option<String>,
    /// `$testId`.
    pub test_id: String,
}

/// What is told while a run lasts.
pub enum Event<'a> {
    /// A phase has begun.
    PhaseStarted(usize, &'a Phase),
    /// A phase is over; its users may still run.
    PhaseCompleted(usize, &'a Phase),
    /// Every second.
    Second(Second<'a>),
    /// A period of ten seconds is over.
    Period(&'a Period),
    /// A line of a script's `log`.
    Log(&'a str),
    /// Something that the figures suffer from.
    Warning(&'a str),
}

/// State of a run, told every second.
pub struct Second<'a> {
    /// What was recorded in the last second.
    pub latest: &'a Window,
    /// What was recorded since the start.
    pub total: &'a Window,
    /// Users that run.
    pub running: u64,
    /// Processor time of the generator, in percent of one core.
    pub generator_cpu: f64,
    /// Time since the start.
    pub elapsed: Duration,
}

/// Who is told of a run. Called from several threads, and must not wait.
pub type Observer = Arc<dyn Fn(&Event<'_>) + Send + Sync>;

/// Ends a run early.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    token: CancellationToken,
    reason: Arc<Mutex<Option<String>>>,
}

impl Stop {
    /// Ends the run; the first reason is kept.
    pub fn stop(&self, reason: impl Into<String>) {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason.into());
        self.token.cancel();
    }

    fn reason(&self) -> Option<String> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Runs a plan to its end, or until it is stopped, and returns its report in either case.
///
/// # Errors
/// When a scenario `before` fails, or certificates cannot be read.
pub async fn run(plan: Arc<Plan>, settings: &Settings, observer: Observer, stop: Stop) -> Outcome<Report> {
    let connector = Arc::new(Connector::new(plan.verify_certificates, settings.allow_remote)?);
    let began = Instant::now();
    let mut shared = share(&plan, settings, &observer, connector, began, stop.token.clone());
    if let Some(before) = &plan.before {
        // Its requests are in no metric: it records into a recorder of its own.
        let variables = run_once(&shared, before).await.map_err(|error| Failure::new(format!("before: {error}")))?;
        shared.common.extend(variables);
    }
    shared.recorder = Arc::default();
    let shared = Arc::new(shared);
    let run = Run {
        shared: shared.clone(),
        observer,
        stop: stop.clone(),
        tracker: TaskTracker::new(),
        running: AtomicU64::new(0),
        next: AtomicU64::new(0),
        exhausted: AtomicU64::new(0),
    };
    let run = Arc::new(run);
    let started_at = shared.recorder.now();
    let mut report = run.clone().report(settings).await;
    if let Some(after) = &plan.after {
        let mut quiet =
            share(&plan, settings, &run.observer, shared.connector.clone(), began, CancellationToken::new());
        quiet.common.clone_from(&shared.common);
        if let Err(error) = run_once(&quiet, after).await {
            report.1.push(format!("after: {error}"));
        }
    }
    let (mut report, warnings) = report;
    report.run = Some(RunInfo {
        generator: format!("loadtest {}", env!("CARGO_PKG_VERSION")),
        test_id: settings.test_id.clone(),
        name: settings.name.clone(),
        script: plan.script.clone(),
        target: plan.target.clone(),
        environment: plan.environment.clone(),
        seed: settings.seed,
        started_at,
        ended_at: shared.recorder.now(),
        ended_early: stop.reason(),
        warnings,
        cores: cores(),
    });
    Ok(report)
}

fn share(
    plan: &Arc<Plan>,
    settings: &Settings,
    observer: &Observer,
    connector: Arc<Connector>,
    began: Instant,
    stop: CancellationToken,
) -> Shared {
    let told = observer.clone();
    // A ledger knows its stamps from those of other runs by a number: the same seed must not make it the same.
    let ledger = plan.chat.as_ref().map(|chat| Arc::new(Ledger::new(rand::random(), chat.grace)));
    let mut common = plan.constants.clone();
    common.insert("target".to_owned(), plan.target.as_str().into());
    Shared {
        plan: plan.clone(),
        recorder: Arc::default(),
        connector,
        common,
        pool: plan.http.pool.map(|size| Arc::new(Client::pool(size))),
        ledger,
        stop,
        began,
        seed: settings.seed,
        print: Box::new(move |line| told(&Event::Log(line))),
        rows: plan.payloads.iter().map(|_| AtomicU64::new(0)).collect(),
    }
}

/// Runs `before` or `after`, and returns the variables that it has captured.
async fn run_once(
    shared: &Shared,
    scenario: &Scenario,
) -> Result<std::collections::HashMap<String, serde_json::Value>, String> {
    let own = Arc::new(Shared {
        plan: shared.plan.clone(),
        recorder: Arc::default(),
        connector: shared.connector.clone(),
        common: shared.common.clone(),
        pool: shared.pool.clone(),
        ledger: None,
        stop: shared.stop.clone(),
        began: shared.began,
        seed: shared.seed,
        print: Box::new(|_| {}),
        rows: Vec::new(),
    });
    let user = User::new(&own, u64::MAX).ok_or("no user")?;
    let (user, outcome) = Session::run(user, scenario, Instant::now()).await;
    outcome.unwrap_or(Ok(())).map_err(|error| error.to_string())?;
    Ok(user.into_variables())
}

/// A run that goes on.
struct Run {
    shared: Arc<Shared>,
    observer: Observer,
    stop: Stop,
    tracker: TaskTracker,
    running: AtomicU64,
    next: AtomicU64,
    exhausted: AtomicU64,
}

impl Run {
    async fn report(self: Arc<Self>, settings: &Settings) -> (Report, Vec<String>) {
        let times: Arc<Mutex<Vec<(u64, u64)>>> = Arc::default();
        let load = tokio::spawn(self.clone().load(times.clone()));
        let (collector, watch) = self.watch(settings, load).await;
        let warnings = self.warnings(&collector, &watch);
        for warning in &warnings {
            (self.observer)(&Event::Warning(warning));
        }
        let plan = &self.shared.plan;
        let times = times.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let phases = (0..).zip(&plan.phases).zip(times);
        let phases = phases
            .map(|((index, phase), (started_at, ended_at))| PhaseFigures {
                index,
                name: phase.name.clone().unwrap_or_else(|| "unnamed".to_owned()),
                load: phase.load.to_string(),
                started_at,
                ended_at,
                figures: collector.phase(index).map(Window::figures).unwrap_or_default(),
            })
            .collect();
        let (aggregate, intermediate) = collector.finish();
        let checks = checks::check_all(plan, &aggregate);
        (Report { aggregate, intermediate, phases, checks, run: None }, warnings)
    }

    /// Starts the users of all phases, and ends when the last of them has.
    async fn load(self: Arc<Self>, times: Arc<Mutex<Vec<(u64, u64)>>>) {
        for (index, phase) in self.shared.plan.phases.iter().enumerate() {
            if self.stop.token.is_cancelled() {
                break;
            }
            self.shared.recorder.set_phase(index);
            let started = self.shared.recorder.now();
            (self.observer)(&Event::PhaseStarted(index, phase));
            self.phase(index, phase).await;
            (self.observer)(&Event::PhaseCompleted(index, phase));
            let ended = self.shared.recorder.now();
            times.lock().unwrap_or_else(PoisonError::into_inner).push((started, ended));
        }
        self.tracker.close();
        self.tracker.wait().await;
    }

    async fn phase(self: &Arc<Self>, index: usize, phase: &Phase) {
        let began = Instant::now();
        let end = began + phase.load.duration();
        if let Load::Users { users, .. } = phase.load {
            for _ in 0..users {
                self.tracker.spawn(self.clone().slot(end));
            }
        } else {
            let mut random = StdRng::seed_from_u64(self.shared.seed.wrapping_add(index as u64));
            let load = phase.load.clone();
            for at in arrivals::arrivals(&load, &mut random) {
                let due = began + at;
                if due > Instant::now() && self.until(due).await {
                    return;
                }
                if phase.max_users.is_some_and(|max| self.running.load(Ordering::Relaxed) >= max) {
                    self.shared.record(0, |window| window.count("vusers.skipped", 1));
                } else {
                    self.arrive(due);
                }
            }
        }
        self.until(end).await;
    }

    /// Waits until `at`; true if the run was stopped.
    async fn until(&self, at: Instant) -> bool {
        tokio::select! {
            biased;
            () = self.stop.token.cancelled() => true,
            () = sleep_until(at.into()) => false,
        }
    }

    fn user(&self) -> Option<User> {
        let user = User::new(&self.shared, self.next.fetch_add(1, Ordering::Relaxed));
        if user.is_none() {
            self.exhausted.fetch_add(1, Ordering::Relaxed);
            self.shared.record(0, |window| window.count("vusers.skipped", 1));
        }
        user
    }

    fn arrive(self: &Arc<Self>, due: Instant) {
        // Here and not in the task: rows of data files are dealt in the order of arrival.
        let Some(user) = self.user() else { return };
        self.running.fetch_add(1, Ordering::Relaxed);
        let run = self.clone();
        self.tracker.spawn(async move {
            run.one(user, due).await;
            run.running.fetch_sub(1, Ordering::Relaxed);
        });
    }

    /// One of a constant number of users: as soon as it ends, the next takes its place.
    async fn slot(self: Arc<Self>, end: Instant) {
        self.running.fetch_add(1, Ordering::Relaxed);
        let mut sent = std::collections::HashMap::new();
        while Instant::now() < end && !self.stop.token.is_cancelled() {
            let Some(mut user) = self.user() else { break };
            // The place goes on, so the times between its requests do too.
            user.sent = std::mem::take(&mut sent);
            let (user, failed) = self.one(user, Instant::now()).await;
            sent = user.sent;
            if failed && self.until((Instant::now() + RETRY).min(end)).await {
                break;
            }
            // A flow without anything to wait for must not keep a thread for itself.
            tokio::task::consume_budget().await;
        }
        self.running.fetch_sub(1, Ordering::Relaxed);
    }

    /// Runs one user; says whether it failed.
    async fn one(&self, mut user: User, due: Instant) -> (User, bool) {
        let plan = self.shared.plan.clone();
        let started = Instant::now();
        let late = started.saturating_duration_since(due);
        user.late = if late > TIMER { late } else { Duration::ZERO };
        let scenario = user.choose(&plan.scenarios);
        let name = format!("vusers.created_by_name.{}", scenario.name);
        user.record(|window| {
            window.count("vusers.created", 1);
            window.count(&name, 1);
            window.record("generator.lateness", millis(late));
        });
        let id = user.id;
        let (user, outcome) = Session::run(user, scenario, due).await;
        let Some(outcome) = outcome else { return (user, false) };
        let length = millis(started.elapsed());
        self.shared.record(id, |window| match &outcome {
            Ok(()) => {
                window.count("vusers.failed", 0);
                window.count("vusers.completed", 1);
                window.record("vusers.session_length", length);
            }
            Err(error) => {
                window.count(&format!("errors.{error}"), if plan.as_artillery { repeats(&error.0) } else { 1 });
                if plan.as_artillery && scenario.engine == Engine::Ws && *error == UserError::NO_RESPONSE {
                    window.count("errors.undefined", 1);
                }
                window.count("vusers.failed", 1);
            }
        });
        (user, outcome.is_err())
    }

    /// Collects every second until the load ends.
    async fn watch(&self, settings: &Settings, load: tokio::task::JoinHandle<()>) -> (Collector, Watch) {
        let mut collector = Collector::default();
        let mut watch = Watch::new(&settings.processes);
        let began = Instant::now();
        let mut ticks = interval(Duration::from_secs(1));
        ticks.tick().await;
        tokio::pin!(load);
        loop {
            let ended = tokio::select! {
                _ = &mut load => true,
                _ = ticks.tick() => false,
            };
            let generator_cpu = watch.sample(&self.shared.recorder);
            let latest = collector.collect(&self.shared.recorder);
            let running = self.running.load(Ordering::Relaxed);
            let elapsed = began.elapsed();
            let second = Second { latest: &latest, total: collector.total(), running, generator_cpu, elapsed };
            (self.observer)(&Event::Second(second));
            for period in collector.close_periods(self.shared.recorder.now()) {
                (self.observer)(&Event::Period(period));
            }
            if ended {
                return (collector, watch);
            }
            if settings.stop_after.is_some_and(|limit| elapsed >= limit) {
                self.stop.stop("--stop-after");
            }
            if settings.abort_on_fail
                && let Some(check) = checks::exceeded(&self.shared.plan, &collector.total().figures())
            {
                self.stop.stop(format!("--abort-on-fail: {check}"));
            }
        }
    }

    fn warnings(&self, collector: &Collector, watch: &Watch) -> Vec<String> {
        let mut warnings = Vec::new();
        let late = collector.total().histogram("generator.lateness").map_or(0.0, |late| late.quantile(0.99));
        if late > LATE_MS {
            warnings.push(format!(
                "THE GENERATOR WAS THE LIMIT: one user in a hundred was started {late:.0} ms late or more"
            ));
        }
        let (busy, cores) = (watch.generator_p90(), cores());
        if busy > BUSY * 100.0 * f64::from(u32::try_from(cores).unwrap_or(1)) {
            warnings.push(format!("THE GENERATOR WAS THE LIMIT: it used {busy:.0} % of {cores} cores"));
        }
        let exhausted = self.exhausted.load(Ordering::Relaxed);
        if exhausted > 0 {
            warnings.push(format!("{exhausted} users did not start: all rows of a file with `order: once` are used"));
        }
        warnings
    }
}

/// How often Artillery counts an error of sockets.
fn repeats(error: &str) -> u64 {
    let twice = ["Unexpected server response", "WebSocket is not open"];
    if twice.iter().any(|name| error.starts_with(name)) { 2 } else { 1 }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

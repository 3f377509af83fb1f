//! Rows about the REST service: reads, completing an action, starting.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use super::Plan;
use crate::{
    bench::{figures::Figures, subject::UNLIMITED, to_f64},
    chat::load::{histogram, micros},
    failure::{Failure, Outcome, within},
    output::statistics::median,
    process,
    rest::Rest,
    rest_load::RestLoad,
    servers::{MariaDb, Role, Setup, Sync, find_program},
    system::System,
};

/// How long filling the database may take.
const FILL: Duration = Duration::from_secs(1800);
/// Microseconds of processor time of the first version of this service (Node, Express, Sequelize, MariaDB) for each
/// read, measured on the same data with 10 connections.
const FIRST_VERSION: [(&str, f64); 5] =
    [("me", 660.0), ("today", 1240.0), ("habits", 1650.0), ("meetups", 9600.0), ("room", 153_000.0)];
/// Starts of the program, after a first one that makes the database.
const STARTS: usize = 10;

impl Plan {
    pub(super) async fn rest(&self) -> Outcome<Figures> {
        let folder = tempfile::tempdir()?;
        let mut system = System::start(&self.starter.mingizuk, 0, Sync::EverySecond, &UNLIMITED).await?;
        let tokens = folder.path().join("tokens.csv");
        self.fill(&system, &tokens).await?;
        let (pid, url) = (system.api.program().pid()?, system.api.api()?.to_owned());
        let mut figures = Figures::default();
        let at = async |rate| RestLoad::of(pid, &url, &tokens, rate, self.seconds, self.warm_up).figures().await;
        let (steady, saturated) = (at(500).await?, at(5000).await?);
        for (name, first) in FIRST_VERSION {
            figures.set(format!("{name} p99 ms"), steady.number(&format!("{name} p99 ms")).unwrap_or(f64::NAN));
            let micros = saturated.number(&format!("{name} server µs of cpu")).unwrap_or(f64::NAN);
            figures.set(format!("{name} µs saturated"), micros);
            figures.set(format!("{name}, times cheaper"), first / micros);
        }
        Ok(figures)
    }

    async fn fill(&self, system: &System, tokens: &Path) -> Outcome {
        let [users, meetups] = [self.many(100_000), self.many(10_000)].map(|count| count.to_string());
        let tokens = tokens.display().to_string();
        let arguments = ["demo-data", "--users", &users, "--meetups", &meetups, "--members", "2", "--tokens", &tokens];
        let finished = system.setup.run_within(FILL, &arguments).await?;
        if finished.status.success() { Ok(()) } else { Err(Failure::new(finished.stderr)) }
    }

    pub(super) async fn completion(&self) -> Outcome<Figures> {
        let mut system = System::start(&self.starter.mingizuk, 0, Sync::EverySecond, &UNLIMITED).await?;
        let rest = system.rest()?;
        let mut workouts = Vec::new();
        for _ in 0..self.many(500) {
            let user = rest.sign_up(&uuid::Uuid::new_v4().simple().to_string()[16..]).await?;
            let rest = rest.by(&user);
            let actions =
                json!([{"action_id": "neck-stretch", "repetitions": 5}, {"action_id": "squat", "repetitions": 10}]);
            let routine = rest.post("/routines", json!({"name": "오후 세 시", "actions": actions})).await?;
            create(&rest, "/monsters").await?;
            let path = format!("/routines/{}/workouts", routine["id"].as_str().unwrap_or_default());
            let workout = create(&rest, &path).await?;
            workouts.push((rest, workout["id"].as_str().unwrap_or_default().to_owned()));
        }
        let (pid, database) = (system.api.program().pid()?, system.mariadb.program().pid()?);
        let (statements, cpu, sql_cpu) =
            (statements(&system.mariadb).await?, process::cpu(pid)?, process::cpu(database)?);
        let mut took = histogram()?;
        for (rest, workout) in &workouts {
            let began = Instant::now();
            rest.put(&format!("/workouts/{workout}/actions/1/completion"), None).await?;
            took.saturating_record(micros(began.elapsed()));
        }
        let count = workouts.len() as f64;
        let each = |time: Duration| time.as_secs_f64() * 1e6 / count;
        let mut figures = Figures::default();
        figures.set("server µs", each(process::cpu(pid)?.saturating_sub(cpu)));
        figures.set("database µs", each(process::cpu(database)?.saturating_sub(sql_cpu)));
        let asked = self::statements(&system.mariadb).await?.saturating_sub(statements + 1);
        figures.set("statements", to_f64(asked) / count);
        figures.set("p50 ms", to_f64(took.value_at_quantile(0.5)) / 1000.0);
        figures.set("p99 ms", to_f64(took.value_at_quantile(0.99)) / 1000.0);
        Ok(figures)
    }

    pub(super) async fn ready(&self) -> Outcome<Figures> {
        let folder = tempfile::Builder::new().prefix("mingizuk-ready-").tempdir()?;
        let setup = Setup::embedded(self.starter.mingizuk.canonicalize()?, folder.path());
        let mut times = Vec::new();
        for _ in 0..=STARTS {
            let mut process = setup.start(Role::AllInOne).await?;
            times.push(process.ready_after().as_secs_f64() * 1000.0);
            process.program().terminate().await?;
        }
        let mut figures = Figures::default();
        figures.set("ms", median(&times[1..]));
        Ok(figures)
    }
}

/// Creates something that needs no description.
async fn create(rest: &Rest, path: &str) -> Outcome<Value> {
    match rest.call(Method::POST, path, None).await? {
        (status, value) if status.is_success() => Ok(value),
        (status, value) => Err(Failure::new(format!("POST {path}: {status} {value}"))),
    }
}

/// Statements that a MariaDB has been asked since its start.
async fn statements(mariadb: &MariaDb) -> Outcome<u64> {
    let program = find_program("MINGIZUK_TEST_MARIADB_ADMIN", &["mariadb-admin", "mysqladmin"])?;
    let mut command = Command::new(program);
    command.args(["--no-defaults", "--host=127.0.0.1", "--user=root", "--protocol=tcp", "status"]);
    command.arg(format!("--port={}", mariadb.port())).kill_on_drop(true);
    let output = within(Duration::from_secs(10), "mariadb-admin", command.output()).await??;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = text.split("Questions: ").nth(1).and_then(|rest| rest.split_whitespace().next());
    Ok(number.ok_or_else(|| Failure::new(format!("mariadb-admin status: {text}")))?.parse()?)
}

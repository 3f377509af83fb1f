//! The running system, and putting it right again after a scenario.

use std::{path::Path, time::Duration};

use reqwest::StatusCode;
use tokio::time::Instant;

use super::{Cohort, Form};
use crate::{
    ensure,
    failure::{Failure, Outcome},
    process,
    rest::{Rest, http_client},
    servers::{Mingizuk, Role, Signal, Sync},
    system::{Room, System},
};

/// How long everything may take to be as it was.
const PATIENCE: Duration = Duration::from_secs(20);
/// Files that a gateway may keep open after everybody has gone: new connections to its servers.
const SPARE_FILES: usize = 24;

/// Tasks that a gateway may run after everybody has gone: those of new connections to its servers.
const SPARE_TASKS: u64 = 16;
/// Tasks of a room, which stays for some seconds after everybody has gone, in case they come back.
const TASKS_OF_A_ROOM: u64 = 3;

/// A system under stress.
#[derive(Debug)]
pub struct World {
    /// Its processes.
    pub system: System,
    /// How much is done.
    pub form: Form,
    idle_files: usize,
    idle_tasks: u64,
}

impl World {
    /// Starts everything.
    ///
    /// # Errors
    /// When a part does not become ready.
    pub async fn start(binary: &Path, form: Form) -> Outcome<Self> {
        let settings = [("HANDSHAKES_PER_SECOND", "100000"), ("REDIS_TIMEOUT", "1000")];
        let mut system = System::start(binary, 2, Sync::Always, &settings).await?;
        let idle_files = process::open_files(system.gateways[0].program().pid()?)?;
        let mut world = Self { system, form, idle_files, idle_tasks: 0 };
        world.idle_tasks = world.metric(&world.operations()[0], "mingizuk_tasks").await?;
        Ok(world)
    }

    /// A number that depends on how much is to be done.
    pub fn scale<T>(&self, short: T, full: T) -> T {
        if self.form == Form::Short { short } else { full }
    }

    /// The REST service, without a caller.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn rest(&self) -> Outcome<Rest> {
        self.system.rest()
    }

    /// A new room of new people.
    ///
    /// # Errors
    /// When the REST service refuses.
    pub async fn room(&self, members: usize) -> Outcome<Room> {
        self.system.populate(1, members).await?.pop().ok_or_else(|| Failure::new("no room"))
    }

    /// A new room of new people who are all in it, spread over the gateways.
    ///
    /// # Errors
    /// When somebody cannot get in.
    pub async fn cohort(&self, members: usize) -> Outcome<Cohort> {
        self.cohort_at(members, &self.system.gateway_urls()?).await
    }

    /// The same at certain gateways.
    ///
    /// # Errors
    /// When somebody cannot get in.
    pub async fn cohort_at(&self, members: usize, gateways: &[String]) -> Outcome<Cohort> {
        Cohort::start_at(self.rest()?, self.room(members).await?, gateways).await
    }

    /// A gateway more, with other settings. It ends when it is dropped.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn gateway_with(&self, settings: &[(&str, &str)]) -> Outcome<Mingizuk> {
        let setup = settings.iter().fold(self.system.setup.clone(), |setup, (name, value)| setup.with(name, *value));
        setup.start(Role::Gateway).await
    }

    /// Kills a gateway (SIGKILL).
    ///
    /// # Errors
    /// When the system does not let us.
    pub async fn kill_gateway(&mut self, index: usize) -> Outcome {
        self.system.gateways[index].program().kill().await
    }

    /// Starts a gateway again where it was.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_gateway(&mut self, index: usize) -> Outcome {
        self.system.gateways[index].start_again().await
    }

    /// Waits until the readiness of a process is as `wanted`, and says how long that took.
    ///
    /// # Errors
    /// When it is not within `limit`.
    pub async fn readiness(&self, ops: &str, wanted: bool, limit: Duration) -> Outcome<Duration> {
        let began = Instant::now();
        let http = http_client(Duration::from_secs(3))?;
        loop {
            let status = http.get(format!("{ops}/readyz")).send().await.map(|answer| answer.status());
            if status.as_ref().is_ok_and(|status| (*status == StatusCode::OK) == wanted) {
                return Ok(began.elapsed());
            }
            ensure!(began.elapsed() < limit, "/readyz is not {wanted} within {limit:?}: {status:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What a process counts under `name` now.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn metric(&self, ops: &str, name: &str) -> Outcome<u64> {
        let text = http_client(Duration::from_secs(3))?.get(format!("{ops}/metrics")).send().await?.text().await?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.ok_or_else(|| Failure::new(format!("no {name} in {text}")))?.parse()?)
    }

    /// Brings back whatever a scenario left broken.
    ///
    /// # Errors
    /// When something does not come back.
    pub async fn heal(&mut self) -> Outcome {
        let System { redis, mariadb, api, gateways, .. } = &mut self.system;
        if redis.program().is_running() {
            redis.resume()?;
        } else {
            redis.restart().await?;
        }
        if mariadb.program().is_running() {
            mariadb.program().signal(Signal::CONT)?;
        } else {
            mariadb.restart().await?;
        }
        gateways.truncate(2);
        for process in gateways.iter_mut().chain([api]) {
            if process.program().is_running() {
                process.program().signal(Signal::CONT)?;
            } else {
                process.start_again().await?;
            }
        }
        let ops: Vec<String> = self.operations();
        for ops in ops {
            self.readiness(&ops, true, PATIENCE).await?;
        }
        Ok(())
    }

    /// The operations address of every process.
    pub fn operations(&self) -> Vec<String> {
        let processes = self.system.gateways.iter().chain([&self.system.api]);
        let ops = |process: &Mingizuk| process.ready().gateway_ops.clone().or_else(|| process.ready().api_ops.clone());
        processes.filter_map(ops).collect()
    }

    /// Waits until everything of a scenario is gone from the gateways: connections, tasks and files.
    ///
    /// # Errors
    /// When something stays.
    pub async fn settled(&mut self) -> Outcome {
        self.rested(u64::MAX).await
    }

    /// The same, with at most so many rooms that stay for a while.
    ///
    /// # Errors
    /// When something stays.
    pub async fn rested(&mut self, rooms: u64) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        for index in 0..self.system.gateways.len() {
            while self.system.gateways[index].program().is_running() {
                let left = self.left(index, rooms).await?;
                if left.is_empty() {
                    break;
                }
                ensure!(Instant::now() < deadline, "gateway {index} still has {left}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// What a gateway has that it had not when it was idle.
    async fn left(&mut self, index: usize, allowed: u64) -> Outcome<String> {
        let gateway = &mut self.system.gateways[index];
        let files = process::open_files(gateway.program().pid()?)?;
        let ops = gateway.ready().gateway_ops.clone().ok_or_else(|| Failure::new("no operations"))?;
        let connections = self.metric(&ops, "mingizuk_gateway_connections").await?;
        let rooms = self.metric(&ops, "mingizuk_gateway_rooms").await?;
        let tasks = self.metric(&ops, "mingizuk_tasks").await?;
        let idle = connections == 0
            && rooms <= allowed
            && tasks <= self.idle_tasks + SPARE_TASKS + rooms * TASKS_OF_A_ROOM
            && files <= self.idle_files + SPARE_FILES;
        if idle {
            return Ok(String::new());
        }
        Ok(format!(
            "{connections} connections, {rooms} rooms, {tasks} tasks ({} when idle), {files} files ({} when idle)",
            self.idle_tasks, self.idle_files
        ))
    }
}

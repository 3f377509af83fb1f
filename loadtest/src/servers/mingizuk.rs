//! The program under test.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use super::{PATIENCE, Program, free_port};
use crate::failure::{Failure, Outcome, While, within};

/// The key that signs the tokens of tests.
const JWT_KEYS: &str = "test:0123456789abcdef0123456789abcdef";

/// Which services a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Both in one process.
    AllInOne,
    /// The REST service.
    Api,
    /// The chat gateway.
    Gateway,
}

/// How to start `mingizuk`: the program, its working folder and its settings.
#[derive(Clone, Debug)]
pub struct Setup {
    binary: PathBuf,
    folder: PathBuf,
    settings: BTreeMap<String, String>,
}

/// What a process that ended by itself left behind.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// How long it ran.
    pub took: Duration,
}

impl Setup {
    /// `binary` on the embedded database in `folder`, in the test profile, on free ports of 127.0.0.1.
    pub fn embedded(binary: impl Into<PathBuf>, folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        let mut setup = Self { binary: binary.into(), folder, settings: BTreeMap::new() };
        setup.settings.insert("MINGIZUK_ENV".into(), "test".into());
        for listener in ["API_ADDR", "API_OPS_ADDR", "GATEWAY_ADDR", "GATEWAY_OPS_ADDR"] {
            setup.settings.insert(format!("MINGIZUK_{listener}"), "127.0.0.1:0".into());
        }
        setup.with("DATABASE_URL", "sqlite://data/mingizuk.db").with("LOG", "warn")
    }

    /// The same on a shared database and Redis.
    pub fn shared(binary: impl Into<PathBuf>, folder: impl Into<PathBuf>, database: &str, redis: &str) -> Self {
        Self::embedded(binary, folder)
            .with("DATABASE_URL", database)
            .with("REDIS_URL", redis)
            .with("JWT_KEYS", JWT_KEYS)
    }

    /// With a setting (`API_ADDR`, without the prefix) of another value.
    #[must_use]
    pub fn with(self, setting: &str, value: impl Into<String>) -> Self {
        self.with_variable(&format!("MINGIZUK_{setting}"), value)
    }

    /// With a variable of the environment that is no setting.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.settings.insert(name.to_owned(), value.into());
        self
    }

    /// Without a setting.
    #[must_use]
    pub fn without(mut self, setting: &str) -> Self {
        self.settings.remove(&format!("MINGIZUK_{setting}"));
        self
    }

    /// The program.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MINGIZUK_")) {
            command.env_remove(name);
        }
        command.envs(&self.settings).current_dir(&self.folder);
        command
    }

    /// Starts the services of `role` and waits until they are ready.
    ///
    /// # Errors
    /// When they are not within [`PATIENCE`], with what was logged.
    pub async fn start(&self, role: Role) -> Outcome<Mingizuk> {
        let setup = self.with_ports()?;
        let mut command = setup.command();
        let name = match role {
            Role::AllInOne => "mingizuk",
            Role::Api => "api",
            Role::Gateway => "gateway",
        };
        if role != Role::AllInOne {
            command.arg(name);
        }
        let began = Instant::now();
        let mut program = Program::start_piped(command, name, &self.folder)?;
        let line = within(PATIENCE, "the ready line", program.first_line()).await?;
        match line.as_deref().ok().and_then(Ready::parse) {
            Some(ready) => Ok(Mingizuk { again: setup.at(&ready), role, program, ready, took: began.elapsed() }),
            None => Err(Failure::new(format!("mingizuk {name} did not start: {line:?} {}", program.log()))),
        }
    }

    /// The same with a port for each listener that has none yet.
    fn with_ports(&self) -> Outcome<Self> {
        let mut setup = self.clone();
        for address in setup.settings.values_mut().filter(|value| *value == "127.0.0.1:0") {
            *address = format!("127.0.0.1:{}", free_port()?);
        }
        Ok(setup)
    }

    /// The same at the addresses of `ready`, so that whoever comes back finds it there.
    fn at(&self, ready: &Ready) -> Self {
        let Ready { api, gateway, api_ops, gateway_ops } = ready;
        [("API_ADDR", api), ("GATEWAY_ADDR", gateway), ("API_OPS_ADDR", api_ops), ("GATEWAY_OPS_ADDR", gateway_ops)]
            .into_iter()
            .filter_map(|(name, url)| Some((name, url.as_deref()?.split('/').nth(2)?)))
            .fold(self.clone(), |setup, (name, address)| setup.with(name, address))
    }

    /// Runs a command, such as `migrate`, to its end.
    ///
    /// # Errors
    /// When it does not end within [`PATIENCE`]; a failed command is no error here.
    pub async fn run(&self, arguments: &[&str]) -> Outcome<Finished> {
        self.run_within(PATIENCE, arguments).await
    }

    /// The same for a command that may take `limit`.
    ///
    /// # Errors
    /// When it does not end within that; a failed command is no error here.
    pub async fn run_within(&self, limit: Duration, arguments: &[&str]) -> Outcome<Finished> {
        let began = Instant::now();
        let output = self.command().args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
        let output = within(limit, format!("the end of mingizuk {arguments:?}"), output).await?.doing("running")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Finished {
            status: output.status,
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            took: began.elapsed(),
        })
    }

    /// Brings the schema up to date.
    ///
    /// # Errors
    /// When it fails.
    pub async fn migrate(&self) -> Outcome {
        let finished = self.run(&["migrate"]).await?;
        if finished.status.success() { Ok(()) } else { Err(Failure::new(finished.stderr)) }
    }
}

impl Program {
    fn start_piped(mut command: Command, name: &str, folder: &Path) -> Outcome<Self> {
        command.stdout(Stdio::piped());
        Self::start(command, name, folder)
    }

    async fn first_line(&mut self) -> Outcome<String> {
        let stdout = self.child.stdout.take().ok_or_else(|| Failure::new("no standard output"))?;
        let mut lines = BufReader::new(stdout).lines();
        lines.next_line().await?.ok_or_else(|| Failure::new("no output"))
    }
}

/// The addresses of the ready line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// `http://host:port`.
    pub api: Option<String>,
    /// `ws://host:port/ws`.
    pub gateway: Option<String>,
    /// `http://host:port`.
    pub api_ops: Option<String>,
    /// `http://host:port`.
    pub gateway_ops: Option<String>,
}

impl Ready {
    /// Reads the line that `mingizuk` prints when it is ready.
    pub fn parse(line: &str) -> Option<Self> {
        let mut ready = Self::default();
        for part in line.strip_prefix("mingizuk ready: ")?.split(", ") {
            let url = || part.split(' ').find(|word| word.contains("://")).map(str::to_owned);
            match part.split("://").next()?.rsplit_once(' ')?.0 {
                "api" => ready.api = url(),
                "gateway" => ready.gateway = url(),
                "api operations" => ready.api_ops = url(),
                "gateway operations" => ready.gateway_ops = url(),
                _ => {}
            }
        }
        Some(ready)
    }
}

/// A running `mingizuk`.
#[derive(Debug)]
pub struct Mingizuk {
    again: Setup,
    role: Role,
    program: Program,
    ready: Ready,
    took: Duration,
}

impl Mingizuk {
    /// Its process.
    pub const fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// How long it took from being started to its ready line.
    pub const fn ready_after(&self) -> Duration {
        self.took
    }

    /// Where it listens.
    pub const fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Starts it again, at the same addresses; it must have ended.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_again(&mut self) -> Outcome {
        *self = self.again.start(self.role).await?;
        Ok(())
    }

    /// The REST service's `http://host:port`.
    ///
    /// # Errors
    /// When this process runs none.
    pub fn api(&self) -> Outcome<&str> {
        self.ready.api.as_deref().ok_or_else(|| Failure::new("this process has no REST service"))
    }

    /// The gateway's `ws://host:port/ws`.
    ///
    /// # Errors
    /// When this process runs none.
    pub fn gateway(&self) -> Outcome<&str> {
        self.ready.gateway.as_deref().ok_or_else(|| Failure::new("this process has no gateway"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_names_every_listener() {
        let line = "mingizuk ready: api http://127.0.0.1:1 (docs http://127.0.0.1:1/docs), gateway ws://127.0.0.1:2/ws, \
             api operations http://127.0.0.1:3, gateway operations http://127.0.0.1:4";
        let url = |text: &str| Some(text.to_owned());
        let expected = Ready {
            api: url("http://127.0.0.1:1"),
            gateway: url("ws://127.0.0.1:2/ws"),
            api_ops: url("http://127.0.0.1:3"),
            gateway_ops: url("http://127.0.0.1:4"),
        };
        assert_eq!(Ready::parse(line), Some(expected));
        assert_eq!(Ready::parse("something else"), None);
    }
}

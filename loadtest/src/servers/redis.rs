//! A Redis of a test's own, with an append-only file: it can be killed and come back with everything it acknowledged.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
};

use super::{Program, Signal, find_program, free_port};
use crate::failure::{Failure, Outcome};

/// When Redis writes its append-only file to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Before it answers: an acknowledged entry survives SIGKILL and a power cut.
    Always,
    /// Once a second: faster, as measuring wants it.
    EverySecond,
}

/// A running Redis.
#[derive(Debug)]
pub struct Redis {
    program: Program,
    server: PathBuf,
    folder: TempDir,
    port: u16,
    sync: Sync,
    arguments: Vec<String>,
}

impl Redis {
    /// Starts one on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When it is not installed or does not become ready.
    pub async fn start(sync: Sync) -> Outcome<Self> {
        Self::start_with(sync, Vec::new()).await
    }

    /// Starts one with more `arguments`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub(super) async fn start_with(sync: Sync, arguments: Vec<String>) -> Outcome<Self> {
        let server = find_program("MINGIZUK_TEST_REDIS_SERVER", &["redis-server"])?;
        let folder = tempfile::Builder::new().prefix("mingizuk-redis-").tempdir()?;
        let port = free_port()?;
        let program = launch(&server, &folder, port, sync, &arguments)?;
        let mut redis = Self { program, server, folder, port, sync, arguments };
        redis.ready().await?;
        Ok(redis)
    }

    /// `redis://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub const fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// Its process id.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pid(&self) -> Outcome<u32> {
        self.program.pid()
    }

    /// Kills it (SIGKILL).
    ///
    /// # Errors
    /// When the system does not let us.
    pub async fn kill(&mut self) -> Outcome {
        self.program.kill().await
    }

    /// Starts it again, on the same port with the same append-only file.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn restart(&mut self) -> Outcome {
        self.program = launch(&self.server, &self.folder, self.port, self.sync, &self.arguments)?;
        self.ready().await
    }

    /// Stops it in its tracks (SIGSTOP): connections stay open and nothing answers.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pause(&self) -> Outcome {
        self.program.signal(Signal::STOP)
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// When it has ended.
    pub fn resume(&self) -> Outcome {
        self.program.signal(Signal::CONT)
    }

    /// Runs a command without arguments that need quoting, such as `FLUSHALL`, and returns the answer as it was sent
    /// (RESP), at most 4 KiB of it.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn command(&self, command: &str) -> Outcome<String> {
        Ok(ask(self.port, command).await?)
    }

    /// The name of the first key that matches a pattern of `KEYS`.
    ///
    /// # Errors
    /// When there is none.
    pub async fn key(&self, pattern: &str) -> Outcome<String> {
        let keys = self.command(&format!("KEYS {pattern}")).await?;
        let name = keys.lines().nth(2);
        Ok(name.ok_or_else(|| Failure::new(format!("no key matches {pattern}")))?.to_owned())
    }

    async fn ready(&mut self) -> Outcome {
        let port = self.port;
        self.program
            .until_ready(async || match ask(port, "PING").await?.trim() {
                "+PONG" => Ok(()),
                other => Err(std::io::Error::other(other.to_owned())),
            })
            .await
    }
}

fn launch(server: &Path, folder: &TempDir, port: u16, sync: Sync, arguments: &[String]) -> Outcome<Program> {
    let log = std::fs::File::options().create(true).append(true).open(folder.path().join("redis.out"))?;
    let mut command = Command::new(server);
    command
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--daemonize", "no"])
        .args(["--appendfsync", if sync == Sync::Always { "always" } else { "everysec" }])
        .arg("--port")
        .arg(port.to_string())
        .arg("--dir")
        .arg(folder.path())
        .args(arguments)
        .stdout(log);
    Program::start(command, "redis", folder.path())
}

async fn ask(port: u16, command: &str) -> std::io::Result<String> {
    let exchange = async {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
        socket.write_all(format!("{command}\r\n").as_bytes()).await?;
        let mut answer = vec![0; 4096];
        let length = socket.read(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    };
    tokio::time::timeout(std::time::Duration::from_secs(2), exchange).await?
}

//! Programs that tests run beside themselves: each is a guard, and ends with it.

mod clock;
mod cluster;
mod mariadb;
mod mingizuk;
pub mod peer;
mod redis;

use std::{
    fs::File,
    io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::process::{Child, Command};

pub use self::{
    clock::Clock,
    cluster::Cluster,
    mariadb::MariaDb,
    mingizuk::{Finished, Mingizuk, Ready, Role, Setup},
    peer::Peer,
    redis::{Redis, Sync},
};
pub use rustix::process::Signal;

use crate::failure::{Failure, Outcome, While, within};

/// How long a program may take to become ready, or to end after it was asked to.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A child process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Program {
    /// Starts `command`; what it writes to standard error, and to standard output unless that is taken, goes to a log
    /// in `folder`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(mut command: Command, name: &str, folder: &Path) -> Outcome<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log)?;
        let child =
            command.stdin(Stdio::null()).stderr(file).kill_on_drop(true).spawn().doing(format!("starting {name}"))?;
        Ok(Self { child, name: name.to_owned(), log })
    }

    /// The process id.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pid(&self) -> Outcome<u32> {
        self.child.id().ok_or_else(|| Failure::new(format!("{} has ended", self.name)))
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> Outcome {
        let pid = i32::try_from(self.pid()?)?;
        let pid = rustix::process::Pid::from_raw(pid).ok_or_else(|| Failure::new("pid 0"))?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end within `limit`.
    pub async fn wait(&mut self, limit: Duration) -> Outcome<ExitStatus> {
        Ok(within(limit, format!("the end of {}", self.name), self.child.wait()).await??)
    }

    /// Kills it (SIGKILL) and waits for its end.
    ///
    /// # Errors
    /// When the system does not let us.
    pub async fn kill(&mut self) -> Outcome {
        Ok(self.child.kill().await?)
    }

    /// Asks it to end (SIGTERM) and waits.
    ///
    /// # Errors
    /// When it does not within [`PATIENCE`].
    pub async fn terminate(&mut self) -> Outcome<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(PATIENCE).await
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until `ready` says so, trying again and again.
    pub(crate) async fn until_ready<T>(&mut self, mut ready: impl AsyncFnMut() -> io::Result<T>) -> Outcome<T> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Ok(value) = ready().await {
                return Ok(value);
            }
            if !self.is_running() || tokio::time::Instant::now() > deadline {
                return Err(Failure::new(format!("{} did not become ready: {}", self.name, self.log())));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Below the ports that outgoing connections take (`net.ipv4.ip_local_port_range`): a server that is started again finds
/// its port free, however many clients have connected meanwhile.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A port of 127.0.0.1 that was free a moment ago.
///
/// # Errors
/// When there is none.
pub fn free_port() -> io::Result<u16> {
    let mut tries = 0;
    loop {
        let port = rand::random_range(PORTS);
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(_) => return Ok(port),
            Err(_) if tries < 100 => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

/// A program by its name: `variable` if set, else the first on the PATH or in the system's folders.
pub(crate) fn find_program(variable: &str, names: &[&str]) -> Outcome<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(path.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> =
        std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin", "/usr/bin"].map(PathBuf::from)).collect();
    let candidates = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    candidates
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| Failure::new(format!("no {} on the PATH; scripts/test installs it", names.join(" or "))))
}

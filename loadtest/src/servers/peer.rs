//! Peer: another chat server, described by the `peer.toml` in its folder, that is measured beside this service.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde::Deserialize;
use tokio::{net::TcpStream, process::Command};

use super::{Program, free_port};
use crate::{
    chat::protocol::Protocol,
    failure::{Failure, Outcome, While, within},
};

/// How long installing may take: a peer may have to be compiled.
const INSTALL: Duration = Duration::from_secs(1800);
/// How long a command that prints a version may take.
const VERSION: Duration = Duration::from_secs(10);

/// A chat server that is no part of this project.
#[derive(Clone, Debug)]
pub struct Peer {
    /// What `peer.toml` says.
    pub description: Description,
    /// Its folder with the sources.
    source: PathBuf,
    /// Where it is installed and run.
    folder: PathBuf,
}

/// A `peer.toml`. Commands run in a copy of the folder that holds it, with `PORT` and `REDIS_URL` in the environment.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// What reports call it.
    pub name: String,
    /// What makes it ready to start, run once for each state of the folder.
    #[serde(default)]
    pub install: Vec<Vec<String>>,
    /// What starts it. It has to listen on `PORT` of 127.0.0.1 and to run until it is killed.
    pub start: Vec<String>,
    /// What prints its version.
    #[serde(default)]
    pub version: Vec<String>,
    /// How it is spoken to.
    pub protocol: Protocol,
}

impl Peer {
    /// Reads the description in `source`; it will be installed below `cache`.
    ///
    /// # Errors
    /// When there is no `peer.toml` or it is wrong, with the place.
    pub fn read(source: &Path, cache: &Path) -> Outcome<Self> {
        let file = source.join("peer.toml");
        let text = fs::read_to_string(&file).doing(file.display())?;
        let description: Description = toml::from_str(&text).doing(file.display())?;
        let name = source.canonicalize()?.file_name().unwrap_or_default().to_owned();
        Ok(Self { description, source: source.to_owned(), folder: std::path::absolute(cache.join(name))? })
    }

    /// Copies the folder and runs what installs it, unless that was done for the same files before.
    ///
    /// # Errors
    /// When a command fails, with what it printed.
    pub async fn install(&self) -> Outcome {
        let files = files_of(&self.source)?;
        let mark = self.folder.join(".installed");
        let state = files.iter().map(|(name, bytes)| format!("{name} {}\n", digest(bytes))).collect::<String>();
        if fs::read_to_string(&mark).is_ok_and(|installed| installed == state) {
            return Ok(());
        }
        for (name, bytes) in &files {
            let target = self.folder.join(name);
            fs::create_dir_all(target.parent().unwrap_or(&self.folder))?;
            // A compiler takes a file that was written for a changed one.
            if fs::read(&target).is_ok_and(|there| there == *bytes) {
                continue;
            }
            fs::write(target, bytes)?;
        }
        for arguments in &self.description.install {
            eprintln!("installing {}: {}", self.description.name, arguments.join(" "));
            let output = self.command(arguments)?.stdin(Stdio::null()).kill_on_drop(true).output();
            let output = within(INSTALL, arguments.join(" "), output).await??;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(Failure::new(format!("{} in {}: {said}", arguments.join(" "), self.folder.display())));
            }
        }
        Ok(fs::write(mark, state)?)
    }

    /// Starts it and waits until it listens. Returns the process and its port.
    ///
    /// # Errors
    /// When it does not listen within 30 s.
    pub async fn start(&self, redis: &str, logs: &Path) -> Outcome<(Program, u16)> {
        let port = free_port()?;
        let log = fs::File::options().create(true).append(true).open(logs.join("peer.out"))?;
        let mut command = self.command(&self.description.start)?;
        command.env("PORT", port.to_string()).env("REDIS_URL", redis).stdout(log);
        let mut program = Program::start(command, "peer", logs)?;
        program.until_ready(async || TcpStream::connect(("127.0.0.1", port)).await.map(drop)).await?;
        Ok((program, port))
    }

    /// What its version command prints; empty if it has none or it fails.
    pub async fn version(&self) -> String {
        let Ok(mut command) = self.command(&self.description.version) else { return String::new() };
        match within(VERSION, "a version", command.stdin(Stdio::null()).kill_on_drop(true).output()).await {
            Ok(Ok(output)) => String::from_utf8_lossy(&output.stdout).trim().replace('\n', ", "),
            _ => String::new(),
        }
    }

    fn command(&self, arguments: &[String]) -> Outcome<Command> {
        let (program, rest) = arguments.split_first().ok_or_else(|| Failure::new("an empty command"))?;
        // A path with a folder in it is meant from the peer's folder, a name alone from the PATH.
        let own = self.folder.join(program);
        let mut command = Command::new(if program.contains('/') { own } else { PathBuf::from(program) });
        // The peer is a build of its own, not a part of the one that may have started this program.
        command.args(rest).current_dir(&self.folder).env("NODE_ENV", "production").env_remove("CARGO_TARGET_DIR");
        Ok(command)
    }
}

/// The files of a folder, with their names from it on. Installed packages and builds are none of its sources.
fn files_of(folder: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let entry = entry?;
            let name = entry.file_name();
            if entry.file_type()?.is_dir() {
                if name != "node_modules" && name != "target" {
                    folders.push(entry.path());
                }
            } else if let Ok(inside) = entry.path().strip_prefix(folder) {
                files.push((inside.to_string_lossy().into_owned(), fs::read(entry.path())?));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// FNV-1a: tells a changed file from an unchanged one.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer whose folder is `folder`.
    fn peer(folder: &Path, description: &str) -> Outcome<Peer> {
        fs::write(folder.join("peer.toml"), description)?;
        Peer::read(folder, &folder.join("target"))
    }

    #[tokio::test]
    async fn a_peer_is_installed_once_for_each_state_of_its_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let description = "name = 'P'\nstart = ['true']\ninstall = [['sh', '-c', 'echo x >> count']]\n\
             version = ['cat', 'peer.toml']\n[protocol]\npath = '/'\n";
        let once = peer(folder.path(), description).expect("a peer");
        let count = || fs::read_to_string(once.folder.join("count")).unwrap_or_default().lines().count();
        once.install().await.expect("installed");
        once.install().await.expect("installed before");
        assert_eq!(count(), 1);
        fs::write(folder.path().join("server.js"), "changed").expect("a file");
        once.install().await.expect("installed again");
        assert_eq!((count(), once.version().await.starts_with("name = 'P'")), (2, true));
    }

    #[tokio::test]
    async fn mistakes_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let wrong = peer(folder.path(), "name = 'P'\nstrat = []\n").expect_err("no such key").to_string();
        assert!(wrong.contains("strat") && wrong.contains("peer.toml"), "{wrong}");
        let failing =
            "name = 'P'\nstart = ['false']\ninstall = [['sh', '-c', 'echo why >&2; exit 1']]\n[protocol]\npath = '/'\n";
        let peer = peer(folder.path(), failing).expect("a peer");
        let failure = peer.install().await.expect_err("it fails").to_string();
        assert!(failure.contains("why"), "{failure}");
        assert!(peer.start("redis://127.0.0.1:1", folder.path()).await.is_err(), "it ends at once");
    }
}

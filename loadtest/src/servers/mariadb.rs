//! A MariaDB of a test's own.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use tempfile::TempDir;
use tokio::{io::AsyncReadExt, net::TcpStream, process::Command};

use super::{Program, find_program, free_port};
use crate::failure::{Failure, Outcome};

/// The databases that exist from the start.
const DATABASES: [&str; 2] = ["mingizuk", "another"];

/// A running MariaDB.
#[derive(Debug)]
pub struct MariaDb {
    program: Program,
    folder: TempDir,
    port: u16,
}

impl MariaDb {
    /// Makes an empty data folder and starts a server on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When it is not installed or does not become ready.
    pub async fn start() -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("mingizuk-mariadb-").tempdir()?;
        // The server may run as another user, who must be able to reach the folder.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        // Temporary files of its own: a server that starts removes those that it finds, also another server's.
        fs::create_dir(folder.path().join("tmp"))?;
        fs::set_permissions(folder.path().join("tmp"), fs::Permissions::from_mode(0o1777))?;
        install(folder.path()).await?;
        let create = DATABASES.map(|name| format!("CREATE DATABASE IF NOT EXISTS {name};\n"));
        fs::write(folder.path().join("init.sql"), create.concat())?;
        let port = free_port()?;
        let program = launch(folder.path(), port)?;
        let mut server = Self { program, folder, port };
        server.ready().await?;
        Ok(server)
    }

    /// `mysql://root@127.0.0.1:port/mingizuk`.
    pub fn url(&self) -> String {
        format!("mysql://root@127.0.0.1:{}/{}", self.port, DATABASES[0])
    }

    /// Another database of the same server, for a system beside the first.
    pub fn another_url(&self) -> String {
        format!("mysql://root@127.0.0.1:{}/{}", self.port, DATABASES[1])
    }

    /// Its port on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub const fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// Kills it (SIGKILL).
    ///
    /// # Errors
    /// When the system does not let us.
    pub async fn kill(&mut self) -> Outcome {
        self.program.kill().await
    }

    /// Starts it again on the same port and data.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn restart(&mut self) -> Outcome {
        self.program = launch(self.folder.path(), self.port)?;
        self.ready().await
    }

    async fn ready(&mut self) -> Outcome {
        let port = self.port;
        // The server speaks first, and only once it takes connections.
        self.program
            .until_ready(async || TcpStream::connect(("127.0.0.1", port)).await?.read_u32().await.map(drop))
            .await
    }
}

async fn install(folder: &Path) -> Outcome {
    let program = find_program("MINGIZUK_TEST_MARIADB_INSTALL", &["mariadb-install-db", "mysql_install_db"])?;
    let mut command = Command::new(program);
    command.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
    command.arg(format!("--datadir={}", folder.join("data").display()));
    command.args(other_user()).env("TMPDIR", folder.join("tmp"));
    let output = command.kill_on_drop(true).output().await?;
    if output.status.success() {
        Ok(())
    } else {
        Err(Failure::new(format!("mariadb-install-db: {}", String::from_utf8_lossy(&output.stderr))))
    }
}

fn launch(folder: &Path, port: u16) -> Outcome<Program> {
    let mut command = Command::new(find_program("MINGIZUK_TEST_MARIADBD", &["mariadbd", "mysqld"])?);
    command
        .args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-log-bin", "--skip-name-resolve"])
        .args(["--innodb-buffer-pool-size=128M", "--max-connections=300"])
        .arg(format!("--port={port}"))
        .arg(format!("--datadir={}", folder.join("data").display()))
        .arg(format!("--socket={}", folder.join("data/socket").display()))
        .arg(format!("--pid-file={}", folder.join("data/pid").display()))
        .arg(format!("--init-file={}", folder.join("init.sql").display()));
    command.args(other_user()).env("TMPDIR", folder.join("tmp"));
    Program::start(command, "mariadb", folder)
}

/// The server refuses to run as root, so root runs it as somebody else.
fn other_user() -> Option<String> {
    fs::metadata("/proc/self").ok().filter(|us| us.uid() == 0)?;
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let known = users.lines().any(|line| line.starts_with("mysql:"));
    Some(format!("--user={}", if known { "mysql" } else { "nobody" }))
}

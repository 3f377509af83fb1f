//! A wall clock that a test can make jump, for the processes that are started with it.

use std::{fs, os::unix::fs::FileExt, path::PathBuf};

use tempfile::TempDir;
use tokio::process::Command;

use super::Setup;
use crate::{ensure, failure::Outcome};

/// What is loaded into the processes.
const SOURCE: &str = include_str!("clock.c");

/// A clock that is right until it is told to jump.
#[derive(Debug)]
pub struct Clock {
    folder: TempDir,
}

impl Clock {
    /// Makes one, with the system's C compiler.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start() -> Outcome<Self> {
        let clock = Self { folder: tempfile::Builder::new().prefix("mingizuk-clock-").tempdir()? };
        let source = clock.folder.path().join("clock.c");
        fs::write(&source, SOURCE)?;
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(clock.library()).arg(&source);
        let output = compiler.output().await?;
        ensure!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
        fs::write(clock.file(), 0_i64.to_ne_bytes())?;
        Ok(clock)
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("clock.so")
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("shift")
    }

    /// Processes of this set-up go by this clock.
    pub fn rules(&self, setup: Setup) -> Setup {
        setup
            .with_variable("LD_PRELOAD", self.library().to_string_lossy())
            .with_variable("CLOCK_SHIFT", self.file().to_string_lossy())
    }

    /// Jumps: from now on it is `seconds` fast, or slow.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub fn jump(&self, seconds: i64) -> Outcome {
        // In place: the processes have mapped this very file.
        Ok(fs::File::options().write(true).open(self.file())?.write_all_at(&seconds.to_ne_bytes(), 0)?)
    }
}

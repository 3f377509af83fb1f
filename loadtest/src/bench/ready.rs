//! How long the program takes from being started to being ready, on an existing embedded database.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::report::Report;
use crate::{
    ensure,
    failure::Outcome,
    servers::{Role, Setup},
};

/// Start the program again and again on an existing embedded database.
#[derive(Args)]
pub struct Ready {
    /// The program.
    #[arg(long, default_value = "target/release/mingizuk")]
    mingizuk: PathBuf,
    /// Starts, after a first one that makes the database.
    #[arg(long, default_value_t = 10)]
    runs: usize,
    /// Milliseconds that the median may take.
    #[arg(long, default_value_t = 300)]
    limit: u64,
}

impl Ready {
    /// Measures, prints, and compares with the limit.
    ///
    /// # Errors
    /// When the median is above the limit.
    pub async fn run(self) -> Outcome {
        let folder = tempfile::Builder::new().prefix("mingizuk-ready-").tempdir()?;
        let setup = Setup::embedded(self.mingizuk.canonicalize()?, folder.path());
        let mut times = Vec::new();
        for _ in 0..=self.runs {
            let mut process = setup.start(Role::AllInOne).await?;
            times.push(process.ready_after());
            process.program().terminate().await?;
        }
        let first = times.remove(0);
        times.sort();
        let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        let mut report = Report::new("ready");
        report.add_rounded("median ms", millis(median));
        report.add_rounded("slowest ms", millis(slowest));
        report.add_rounded("first start, which makes the database, ms", millis(first));
        report.add("starts", self.runs);
        report.print();
        ensure!(median <= Duration::from_millis(self.limit), "ready after {median:?}, not within {} ms", self.limit);
        Ok(())
    }
}

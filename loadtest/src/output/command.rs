//! `loadtest report` and `loadtest compare`.

use std::{fs, path::PathBuf};

use clap::Args;

use super::{Loaded, compare, html};
use crate::failure::{Outcome, While};

/// Make one HTML file of one report, or of two with their curves laid over each other.
#[derive(Args)]
pub struct ReportArgs {
    /// The report that a run wrote.
    a: PathBuf,
    /// Another one to compare it with.
    b: Option<PathBuf>,
    /// The HTML file; beside the first report if absent.
    #[arg(short, long)]
    output: Option<PathBuf>,
}

impl ReportArgs {
    /// Writes the file and prints its name.
    ///
    /// # Errors
    /// When a report cannot be read or the file cannot be written.
    pub fn run(self) -> Outcome {
        let output = self.output.unwrap_or_else(|| self.a.with_extension("html"));
        let a = Loaded::read(&self.a)?;
        let b = self.b.as_deref().map(Loaded::read).transpose()?;
        fs::write(&output, html::page(&a, b.as_ref())).doing(output.display())?;
        println!("{}", output.display());
        Ok(())
    }
}

/// Compare the figures of two reports.
#[derive(Args)]
pub struct CompareArgs {
    /// The report of the first run.
    a: PathBuf,
    /// The report of the second run.
    b: PathBuf,
}

impl CompareArgs {
    /// Prints the table.
    ///
    /// # Errors
    /// When a report cannot be read.
    pub fn run(&self) -> Outcome {
        let (mut a, mut b) = (Loaded::read(&self.a)?, Loaded::read(&self.b)?);
        if a.label == b.label {
            (a.label, b.label) = (self.a.display().to_string(), self.b.display().to_string());
        }
        print!("{}", compare::table(&a, &b));
        Ok(())
    }
}

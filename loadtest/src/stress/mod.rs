//! The stress program: it breaks a running Mingizuk in every way it knows, and checks after each that nothing
//! acknowledged was lost, nothing came twice, and everybody saw the same log in the same order.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`world`] | the running system, and putting it right again after a scenario |
//! | [`cohort`] | a room full of people who talk, and what must hold of what they saw |
//! | [`scenarios`] | what is done to them |

pub mod cohort;
pub mod scenarios;
pub mod world;

use std::{
    cell::RefCell,
    collections::VecDeque,
    fmt::Write,
    path::PathBuf,
    pin::Pin,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use futures_util::future::{join_all, try_join_all};

pub use self::{cohort::Cohort, world::World};
use crate::{
    ensure,
    failure::{Failure, Outcome, within},
    process,
};

/// The longest that one scenario may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// How much is done in a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Seconds each: for every run of the tests.
    Short,
    /// More people, more load, longer faults.
    Full,
}

/// Which scenarios to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// All of them.
    All,
    /// Those that do not mind if others run at the same time.
    Together,
    /// Those that measure time or memory, or must do something within a second, which others would disturb.
    Alone,
}

/// Break a running system in every known way and check that nothing was lost.
#[derive(Args)]
pub struct Stress {
    /// The program under test.
    #[arg(long, default_value = "target/release/mingizuk")]
    mingizuk: PathBuf,
    /// How much is done in each scenario.
    #[arg(long, value_enum, default_value_t = Form::Full)]
    form: Form,
    /// Run only the scenarios whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Run only those that measure, or only the others.
    #[arg(long, value_enum, default_value_t = Part::All)]
    part: Part,
    /// Run so many scenarios at a time, each in a system of its own; those that measure run alone, after the others.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    lanes: u8,
    /// Name the scenarios and end.
    #[arg(long)]
    list: bool,
    /// Write the table of scenarios and their results to this file.
    #[arg(long)]
    table: Option<PathBuf>,
}

/// A scenario's future.
pub type Run<'a> = Pin<Box<dyn Future<Output = Outcome<String>> + 'a>>;

/// One way to break the system.
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub does: &'static str,
    /// What must hold, besides what always must.
    pub holds: &'static str,
    /// Does it, and says what came of it.
    pub run: for<'a> fn(&'a mut World) -> Run<'a>,
    /// Whether it measures time or memory, or must do something within a second, which other scenarios would disturb.
    pub alone: bool,
}

impl Scenario {
    /// The same, run while no other runs.
    #[must_use]
    pub const fn alone(mut self) -> Self {
        self.alone = true;
        self
    }
}

struct Done {
    /// Its place in the list.
    place: usize,
    scenario: Scenario,
    outcome: Outcome<String>,
    took: Duration,
}

impl Stress {
    /// Runs the scenarios.
    ///
    /// # Errors
    /// When one of them failed; all are run.
    pub async fn run(self) -> Outcome {
        process::raise_open_files();
        let wanted = |scenario: &Scenario| {
            (self.part == Part::All || scenario.alone == (self.part == Part::Alone))
                && self.only.as_ref().is_none_or(|only| scenario.name.contains(only.as_str()))
        };
        let scenarios: Vec<Scenario> = scenarios::all().into_iter().filter(wanted).collect();
        if self.list {
            for scenario in &scenarios {
                println!("{:40} {}", scenario.name, scenario.does);
            }
            return Ok(());
        }
        let (done, rest) = self.run_all(scenarios).await?;
        if let Some(path) = &self.table {
            std::fs::write(path, table(&done, self.form)?)?;
        }
        let failed = done.iter().filter(|done| done.outcome.is_err()).count();
        println!("{} scenarios, {failed} failed", done.len());
        rest?;
        ensure!(failed == 0, "{failed} scenarios failed");
        Ok(())
    }
}

impl Stress {
    /// Runs the scenarios in their lanes, then those that measure. Returns what came of each, in the order of the list, and
    /// whether the systems came to rest.
    async fn run_all(&self, scenarios: Vec<Scenario>) -> Outcome<(Vec<Done>, Outcome)> {
        let (alone, together): (Vec<_>, Vec<_>) =
            scenarios.into_iter().enumerate().partition(|(_, scenario)| scenario.alone);
        let lanes = usize::from(self.lanes).min(together.len()).max(1);
        let mut worlds = try_join_all((0..lanes).map(|_| World::start(&self.mingizuk, self.form))).await?;
        let waiting = RefCell::new(VecDeque::from(together));
        let next = || waiting.borrow_mut().pop_front();
        let lanes = worlds.iter_mut().map(async |world| {
            let mut done = Vec::new();
            while let Some((place, scenario)) = next() {
                done.push(run_one(world, place, scenario).await);
            }
            (done, world.rested(0).await)
        });
        let (done, rests): (Vec<_>, Vec<_>) = join_all(lanes).await.into_iter().unzip();
        let mut done: Vec<Done> = done.into_iter().flatten().collect();
        let mut rest: Outcome = rests.into_iter().collect();
        // The other systems end before anything is measured.
        worlds.truncate(1);
        if let [world] = worlds.as_mut_slice() {
            for (place, scenario) in alone {
                done.push(run_one(world, place, scenario).await);
            }
            rest = rest.and(world.rested(0).await);
        }
        done.sort_by_key(|done| done.place);
        Ok((done, rest))
    }
}

async fn run_one(world: &mut World, place: usize, scenario: Scenario) -> Done {
    let began = Instant::now();
    let outcome = async {
        world.heal().await?;
        let said = within(PATIENCE, "the end of the scenario", (scenario.run)(world)).await??;
        world.settled().await?;
        Ok::<_, Failure>(said)
    }
    .await;
    let took = began.elapsed();
    let (verdict, text) = match &outcome {
        Ok(text) => ("ok    ", text.clone()),
        Err(failure) => ("FAILED", failure.to_string()),
    };
    println!("{verdict} {:40} {:5.1} s  {text}", scenario.name, took.as_secs_f64());
    Done { place, scenario, outcome, took }
}

/// The table of `docs/stress.md`.
fn table(done: &[Done], form: Form) -> Outcome<String> {
    let mut text = String::from(
        "# Stress scenarios\n\nWritten by `loadtest stress --table docs/stress.md`. Two gateways, one REST service, MariaDB and Redis \
         (append-only, `appendfsync always`) run as processes of their own and are really killed, paused and cut off. In every \
         scenario with traffic it must hold, besides what the table says: each acknowledged message is in the history exactly \
         once, at its acknowledged number; each client that stayed saw exactly the log, in order, without a gap or a \
         duplicate; afterwards every connection is gone from the gateways, with its tasks and files.\n\n",
    );
    writeln!(text, "Last run: {} form.\n", if form == Form::Short { "short" } else { "full" })?;
    writeln!(text, "| scenario | what it does | what must hold | last result |\n| --- | --- | --- | --- |")?;
    for Done { scenario, outcome, took, .. } in done {
        let result = match outcome {
            Ok(said) => format!("ok in {:.1} s: {said}", took.as_secs_f64()),
            Err(failure) => format!("**failed**: {}", failure.to_string().replace(['\n', '|'], " ")),
        };
        writeln!(text, "| {} | {} | {} | {result} |", scenario.name, scenario.does, scenario.holds)?;
    }
    Ok(text)
}

//! Programs that put a running system to the test: `loadtest --help`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use loadtest::{
    bench::{Bench, Floor, Ready},
    chat::{command::Chat, search::SearchLimit},
    commands::{Check, Quick, Run},
    failure::Outcome,
    output::command::{CompareArgs, ReportArgs},
    rest_load::RestLoad,
    stress::Stress,
};

/// Puts Mingizuk to the test.
#[derive(Parser)]
#[command(version, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(Run),
    Check(Check),
    Quick(Quick),
    /// Measure the gateway.
    #[command(subcommand)]
    Bench(Bench),
    /// Let people chat: delivery latency, loss, order, recovery.
    Chat(Chat),
    /// Find the highest rate of messages that still meets thresholds, and what was the limit.
    SearchLimit(SearchLimit),
    /// Compare two reports: ratios, and which differences are larger than the noise.
    Compare(CompareArgs),
    /// Make one HTML file of one report, or of two laid over each other.
    Report(ReportArgs),
    /// Write frames to sockets: what measurements are compared with.
    #[command(hide = true)]
    Floor(Floor),
    /// Measure how long a start takes.
    Ready(Ready),
    /// Measure reads over REST at a fixed rate.
    Rest(RestLoad),
    /// Break a running system in every known way and check that nothing was lost.
    Stress(Stress),
}

#[tokio::main]
async fn main() -> ExitCode {
    let command = match Cli::parse().command {
        // These end by themselves on a signal, with a report.
        Command::Run(run) => return run.run().await,
        Command::Quick(quick) => return quick.run().await,
        Command::Check(check) => return check.run(),
        command => command,
    };
    let stopped = async { tokio::signal::ctrl_c().await.map_err(Into::into) };
    // Dropping the run on a signal ends the processes it has started.
    let outcome: Outcome = tokio::select! {
        outcome = run(command) => outcome,
        outcome = stopped => outcome.and(Err(loadtest::failure::Failure::new("interrupted"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("loadtest: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Outcome {
    match command {
        Command::Run(_) | Command::Check(_) | Command::Quick(_) => Ok(()),
        Command::Bench(bench) => bench.run().await,
        Command::Chat(chat) => chat.run().await,
        Command::SearchLimit(search) => search.run().await,
        Command::Compare(compare) => compare.run(),
        Command::Report(report) => report.run(),
        Command::Floor(floor) => floor.run(),
        Command::Ready(ready) => ready.run().await,
        Command::Rest(load) => load.run().await,
        Command::Stress(stress) => stress.run().await,
    }
}

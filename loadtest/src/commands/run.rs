//! `loadtest run`: a script of Artillery against a system, and its report.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::Args;

use super::console::Console;
use crate::{
    metrics::Report,
    process::raise_open_files,
    runner::{self, Settings, Stop},
    script::{self, Loaded, Options, duration},
};

/// Files and flags that say what the script is; those of Artillery.
#[derive(Args, Clone, Debug)]
pub struct ScriptArgs {
    /// Scripts, YAML or JSON; later ones are merged into the first.
    #[arg(required = true)]
    scripts: Vec<PathBuf>,
    /// URL of the system under test, instead of the script's.
    #[arg(short, long)]
    target: Option<String>,
    /// Environment of the script.
    #[arg(short, long)]
    environment: Option<String>,
    /// Script with the configuration alone.
    #[arg(short, long)]
    config: Option<PathBuf>,
    /// CSV file, instead of the script's.
    #[arg(short, long)]
    payload: Option<PathBuf>,
    /// Variables, as JSON.
    #[arg(short, long)]
    variables: Option<String>,
    /// What is merged into the script, as JSON; its lists replace.
    #[arg(long)]
    overrides: Option<String>,
    /// Take every certificate.
    #[arg(short = 'k', long)]
    insecure: bool,
    /// Run one user, whatever the phases say.
    #[arg(short, long)]
    solo: bool,
    /// Run this scenario alone: its name, or a regular expression.
    #[arg(long)]
    scenario_name: Option<String>,
    /// File with variables of the environment.
    #[arg(long, visible_alias = "env-file")]
    dotenv: Option<PathBuf>,
    /// Do as Artillery does, also where that surprises.
    #[arg(long)]
    as_artillery: bool,
    /// Send load to other machines too.
    #[arg(long)]
    allow_remote: bool,
}

impl ScriptArgs {
    /// Reads the script.
    ///
    /// # Errors
    /// The first mistake, for people.
    pub fn load(self, test_id: &str) -> Result<Loaded, String> {
        script::load(&Options {
            scripts: self.scripts,
            config: self.config,
            target: self.target,
            environment: self.environment,
            overrides: self.overrides,
            variables: self.variables,
            payload: self.payload,
            insecure: self.insecure,
            solo: self.solo,
            dotenv: self.dotenv,
            scenario_name: self.scenario_name,
            as_artillery: self.as_artillery,
            allow_remote: self.allow_remote,
            test_id: test_id.to_owned(),
        })
    }
}

/// Runs a script of Artillery and reports what it measured.
///
/// Exit code: 0, 1 for a mistake in the script or a failed check, 2 for wrong flags, 21 for a failed expectation, 130
/// and 143 on signals; the report is written in every case but a mistake.
#[derive(Args, Debug)]
pub struct Run {
    #[command(flatten)]
    script: ScriptArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Flags about how a run goes and what is written of it.
#[derive(Args, Clone, Debug, Default)]
pub struct OutputArgs {
    /// Report file, or a folder for it.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Print only what scripts log, and checks.
    #[arg(short, long)]
    quiet: bool,
    /// Name of the run in the report.
    #[arg(long)]
    name: Option<String>,
    /// Seed of every random choice: the same seed makes the same choices.
    #[arg(long)]
    seed: Option<u64>,
    /// End the run as soon as an upper limit of `ensure` is exceeded.
    #[arg(long)]
    abort_on_fail: bool,
    /// End the run after this, such as `90s`.
    #[arg(long, value_parser = parse_duration)]
    stop_after: Option<Duration>,
    /// Process whose CPU and memory are reported, as `NAME=PID`.
    #[arg(long = "pid", value_name = "NAME=PID", value_parser = parse_process)]
    processes: Vec<(String, u32)>,
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    duration::parse(&text.into(), duration::Fractions::Seconds)
}

fn parse_process(text: &str) -> Result<(String, u32), String> {
    let (name, pid) = text.split_once('=').ok_or("write NAME=PID")?;
    let pid = pid.parse().map_err(|_| format!("`{pid}` is no process id"))?;
    crate::process::cpu(pid).map_err(|_| format!("there is no process {pid}"))?;
    Ok((name.to_owned(), pid))
}

impl Run {
    /// Carries out the command.
    pub async fn run(self) -> ExitCode {
        let test_id = test_id();
        let allow_remote = self.script.allow_remote;
        match self.script.load(&test_id) {
            Ok(loaded) => execute(loaded, self.output, allow_remote, test_id).await,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        }
    }
}

/// An id for a run, as Artillery makes them.
#[must_use]
pub fn test_id() -> String {
    let id: String = uuid::Uuid::new_v4().simple().to_string();
    format!("t{}", &id[..15])
}

/// Runs a plan, prints and writes its report, and says how it went.
pub async fn execute(loaded: Loaded, output: OutputArgs, allow_remote: bool, test_id: String) -> ExitCode {
    raise_open_files();
    let console = Arc::new(Console::new(output.quiet));
    for warning in &loaded.warnings {
        console.warning(warning);
    }
    console.line(&format!("Test run id: {test_id}"));
    let plan = Arc::new(loaded.plan);
    let as_artillery = plan.as_artillery;
    let settings = Settings {
        allow_remote,
        abort_on_fail: output.abort_on_fail,
        stop_after: output.stop_after,
        processes: output.processes,
        seed: output.seed.unwrap_or_else(rand::random),
        name: output.name,
        test_id,
    };
    let stop = Stop::default();
    let (observer, signalled) = (console.clone(), stop.clone());
    let signal = tokio::spawn(async move { stop_on_signal(signalled).await });
    let observer: runner::Observer = Arc::new(move |event| observer.event(event));
    let report = match runner::run(plan, &settings, observer, stop).await {
        Ok(report) => report,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    if signal.is_finished() && as_artillery {
        return ExitCode::from(signal.await.unwrap_or(130));
    }
    let code = if signal.is_finished() { signal.await.unwrap_or(130) } else { 0 };
    console.summary(&report);
    if let Some(path) = &output.output
        && let Err(error) = write(path, &report, &console)
    {
        eprintln!("{}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    console.checks(&report);
    ExitCode::from(exit_code(&report, code))
}

fn exit_code(report: &Report, signal: u8) -> u8 {
    let failed = report.checks.iter().any(|check| check.strict && !check.ok);
    let unexpected = report.aggregate.counters.get("plugins.expect.failed").is_some_and(|count| *count > 0);
    match signal {
        0 if failed => 1,
        0 if unexpected => 21,
        signal => signal,
    }
}

/// Waits for a signal and ends the run: the second ends the program.
async fn stop_on_signal(stop: Stop) -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    let code = tokio::select! {
        _ = interrupt.recv() => 130,
        _ = terminate.recv() => 143,
    };
    stop.stop("signal");
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(code.into());
    });
    code
}

fn write(path: &Path, report: &Report, console: &Console) -> std::io::Result<()> {
    let path = if path.is_dir() {
        path.join(format!("artillery_report_{}.json", chrono::Local::now().format("%Y%m%d_%H%M%S")))
    } else {
        path.to_owned()
    };
    let text = serde_json::to_string_pretty(report)?;
    std::fs::write(&path, text)?;
    console.line(&format!("Log file: {}", path.display()));
    Ok(())
}

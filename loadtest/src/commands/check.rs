//! `loadtest check`: reads a script, resolves everything, and prints what would run.

use std::process::ExitCode;

use clap::Args;

use super::run::{ScriptArgs, test_id};
use crate::script::{
    Plan,
    duration::show,
    plan::{Order, Rows, Scenario, Step},
};

/// Reads a script and prints what would run, without sending anything.
#[derive(Args, Debug)]
pub struct Check {
    #[command(flatten)]
    script: ScriptArgs,
}

impl Check {
    /// Carries out the command.
    #[must_use]
    pub fn run(self) -> ExitCode {
        match self.script.load(&test_id()) {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    eprintln!("{warning}");
                }
                print!("{}", describe(&loaded.plan));
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        }
    }
}

/// What a plan would do, for people.
#[must_use]
pub fn describe(plan: &Plan) -> String {
    let mut lines = vec![format!("target: {}", plan.target)];
    lines.extend(plan.environment.iter().map(|name| format!("environment: {name}")));
    for (index, phase) in plan.phases.iter().enumerate() {
        let name = phase.name.as_deref().unwrap_or("unnamed");
        let most = phase.max_users.map(|most| format!(", at most {most} users")).unwrap_or_default();
        lines.push(format!("phase {index}: {name}: {} for {}{most}", phase.load, show(phase.load.duration())));
    }
    for payload in &plan.payloads {
        lines.push(match &payload.data {
            Rows::Each { fields, rows } => {
                let order = match payload.order {
                    Order::Sequence => "in order",
                    Order::Random => "at random",
                    Order::Once => "each once",
                };
                format!("data: {} rows of {}, {order}", rows.len(), fields.join(", "))
            }
            Rows::All { name, rows } => format!("data: {} rows in {name}", rows.as_array().map_or(0, Vec::len)),
        });
    }
    for (name, scenario) in [("before", &plan.before), ("after", &plan.after)] {
        lines.extend(scenario.iter().map(|scenario| format!("{name}: {}", steps(scenario))));
    }
    for scenario in &plan.scenarios {
        let weight = scenario.weight.fixed().unwrap_or("by variable");
        let engine = scenario.engine.name();
        lines.push(format!("scenario: {} (engine {engine}, weight {weight}): {}", scenario.name, steps(scenario)));
    }
    lines.extend(
        plan.checks
            .iter()
            .map(|check| format!("check: {}{}", check.text, if check.strict { "" } else { " (optional)" })),
    );
    lines.join("\n") + "\n"
}

fn steps(scenario: &Scenario) -> String {
    let names: Vec<String> = scenario.flow.iter().map(step).collect();
    names.join(" → ")
}

fn step(step: &Step) -> String {
    match step {
        Step::Request(request) => {
            let url = request.endpoint.as_deref().or(request.url.fixed());
            format!("{} {}", request.method, url.unwrap_or("…"))
        }
        Step::Think { .. } => "think".to_owned(),
        Step::Log(_) => "log".to_owned(),
        Step::Loop(repetition) => {
            format!("loop ({})", repetition.steps.iter().map(self::step).collect::<Vec<_>>().join(" → "))
        }
        Step::Parallel { steps, .. } => {
            format!("parallel ({})", steps.iter().map(self::step).collect::<Vec<_>>().join(" | "))
        }
        Step::Send(_) => "send".to_owned(),
        Step::Wait(_) => "wait".to_owned(),
        Step::Emit(_) => "emit".to_owned(),
    }
}

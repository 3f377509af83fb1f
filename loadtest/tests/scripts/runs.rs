//! Runs of scripts: constant users, rows that are read once, seeds, and runs that end early.

use std::time::Duration;

use crate::support::{HttpTarget, run, run_with};
use loadtest::{runner::Settings, script::Options};

fn script(port: u16, config: &str, flow: &str) -> String {
    format!("config:\n  target: http://127.0.0.1:{port}\n{config}scenarios:\n  - flow:\n{flow}")
}

async fn target() -> HttpTarget {
    HttpTarget::start(0, Duration::ZERO).await
}

#[tokio::test(flavor = "multi_thread")]
async fn constant_users_are_replaced_and_each_phase_has_its_figures() {
    let target = target().await;
    let config = "  phases:\n    - { name: three, users: 3, duration: 1 }\n    - { name: two, arrivalCount: 2, duration: 0.2 }\n";
    let report =
        run(&script(target.port, config, "      - get: { url: / }\n      - think: 0.3\n"), Settings::default()).await;
    let created = |phase: usize| report.phases[phase].figures.counters["vusers.created"];
    assert_eq!(report.phases.iter().map(|phase| phase.name.as_str()).collect::<Vec<_>>(), ["three", "two"]);
    assert!((6..=12).contains(&created(0)), "three users, four turns at most: {}", created(0));
    assert_eq!(created(1), 2);
    assert_eq!(report.aggregate.counters["vusers.created"], created(0) + created(1));
    assert_eq!(report.aggregate.counters["vusers.completed"], report.aggregate.counters["vusers.created"]);
    let sum: u64 = report.intermediate.iter().map(|period| period.counters["http.requests"]).sum();
    assert_eq!(report.aggregate.counters["http.requests"], sum);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_read_once_end_the_arrivals() {
    let target = target().await;
    let config =
        "  payload: { path: rows.csv, fields: [row], order: once }\n  phases: [{ arrivalCount: 5, duration: 0.5 }]\n";
    let report = run(&script(target.port, config, "      - get: { url: \"/{{ row }}\" }\n"), Settings::default()).await;
    let mut paths = target.paths.lock().unwrap().clone();
    paths.sort();
    assert_eq!(paths, ["/one", "/three", "/two"]);
    assert_eq!(report.aggregate.counters["vusers.skipped"], 2);
    let warnings = report.run.unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.contains("order: once")), "{warnings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_makes_the_same_choices() {
    let mut all = Vec::new();
    for seed in [7, 7, 8] {
        let target = target().await;
        let config = "  variables: { pick: [a, b, c, d, e, f] }\n  phases: [{ arrivalCount: 6, duration: 0.3 }]\n";
        let flow = "      - get: { url: \"/{{ pick }}/{{ $randomNumber(1, 999999) }}\" }\n";
        run(&script(target.port, config, flow), Settings { seed, ..Settings::default() }).await;
        let mut paths = target.paths.lock().unwrap().clone();
        paths.sort();
        all.push(paths);
    }
    assert_eq!(all[0], all[1]);
    assert_ne!(all[0], all[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_when_it_is_told_to_and_reports() {
    let target = target().await;
    let config = "  phases: [{ users: 2, duration: 600 }]\n";
    let settings = Settings { stop_after: Some(Duration::from_secs(1)), ..Settings::default() };
    let report = run(&script(target.port, config, "      - get: { url: / }\n      - think: 300\n"), settings).await;
    assert_eq!(report.aggregate.counters["http.requests"], 2);
    assert_eq!(report.run.unwrap().ended_early.as_deref(), Some("--stop-after"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_is_exceeded_ends_the_run() {
    let target = target().await;
    let config = "  ensure: { thresholds: [{ http.requests: 1 }] }\n  phases: [{ users: 2, duration: 600 }]\n";
    let settings = Settings { abort_on_fail: true, ..Settings::default() };
    let report = run(&script(target.port, config, "      - get: { url: / }\n      - think: 300\n"), settings).await;
    assert!(report.run.unwrap().ended_early.is_some_and(|why| why.contains("http.requests < 1")));
    assert_eq!(report.checks.len(), 1);
    assert!(!report.checks[0].ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metric_that_never_occurred_fails_its_check_only_as_in_artillery() {
    let target = target().await;
    let config = "  plugins: { ensure: {} }\n  ensure: { thresholds: [{ http.codes.404: 1 }] }\n";
    let text = script(target.port, config, "      - get: { url: / }\n");
    assert!(run(&text, Settings::default()).await.checks[0].ok);
    let options = Options { as_artillery: true, ..Options::default() };
    assert!(!run_with(&text, Settings::default(), options).await.checks[0].ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_beside_each_other_run_at_the_same_time_unless_as_in_artillery() {
    for (as_artillery, slowest) in [(false, 1_000.0), (true, f64::MAX)] {
        let target = HttpTarget::start(1, Duration::from_millis(400)).await;
        let flow = "      - parallel:\n          - get: { url: /a }\n          - get: { url: /b }\n          - get: { url: /c }\n";
        let options = Options { as_artillery, ..Options::default() };
        let report = run_with(&script(target.port, "", flow), Settings::default(), options).await;
        assert_eq!(report.aggregate.counters["http.requests"], 3);
        let lengths = report.aggregate.summaries["vusers.session_length"];
        assert!(lengths.min >= 400.0 && lengths.max < slowest, "{as_artillery}: {lengths:?}");
    }
}

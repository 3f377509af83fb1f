//! Documents that tell what the program does: `openapi.json`, `docs/settings.md`, and the metrics of `docs/operations.md`.

#![expect(clippy::expect_used, reason = "tests")]

use std::collections::BTreeSet;

use loadtest::{
    client::{Connection, Greeting},
    rest::{Rest, http_client},
    servers::{Role, Setup},
};
use reqwest::Method;
use uuid::Uuid;
use wire::{ErrorCode, Frame};

const BINARY: &str = env!("CARGO_BIN_EXE_mingizuk");

/// Checks that a committed file is what the program prints.
async fn is_current(path: &str, arguments: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let printed = Setup::embedded(BINARY, folder.path()).run(arguments).await.expect("an end").stdout;
    let committed = std::fs::read_to_string(path).expect("a file of the repository");
    let differs = committed.lines().zip(printed.lines()).find(|(committed, printed)| committed != printed);
    assert!(
        committed == printed,
        "{path} is not what the code says, at {differs:?}: cargo run -- {} > {path}",
        arguments.join(" ")
    );
}

#[tokio::test]
async fn the_openapi_document_is_current() {
    is_current("openapi.json", &["openapi"]).await;
}

#[tokio::test]
async fn the_reference_of_settings_is_current() {
    is_current("docs/settings.md", &["config", "--reference"]).await;
}

/// The metrics of a text in Prometheus' format, each with its labels: `name{label,label}`.
fn exported(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let metric = |(name, _): (&str, &str)| {
        let sample = text.lines().find_map(|line| line.strip_prefix(name)?.split_once('{')?.1.split_once('}'));
        let labels = sample.map_or("", |(labels, _)| labels).split(',').filter_map(|label| label.split_once('='));
        let labels: BTreeSet<&str> = labels.map(|(label, _)| label).filter(|label| *label != "le").collect();
        let labels = labels.into_iter().collect::<Vec<_>>().join(",");
        if labels.is_empty() { name.to_owned() } else { format!("{name}{{{labels}}}") }
    };
    types.map(metric).collect()
}

/// The metrics that the documentation names.
fn documented() -> BTreeSet<String> {
    let text = std::fs::read_to_string("docs/operations.md").expect("a document");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `mingizuk_")?.split_once(" | "));
    let names = rows.flat_map(|(names, _)| names.split(", ").map(|name| name.trim_matches('`').to_owned()));
    names.map(|name| if name.starts_with("mingizuk_") { name } else { format!("mingizuk_{name}") }).collect()
}

#[tokio::test]
async fn every_metric_is_documented_and_every_documented_metric_exported() {
    let folder = tempfile::tempdir().expect("a folder");
    let running = Setup::embedded(BINARY, folder.path()).start(Role::AllInOne).await.expect("ready");
    // Counters with labels appear with their first count: a request, an error, and a connection closed for it.
    let rest = Rest::new(running.api().expect("an api")).expect("a client");
    let user = rest.sign_up("밍기").await.expect("signed up");
    let gateway = running.gateway().expect("a gateway");
    let (mut connection, _) = Connection::greet(gateway, Greeting::Header(&user.token)).await.expect("a welcome");
    let refused = connection.join(Uuid::now_v7()).await.expect("a reply");
    assert!(matches!(refused, Frame::Error { code: ErrorCode::NotAMember, .. }), "{refused:?}");
    assert!(Connection::greet(gateway, Greeting::Hello("not a token")).await.is_err());
    assert!(rest.call(Method::GET, "/nothing", None).await.is_ok());

    let http = http_client(std::time::Duration::from_secs(5)).expect("a client");
    let mut found = BTreeSet::new();
    let ready = running.ready();
    for ops in [&ready.api_ops, &ready.gateway_ops] {
        let url = format!("{}/metrics", ops.as_deref().expect("an address"));
        let text = http.get(url).send().await.expect("an answer").text().await.expect("a text");
        found.extend(exported(&text));
    }
    assert_eq!(found, documented(), "exported on the left, docs/operations.md on the right");
}

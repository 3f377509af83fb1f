//! What is depended on: licences, versions and features, by `deny.toml` and the manifests. Needs no network.

#![expect(clippy::expect_used, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use serde_json::Value;

fn cargo(arguments: &[&str]) -> String {
    let program = std::env::var_os("CARGO").expect("cargo runs the tests");
    let output = Command::new(program).args(arguments).args(["--offline", "--locked"]).output().expect("cargo");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The packages that any build of the workspace needs on this kind of machine.
fn packages() -> Vec<Value> {
    let version = Command::new("rustc").arg("-vV").output().expect("rustc").stdout;
    let version = String::from_utf8_lossy(&version).into_owned();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    let metadata = cargo(&["metadata", "--format-version", "1", "--filter-platform", host]);
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    let needed: BTreeSet<String> = list(&metadata["resolve"]["nodes"]).map(|node| text(&node["id"])).collect();
    list(&metadata["packages"]).filter(|package| needed.contains(&text(&package["id"]))).cloned().collect()
}

fn policy() -> toml::Table {
    fs::read_to_string("deny.toml").expect("a file of the repository").parse().expect("TOML")
}

fn texts<'a>(policy: &'a toml::Table, section: &str, key: &str) -> Vec<&'a str> {
    let entries = policy[section][key].as_array().expect("a list").iter();
    entries.map(|entry| entry.as_str().or_else(|| entry["crate"].as_str()).expect("a text")).collect()
}

/// Whether an SPDX expression leaves a choice that is allowed. `/` is how older manifests say `OR`.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let expression = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = expression.split_whitespace().peekable();
    any_of(&mut words, allowed)
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allowed: &[&str]) -> bool {
    let mut holds = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        holds |= all_of(words, allowed);
    }
    holds
}

fn all_of(words: &mut Words<'_>, allowed: &[&str]) -> bool {
    let mut holds = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        holds &= one(words, allowed);
    }
    holds
}

fn one(words: &mut Words<'_>, allowed: &[&str]) -> bool {
    let word = words.next().unwrap_or_default();
    if word == "(" {
        let holds = any_of(words, allowed);
        return words.next() == Some(")") && holds;
    }
    // An exception gives more rights, not fewer.
    if words.next_if_eq(&"WITH").is_some() {
        words.next();
    }
    allowed.contains(&word)
}

#[test]
fn expressions_of_licences_are_read() {
    for (expression, allowed) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT/GPL-3.0", true),
        ("GPL-3.0 AND MIT", false),
        ("GPL-3.0 OR MIT AND ISC", true),
        ("(GPL-3.0 OR MIT) AND ISC", true),
        ("(GPL-3.0 AND MIT) OR (ISC AND GPL-3.0)", false),
        ("GPL-3.0 WITH LLVM-exception", false),
        ("ISC WITH LLVM-exception AND MIT", true),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression, &["MIT", "ISC"]), allowed, "{expression}");
    }
}

/// The licence of a package: what its manifest says, or else what the file says that the manifest names.
fn licence(package: &Value) -> String {
    let (expression, file) = (text(&package["license"]), text(&package["license_file"]));
    if !expression.is_empty() || file.is_empty() {
        return expression;
    }
    let manifest = text(&package["manifest_path"]);
    let file = Path::new(&manifest).parent().expect("a folder").join(file);
    let words = fs::read_to_string(file).expect("a licence");
    let apache = words.trim_start().starts_with("Apache License") && words.contains("Version 2.0, January 2004");
    if apache { "Apache-2.0".to_owned() } else { String::new() }
}

#[test]
fn every_licence_is_allowed() {
    let policy = policy();
    let allowed = texts(&policy, "licenses", "allow");
    let bad = |package: &Value| {
        let licence = licence(package);
        (!is_allowed(&licence, &allowed)).then(|| format!("{} {}: {licence}", package["name"], package["version"]))
    };
    let bad: Vec<String> = packages().iter().filter_map(bad).collect();
    assert!(bad.is_empty(), "not among the licences of deny.toml: {bad:#?}");
}

#[test]
fn no_crate_is_there_twice_without_a_reason_and_none_is_banned() {
    let policy = policy();
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        let version = text(&package["version"]);
        let version = version.split('+').next().unwrap_or_default().to_owned();
        versions.entry(text(&package["name"])).or_default().insert(version);
    }
    for banned in texts(&policy, "bans", "deny") {
        assert!(!versions.contains_key(banned), "{banned} is banned by deny.toml");
    }
    let skipped = texts(&policy, "bans", "skip");
    for (name, versions) in &versions {
        let without_reason = versions.iter().filter(|version| !skipped.contains(&format!("{name}@{version}").as_str()));
        assert!(without_reason.count() <= 1, "{name} is there in versions {versions:?}: deny.toml gives no reason");
    }
    for skip in skipped {
        let (name, version) = skip.split_once('@').expect("a version");
        let still = versions.get(name).is_some_and(|all| all.len() > 1 && all.contains(version));
        assert!(still, "{skip} of deny.toml is there no more, or no longer twice");
    }
}

/// The names in a section of a manifest.
fn section(manifest: &toml::Table, name: &str) -> Vec<String> {
    manifest.get(name).and_then(toml::Value::as_table).map(|table| table.keys().cloned().collect()).unwrap_or_default()
}

fn sources(folder: &Path) -> String {
    let Ok(entries) = fs::read_dir(folder) else { return String::new() };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let one = |path: std::path::PathBuf| match path.extension() {
        _ if path.is_dir() => sources(&path),
        Some(extension) if extension == "rs" => fs::read_to_string(path).expect("a source"),
        _ => String::new(),
    };
    paths.map(one).collect()
}

#[test]
fn every_dependency_is_used() {
    let mut unused = Vec::new();
    let mut named = BTreeSet::new();
    for folder in [".", "wire", "common", "gateway", "api", "loadtest", "testing"] {
        let manifest = fs::read_to_string(format!("{folder}/Cargo.toml")).expect("a manifest");
        let manifest: toml::Table = manifest.parse().expect("TOML");
        let code = sources(&Path::new(folder).join("src"));
        let tests = format!("{code}{}", sources(&Path::new(folder).join("tests")));
        for (dependencies, text) in [("dependencies", &code), ("dev-dependencies", &tests)] {
            for dependency in section(&manifest, dependencies) {
                let word = dependency.replace('-', "_");
                let is_word = |char: char| char.is_alphanumeric() || char == '_';
                if !text.split(|char| !is_word(char)).any(|found| found == word) {
                    unused.push(format!("{folder}: {dependency}"));
                }
                named.insert(dependency);
            }
        }
    }
    let workspace: toml::Table = fs::read_to_string("Cargo.toml").expect("a manifest").parse().expect("TOML");
    let shared = workspace["workspace"]["dependencies"].as_table().expect("dependencies");
    unused.extend(shared.keys().filter(|name| !named.contains(*name)).map(|name| format!("workspace: {name}")));
    assert!(unused.is_empty(), "depended on and never named: {unused:#?}");
}

/// Features that builds with the load suite or the tests have besides, and that change nothing of what the command does.
const ADDED: [(&str, &str); 4] = [
    // Tests that let 75 seconds pass at once need a clock that stops; this is in no build without tests.
    ("tokio", "test-util"),
    // Names for features that are there anyway.
    ("idna", "default"),
    ("regex-automata", "nfa"),
    ("regex-automata", "perf"),
];

/// The crates of a build of these packages, each as `name version [feature,…]`. A crate that programs and build scripts need
/// may be there twice.
fn built(arguments: &[&str]) -> BTreeSet<String> {
    let tree = cargo(&[&["tree", "--prefix", "none", "--format", "{p} [{f}]"], arguments].concat());
    let parts = |line: &str| {
        let (name, rest) = line.split_once(' ')?;
        let version = rest.split(' ').next()?;
        let features = rest.split_once('[')?.1.split_once(']')?.0.split(',');
        let features: Vec<&str> = features.filter(|feature| !ADDED.contains(&(name, *feature))).collect();
        Some(format!("{name} {version} [{}]", features.join(",")))
    };
    tree.lines().filter_map(parts).collect()
}

#[test]
fn development_changes_nothing_of_what_ships() {
    let ships = built(&["--package", "mingizuk", "--edges", "normal,build"]);
    assert!(ships.len() > 100, "the tree was read");
    let measured = built(&["--package", "mingizuk", "--package", "loadtest", "--edges", "normal,build"]);
    let tested = built(&["--workspace", "--edges", "all"]);
    for (what, build) in [("the load suite", measured), ("every test", tested)] {
        let changed: Vec<&String> = ships.difference(&build).collect();
        assert!(changed.is_empty(), "not so when built with {what}: {changed:#?}");
    }
}

//! Mistakes in scripts: each is one error, before anything is sent, that says where and what to write instead.

use loadtest::script::{Options, load};

const HEAD: &str = "config:\n  target: \"http://127.0.0.1:9\"\n";

/// A name for the test, the script, the place of the error, and what the error says.
struct Mistake(&'static str, String, &'static str, &'static [&'static str]);

fn flow(steps: &str) -> String {
    format!("{HEAD}scenarios:\n  - flow:\n{steps}")
}

fn config(lines: &str) -> String {
    format!("{HEAD}{lines}scenarios:\n  - flow:\n      - get: {{ url: \"/\" }}\n")
}

fn mistakes() -> Vec<Mistake> {
    vec![
        Mistake("no target", "config: {}\nscenarios: []\n".into(), ":1:9", &["`target` is missing", "-t"]),
        Mistake("no scenarios", HEAD.into(), ":1:1", &["`scenarios` is missing"]),
        Mistake("not YAML", "config: [1\nscenarios: 2\n".into(), ":2:", &["not valid YAML"]),
        Mistake("a key twice", format!("{HEAD}  target: \"x\"\n"), ":3:3", &["given twice"]),
        Mistake("misspelt key of config", config("  taget: 1\n"), ":3:3", &["unknown key `taget`", "`target`"]),
        Mistake(
            "misspelt key of a phase",
            config("  phases:\n    - { duration: 1, arivalRate: 2 }\n"),
            ":4:22",
            &["unknown key `arivalRate`", "`arrivalRate`"],
        ),
        Mistake("empty phase", config("  phases:\n    - { duration: 1 }\n"), ":4:7", &["`arrivalRate`", "`pause`"]),
        Mistake("no duration", config("  phases:\n    - { arrivalRate: 1 }\n"), ":4:7", &["`duration` is missing"]),
        Mistake(
            "wrong duration",
            config("  phases:\n    - { duration: 1m30s, arrivalRate: 1 }\n"),
            ":4:19",
            &["`1m30s` is no duration", "90s"],
        ),
        Mistake(
            "a text for a number",
            config("  phases:\n    - { duration: 1, arrivalRate: fast }\n"),
            ":4:35",
            &["expected a number, found a text"],
        ),
        Mistake("functions", config("  processor: ./functions.js\n"), ":3:3", &["`processor` is not supported"]),
        Mistake(
            "an unsupported plugin",
            config("  plugins:\n    publish-metrics: []\n"),
            ":4:5",
            &["`publish-metrics` is not supported", "report file"],
        ),
        Mistake("misspelt plugin", config("  plugins:\n    ensur: {}\n"), ":4:5", &["unknown key `ensur`", "`ensure`"]),
        Mistake(
            "a wrong condition",
            config("  ensure:\n    conditions:\n      - expression: \"a > 1 && b > 2\"\n"),
            ":5:21",
            &["write `and`"],
        ),
        Mistake(
            "an unknown engine",
            format!("{HEAD}scenarios:\n  - engine: htttp\n    flow: []\n"),
            ":4:13",
            &["unknown engine `htttp`", "`http`"],
        ),
        Mistake(
            "a browser",
            format!("{HEAD}scenarios:\n  - engine: playwright\n    flow: []\n"),
            ":4:13",
            &["`playwright` is not supported"],
        ),
        Mistake(
            "misspelt key of a scenario",
            format!("{HEAD}scenarios:\n  - weigth: 2\n    flow: []\n"),
            ":4:5",
            &["unknown key `weigth`", "`weight`"],
        ),
        Mistake("misspelt step", flow("      - thikn: 1\n"), ":5:9", &["unknown step `thikn`", "`think`"]),
        Mistake("a step of another engine", flow("      - emit: [\"a\"]\n"), ":5:9", &["`engine: socketio`"]),
        Mistake(
            "two keys in a step",
            flow("      - get: { url: \"/\" }\n        think: 1\n"),
            ":6:9",
            &["a step has one key", "begin a step of its own"],
        ),
        Mistake("no url", flow("      - get: { name: \"x\" }\n"), ":5:14", &["`url` is missing"]),
        Mistake(
            "misspelt key of a request",
            flow("      - get: { url: \"/\", heders: {} }\n"),
            ":5:26",
            &["unknown key `heders`", "`headers`"],
        ),
        Mistake(
            "misspelt expectation",
            flow("      - get: { url: \"/\", expect: { statusCod: 200 } }\n"),
            ":5:36",
            &["unknown check `statusCod`", "`statusCode`"],
        ),
        Mistake(
            "an unknown function",
            flow("      - get: { url: \"/{{ $randomInt(1, 2) }}\" }\n"),
            ":5:21",
            &["unknown function `$randomInt`", "`$randomNumber`"],
        ),
        Mistake(
            "wrong arguments",
            flow("      - get: { url: \"/{{ $randomNumber(9, 1) }}\" }\n"),
            ":5:21",
            &["wrong arguments", "the smaller number first"],
        ),
        Mistake(
            "no name for a capture",
            flow("      - get: { url: \"/\", capture: { json: \"$.a\" } }\n"),
            ":5:35",
            &["`as` is missing", "as: NAME"],
        ),
        Mistake(
            "a wrong path",
            flow("      - get: { url: \"/\", capture: { json: \"$.a[\", as: \"a\" } }\n"),
            ":5:43",
            &["no JSONPath"],
        ),
        Mistake(
            "a wrong regular expression",
            flow("      - get: { url: \"/\", capture: { regexp: \"(\", as: \"a\" } }\n"),
            ":5:45",
            &["no regular expression"],
        ),
        Mistake(
            "xpath",
            flow("      - get: { url: \"/\", capture: { xpath: \"//a\", as: \"a\" } }\n"),
            ":5:37",
            &["`xpath` is not supported"],
        ),
        Mistake(
            "a wrong number of turns",
            flow("      - loop: []\n        count: many\n"),
            ":6:16",
            &["no number of turns"],
        ),
        Mistake(
            "an endless condition",
            flow("      - loop: []\n        whileTrue: more\n"),
            ":6:9",
            &["`whileTrue` is not supported"],
        ),
        Mistake(
            "a file that is not there",
            config("  payload: { path: \"none.csv\", fields: [\"a\"] }\n"),
            ":3:20",
            &["none.csv", "No such file"],
        ),
        Mistake(
            "another machine",
            "config: { target: \"http://example.com\" }\nscenarios: []\n".into(),
            ":1:19",
            &["not on this machine", "--allow-remote"],
        ),
        Mistake(
            "another machine in a step",
            flow("      - get: { url: \"http://192.0.2.1/\" }\n"),
            ":5:21",
            &["not on this machine"],
        ),
        Mistake(
            "a connection in the middle",
            format!(
                "{HEAD}scenarios:\n  - engine: ws\n    flow:\n      - think: 1\n      - connect: \"ws://127.0.0.1/\"\n"
            ),
            ":7:9",
            &["must be the first step"],
        ),
    ]
}

#[test]
fn each_mistake_is_one_error_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.yml");
    for Mistake(name, text, place, says) in mistakes() {
        std::fs::write(&script, &text).unwrap();
        let error = load(&Options { scripts: vec![script.clone()], ..Options::default() }).map(|_| ()).expect_err(name);
        assert!(error.contains(&format!("script.yml{place}")), "{name}: not at {place}:\n{error}");
        for part in says {
            assert!(error.contains(part), "{name}: does not say {part:?}:\n{error}");
        }
        let line: usize = place[1..].split(':').next().unwrap().parse().unwrap();
        let line = text.lines().nth(line - 1).unwrap().trim();
        assert!(error.contains(line), "{name}: does not show {line:?}:\n{error}");
        assert_eq!(error.matches("error: ").count(), 1, "{name}: one error:\n{error}");
    }
}

#[test]
fn what_artillery_accepts_without_a_word_is_a_warning_with_its_traps() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.yml");
    std::fs::write(&script, config("  taget: 1\n")).unwrap();
    let options = Options { scripts: vec![script], as_artillery: true, ..Options::default() };
    let loaded = load(&options).unwrap();
    assert!(loaded.warnings.iter().any(|warning| warning.contains("unknown key `taget`")), "{:?}", loaded.warnings);
}

#[test]
fn a_variable_that_nothing_sets_is_a_warning_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.yml");
    let text = flow(
        "      - get: { url: \"/\", capture: { json: \"$.t\", as: \"token\" } }\n      - get: { url: \"/{{ tokn }}\" }\n",
    );
    std::fs::write(&script, text).unwrap();
    let loaded = load(&Options { scripts: vec![script], ..Options::default() }).unwrap();
    let warning = loaded.warnings.join("\n");
    assert!(warning.contains("nothing sets the variable `tokn`") && warning.contains("`token`"), "{warning}");
    assert!(warning.contains("script.yml:6:21"), "{warning}");
}

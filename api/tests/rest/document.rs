//! Completeness of the OpenAPI document, and a docs page without external requests.

use std::collections::BTreeSet;

use api::problem::{Code, Language};
use serde_json::{Map, Value};
use testing::Database;

use crate::service::Service;

/// What needs no access token.
const PUBLIC: [&str; 4] = ["sign_up", "log_in", "refresh", "restore_account"];
/// What needs none and is the same for everyone.
const CONSTANT: [&str; 3] = ["list_actions", "list_presets", "list_species"];
/// What needs none either.
const OPEN: [&str; 5] = ["list_meetups", "list_members", "list_comments", "get_meetup_calendar", "read_calendar_feed"];

fn document() -> Value {
    serde_json::from_str(&api::openapi_document()).expect("JSON")
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("no object: {value:#}"))
}

fn text<'a>(value: &'a Value, what: &str) -> &'a str {
    value.as_str().filter(|text| !text.trim().is_empty()).unwrap_or_else(|| panic!("{what} is missing: {value:#}"))
}

/// Follows `$ref` and the single `allOf` around one.
fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let target = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
    match target {
        Some(path) => document.pointer(path.trim_start_matches('#')).unwrap_or_else(|| panic!("dangling {path}")),
        None => schema,
    }
}

fn operations(document: &Value) -> Vec<(String, &Value)> {
    let mut all = Vec::new();
    for (path, item) in object(&document["paths"]) {
        for (method, operation) in object(item) {
            all.push((format!("{method} {path}"), operation));
        }
    }
    all
}

#[test]
fn the_committed_document_is_current() {
    let committed = include_str!("../../../openapi.json");
    let current = api::openapi_document();
    assert!(
        committed.trim_end() == current.trim_end(),
        "openapi.json is not what the code says: cargo run -- openapi > openapi.json"
    );
}

#[test]
fn every_operation_has_a_name_a_tag_a_summary_and_its_security() {
    let document = document();
    let tags: BTreeSet<&str> =
        document["tags"].as_array().expect("tags").iter().map(|tag| text(&tag["name"], "a tag's name")).collect();
    let mut ids = BTreeSet::new();
    let operations = operations(&document);
    assert!(operations.len() > 15, "the document was read");
    for (name, operation) in operations {
        let id = text(&operation["operationId"], &format!("{name}: operationId"));
        assert!(id.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}: {id}");
        assert!(ids.insert(id.to_owned()), "{name}: {id} is used twice");
        text(&operation["summary"], &format!("{name}: summary"));
        let of: Vec<&str> = operation["tags"].as_array().expect("tags").iter().filter_map(Value::as_str).collect();
        assert!(of.len() == 1 && tags.contains(of[0]), "{name}: tags {of:?}");
        let secured =
            operation["security"].as_array().is_some_and(|all| all.iter().any(|s| s.get("access_token").is_some()));
        let public = PUBLIC.contains(&id) || CONSTANT.contains(&id) || OPEN.contains(&id);
        assert_eq!(secured, !public, "{name}: access token");
        assert_eq!(operation["responses"].get("401").is_some(), secured || PUBLIC[1..].contains(&id), "{name}: 401");
    }
}

#[test]
fn every_operation_lists_its_responses() {
    let document = document();
    for (name, operation) in operations(&document) {
        let responses = object(&operation["responses"]);
        assert!(responses.keys().any(|status| status.starts_with('2')), "{name}: no success");
        for status in ["400", "500", "503"] {
            assert!(responses.contains_key(status), "{name}: {status}");
        }
        if operation.get("requestBody").is_some() {
            for status in ["413", "415"] {
                assert!(responses.contains_key(status), "{name}: {status}");
            }
        }
        for (status, response) in responses.iter().filter(|(status, _)| status.starts_with(['4', '5'])) {
            let description = text(&response["description"], &format!("{name}: {status}"));
            assert!(description.starts_with("`code`: "), "{name}: {status}: {description}");
            let content = object(&response["content"]);
            assert_eq!(content.keys().collect::<Vec<_>>(), ["application/problem+json"], "{name}: {status}");
        }
    }
}

#[test]
fn every_parameter_that_must_be_given_has_an_example() {
    let document: Value = serde_json::from_str(&api::server::openapi_document()).expect("JSON");
    let mut given = 0;
    for (path, operations) in object(&document["paths"]) {
        for (method, operation) in object(operations) {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let has_values = parameter["schema"].get("enum").is_some() || parameter["schema"].get("$ref").is_some();
                if parameter["required"] == true && !has_values {
                    let example = &parameter["schema"]["example"];
                    assert!(!example.is_null(), "{method} {path}: {} has no example", parameter["name"]);
                    given += 1;
                }
            }
        }
    }
    assert!(given > 30, "only {given}");
}

#[test]
fn every_body_has_an_example_that_is_of_its_schema() {
    let document = document();
    let mut checked = 0;
    for (name, operation) in operations(&document) {
        let request = operation.get("requestBody");
        let bodies = object(&operation["responses"]).values().chain(request);
        for body in bodies {
            let json = |(kind, media): (&String, _)| kind.starts_with("application/json").then_some(media);
            let Some(media) = body["content"].as_object().and_then(|all| all.iter().find_map(json)) else { continue };
            checked += 1;
            let schema = resolve(&document, &media["schema"]);
            // A list of things has their example.
            let item = resolve(&document, &schema["items"]);
            let (schema, example) =
                if schema["type"] == "array" { (item, &item["example"]) } else { (schema, &schema["example"]) };
            assert!(example.is_object(), "{name}: no example of {:#}", media["schema"]);
            for field in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                assert!(example.get(field).is_some(), "{name}: the example lacks {field}");
            }
            for field in object(example).keys() {
                assert!(schema["properties"].get(field).is_some(), "{name}: the example has {field}");
            }
        }
    }
    assert!(checked > 25, "only {checked} bodies were found");
}

#[test]
fn every_field_is_described() {
    let document = document();
    for (name, schema) in object(&document["components"]["schemas"]) {
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            let described =
                property["description"].is_string() || resolve(&document, property)["description"].is_string();
            assert!(described, "{name}.{field} has no description");
        }
    }
}

#[test]
fn every_error_code_is_in_the_document_for_people() {
    let document = include_str!("../../../docs/rest.md");
    let table = document.split("| code | status | meaning |").nth(1).expect("the table of codes");
    let rows: Vec<&str> = table.lines().skip(2).take_while(|line| line.starts_with("| `")).collect();
    let row = |code: &Code| {
        format!("| `{}` | {} | {} |", code.text(), code.status().as_u16(), code.detail(Language::English))
    };
    let expected: Vec<String> = Code::ALL.iter().map(row).collect();
    assert!(rows == expected, "the table of docs/rest.md should be:\n{}", expected.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn docs_page_makes_no_external_request() {
    let service = Service::start(Database::Sqlite).await;
    let client = reqwest::Client::new();
    for path in ["/docs", "/docs/"] {
        let answer = service.send(client.get(format!("http://{}{path}", service.address))).await;
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.headers["content-security-policy"].to_str().expect("a text").to_owned();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("http"), "{policy}");
        let page = answer.body.as_str().expect("a page").to_owned();
        assert!(page.contains("\"operationId\": \"log_in\""), "the document is in the page");
        for changed in ["<!doctype html>", "<title>Mingizuk API</title>", "tryItOutEnabled: true"] {
            assert!(page.contains(changed), "the page of Swagger UI has another form now: {changed}");
        }
        // Whatever a browser would fetch by itself comes with the page.
        for loads in ["<link", "src=\"http", "src='http", "@import", "url(http", "url(\"http"] {
            let script_end = page.find("</script>").expect("a script");
            let markup = format!("{}{}", &page[..page.find("<script").expect("a script")], &page[script_end..]);
            assert!(!markup.contains(loads), "the page loads something: {loads}");
        }
    }
    let answer = service.send(client.get(format!("http://{}/api/v1/openapi.json", service.address))).await;
    assert_eq!(answer.expect(200), document());
}

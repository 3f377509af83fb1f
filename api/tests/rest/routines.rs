//! Actions, presets and routines.

use reqwest::Method;
use serde_json::{Value, json};
use testing::Database;

use crate::service::{Service, User};

testing::on_each_database!(
    a_routine_is_made_edited_and_deleted,
    one_routine_may_be_the_main_one,
    a_routine_is_its_owners_alone,
    a_hundred_routines_are_listed_page_by_page_and_no_more_are_made,
);

fn texts(list: &Value, field: &str) -> Vec<String> {
    let items = list.as_array().expect("a list").iter();
    items.map(|item| item[field].as_str().expect("a text").to_owned()).collect()
}

async fn make(service: &Service, user: &User, name: &str) -> String {
    let body = json!({"name": name, "actions": [{"action_id": "squat", "repetitions": 10}]});
    service.post("/routines", user, body).await.expect(201)["id"].as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_is_open_to_everyone() {
    let service = Service::start(Database::Sqlite).await;
    let actions = service.call(Method::GET, "/actions", None, None).await.expect(200);
    assert_eq!(actions["items"].as_array().map(Vec::len), Some(18));
    let first =
        json!({"id": "sit-to-stand", "name_ko": "앉았다 일어나기", "name_en": "Sit to stand", "kind": "stretching"});
    assert_eq!(actions["items"][0], first);
    let presets = service.call(Method::GET, "/presets", None, None).await.expect(200);
    assert_eq!(texts(&presets["items"][1]["actions"], "name"), ["스쿼트", "런지", "플랭크", "푸쉬업"]);
}

async fn a_routine_is_made_edited_and_deleted(database: Database) {
    let service = Service::start(database).await;
    let mingi = service.sign_up("밍기").await;
    let preset = service.post("/routines", &mingi, json!({"preset_id": "basic"})).await.expect(201);
    assert_eq!(preset["actions"].as_array().map(Vec::len), Some(5));
    let own = json!({"name": " 점심 Ten ", "actions": [
        {"name": "계단 오르기", "kind": "strength", "repetitions": 3}, {"action_id": "plank", "repetitions": 1},
        {"action_id": "plank", "repetitions": 1}]});
    let own = service.post("/routines", &mingi, own).await.expect(201);
    let id = own["id"].as_str().expect("an id");
    assert_eq!((&own["name"], &own["main"]), (&json!("점심 Ten"), &json!(false)));
    assert_eq!(own["actions"][0], json!({"name": "계단 오르기", "kind": "strength", "repetitions": 3}));
    assert_eq!(own["actions"][1]["name"], "플랭크");

    let again = json!({"name": "점심 TEN", "actions": [{"action_id": "squat", "repetitions": 10}]});
    service.post("/routines", &mingi, again.clone()).await.refused(409, "routine_name_taken");
    let edited = service.put(&format!("/routines/{id}"), &mingi, Some(again)).await.expect(200);
    assert_eq!((&edited["id"], &edited["name"]), (&own["id"], &json!("점심 TEN")));
    let taken = json!({"name": preset["name"], "actions": [{"action_id": "squat", "repetitions": 10}]});
    service.put(&format!("/routines/{id}"), &mingi, Some(taken)).await.refused(409, "routine_name_taken");
    assert_eq!(service.get(&format!("/routines/{id}"), &mingi).await.expect(200), edited);

    service.delete(&format!("/routines/{id}"), &mingi).await.expect(204);
    service.delete(&format!("/routines/{id}"), &mingi).await.refused(404, "not_found");
    let left = service.get("/routines", &mingi).await.expect(200);
    assert_eq!(left["items"], json!([preset]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_routine_is_said() {
    let service = Service::start(Database::Sqlite).await;
    let mingi = service.sign_up("밍기").await;
    let long = json!({"name": "가".repeat(31), "actions": [{"action_id": "squat", "repetitions": 0}]});
    let refused = service.post("/routines", &mingi, long).await.refused(400, "invalid_input");
    assert_eq!(texts(&refused["errors"], "field"), ["name", "actions[0].repetitions"]);
    for body in [json!({}), json!({"preset_id": "none"}), json!({"name": "a", "actions": []}), json!({"x": 1})] {
        service.post("/routines", &mingi, body).await.refused(400, "invalid_input");
    }
}

async fn one_routine_may_be_the_main_one(database: Database) {
    let service = Service::start(database).await;
    let (mingi, other) = (service.sign_up("밍기").await, service.sign_up("무너").await);
    let (first, second) = (make(&service, &mingi, "하나").await, make(&service, &mingi, "둘").await);
    let mains = async || {
        let list = service.get("/routines", &mingi).await.expect(200);
        let items = list["items"].as_array().expect("items").clone();
        items.iter().map(|item| item["main"] == true).collect::<Vec<_>>()
    };
    for (chosen, expected) in [(Some(&first), [true, false]), (Some(&second), [false, true]), (None, [false, false])] {
        service.put("/me/main-routine", &mingi, Some(json!({"routine_id": chosen}))).await.expect(204);
        assert_eq!(mains().await, expected);
    }
    service.put("/me/main-routine", &mingi, Some(json!({}))).await.refused(400, "invalid_input");
    service.put("/me/main-routine", &other, Some(json!({"routine_id": first}))).await.refused(404, "not_found");
    // A main routine that is deleted is the main one no more.
    service.put("/me/main-routine", &mingi, Some(json!({"routine_id": first}))).await.expect(204);
    service.delete(&format!("/routines/{first}"), &mingi).await.expect(204);
    assert_eq!(mains().await, [false]);
}

async fn a_routine_is_its_owners_alone(database: Database) {
    let service = Service::start(database).await;
    let (mingi, other) = (service.sign_up("밍기").await, service.sign_up("무너").await);
    let path = format!("/routines/{}", make(&service, &mingi, "내 것").await);
    let body = json!({"name": "남의 것", "actions": [{"action_id": "squat", "repetitions": 10}]});
    service.get(&path, &other).await.refused(404, "not_found");
    service.put(&path, &other, Some(body)).await.refused(404, "not_found");
    service.delete(&path, &other).await.refused(404, "not_found");
    service.get("/routines/none", &other).await.refused(404, "not_found");
    assert_eq!(service.get("/routines", &other).await.expect(200)["items"], json!([]));
    assert_eq!(service.get(&path, &mingi).await.expect(200)["name"], "내 것");
}

async fn a_hundred_routines_are_listed_page_by_page_and_no_more_are_made(database: Database) {
    let service = Service::start(database).await;
    let mingi = service.sign_up("밍기").await;
    for number in 0..99 {
        make(&service, &mingi, &format!("{number}번")).await;
    }
    let body = |number: usize| json!({"name": format!("끝 {number}"), "preset_id": "strong"});
    let answers =
        futures_util::future::join_all((0..8).map(|number| service.post("/routines", &mingi, body(number)))).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!((made.len(), refused.len()), (1, 7));
    for answer in refused {
        answer.refused(409, "too_many_routines");
    }
    let (mut names, mut path) = (Vec::new(), "/routines?limit=33".to_owned());
    loop {
        let page = service.get(&path, &mingi).await.expect(200);
        names.extend(texts(&page["items"], "name"));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/routines?limit=33&cursor={cursor}");
    }
    assert_eq!(names.len(), 100);
    assert_eq!((names[0].as_str(), names[98].as_str()), ("0번", "98번"));
}

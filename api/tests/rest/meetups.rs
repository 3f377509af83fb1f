//! Meetups and their members.

use reqwest::Method;
use serde_json::{Value, json};
use testing::Database;

use crate::service::{Service, User};

testing::on_each_database!(
    a_meetup_says_how_the_caller_stands_to_it,
    opening_makes_the_host_its_first_member_and_everyone_can_find_it,
    the_list_goes_on_where_it_was_while_meetups_come,
    who_joins_a_full_meetup_waits_and_moves_up_when_someone_leaves,
);

/// A meetup an hour from the tests' start, for two hours.
pub(crate) fn new_meetup() -> Value {
    json!({
        "title": "점심 스트레칭",
        "description": "같이 움직여요",
        "place": {
            "name": "서울숲", "road_address": "서울 성동구 뚝섬로 273", "lot_address": "",
            "latitude": 37.5444, "longitude": 127.0374,
            "region": {"sido": "서울특별시", "sigungu": "성동구", "code": "1120011400"},
        },
        "starts_at": "2026-03-01T01:00:00Z",
        "ends_at": "2026-03-01T03:00:00Z",
    })
}

/// Opens a meetup of `capacity` places and returns its path.
pub(crate) async fn open(service: &Service, host: &User, capacity: Option<u32>) -> String {
    let mut new = new_meetup();
    new["capacity"] = json!(capacity);
    let meetup = service.post("/meetups", host, new).await.expect(201);
    format!("/meetups/{}", meetup["id"].as_str().expect("an id"))
}

async fn members(service: &Service, meetup: &str) -> Vec<String> {
    let page = service.call(Method::GET, &format!("{meetup}/members"), None, None).await.expect(200);
    let nickname = |item: &Value| item["user"]["nickname"].as_str().expect("a nickname").to_owned();
    page["items"].as_array().expect("items").iter().map(nickname).collect()
}

async fn a_meetup_says_how_the_caller_stands_to_it(database: Database) {
    let service = Service::start(database).await;
    let [host, first, waiting] =
        [service.sign_up("밍기").await, service.sign_up("무너").await, service.sign_up("몽실").await];
    let meetup = open(&service, &host, Some(2)).await;
    let mine = async |user: &User| service.get(&meetup, user).await.expect(200)["mine"].clone();
    assert_eq!(mine(&first).await, json!({"liked": false}));
    for user in [&first, &waiting] {
        service.put(&format!("{meetup}/membership"), user, None).await.expect(200);
    }
    service.put(&format!("{meetup}/like"), &waiting, None).await.expect(200);
    for (user, state, liked) in [(&host, "member", false), (&first, "member", false), (&waiting, "waiting", true)] {
        let mine = mine(user).await;
        assert_eq!((&mine["membership"]["state"], &mine["liked"]), (&json!(state), &json!(liked)), "{mine}");
    }
    let removed = format!("{meetup}/members/{}", first.id);
    service.delete(&removed, &host).await.expect(204);
    assert_eq!(mine(&first).await, json!({"liked": false}));
    // Whoever has a token that is not valid would miss it.
    service.call(Method::GET, &meetup, Some("nonsense"), None).await.refused(401, "unauthenticated");
    service.clock.advance(std::time::Duration::from_secs(3600));
    service.get(&meetup, &host).await.refused(401, "token_expired");
}

async fn opening_makes_the_host_its_first_member_and_everyone_can_find_it(database: Database) {
    let service = Service::start(database).await;
    let host = service.sign_up("밍기").await;
    let meetup = service.post("/meetups", &host, new_meetup()).await.expect(201);
    assert_eq!((meetup["state"].as_str(), meetup["member_count"].as_i64()), (Some("upcoming"), Some(1)));
    assert_eq!(meetup["host"]["nickname"], "밍기");
    let path = format!("/meetups/{}", meetup["id"].as_str().expect("an id"));
    assert_eq!(service.call(Method::GET, &path, None, None).await.expect(200), meetup);
    assert_eq!(members(&service, &path).await, ["밍기"]);
    let mut wrong = new_meetup();
    wrong["ends_at"] = json!("2026-03-01T00:30:00Z");
    wrong["place"]["region"]["code"] = json!("11");
    let problem = service.post("/meetups", &host, wrong).await.refused(400, "invalid_input");
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(2), "{problem:#}");
    service.call(Method::POST, "/meetups", None, Some(new_meetup())).await.refused(401, "unauthenticated");
    let nowhere = "/meetups/00000000-0000-0000-0000-000000000009";
    service.call(Method::GET, nowhere, None, None).await.refused(404, "not_found");
    service.call(Method::GET, "/meetups/nonsense", None, None).await.refused(404, "not_found");
}

async fn the_list_goes_on_where_it_was_while_meetups_come(database: Database) {
    let service = Service::start(database).await;
    let host = service.sign_up("밍기").await;
    let mut paths = Vec::new();
    for _ in 0..5 {
        paths.push(open(&service, &host, None).await);
    }
    let list = async |query: String| service.call(Method::GET, &format!("/meetups?{query}"), None, None).await;
    let first = list("limit=2".to_owned()).await.expect(200);
    open(&service, &host, None).await;
    let cursor = first["next_cursor"].as_str().expect("a cursor");
    let second = list(format!("limit=3&cursor={cursor}")).await.expect(200);
    assert_eq!(second.get("next_cursor"), None);
    let items = |page: &Value| page["items"].as_array().expect("items").clone();
    let seen: Vec<String> = [items(&first), items(&second)]
        .concat()
        .iter()
        .map(|item| format!("/meetups/{}", item["id"].as_str().expect("an id")))
        .collect();
    paths.reverse();
    assert_eq!(seen, paths);
    for query in ["limit=0", "limit=51", "limit=x", "cursor=nonsense", "limit=1&limit=2", "limit=1&%6cimit=2"] {
        list(query.to_owned()).await.refused(400, "invalid_input");
    }
}

async fn who_joins_a_full_meetup_waits_and_moves_up_when_someone_leaves(database: Database) {
    let service = Service::start(database).await;
    let [host, second, third, fourth] = [
        service.sign_up("밍기").await,
        service.sign_up("둘").await,
        service.sign_up("셋").await,
        service.sign_up("넷").await,
    ];
    let meetup = open(&service, &host, Some(2)).await;
    let membership = format!("{meetup}/membership");
    let join = async |user: &User| service.put(&membership, user, None).await.expect(200)["state"].clone();
    assert_eq!(join(&second).await, "member");
    assert_eq!(join(&third).await, "waiting");
    assert_eq!(join(&fourth).await, "waiting");
    assert_eq!(join(&second).await, "member", "joining twice is the same as once");
    assert_eq!(join(&third).await, "waiting");
    service.delete(&membership, &fourth).await.expect(204);
    service.delete(&membership, &second).await.expect(204);
    service.delete(&membership, &second).await.expect(204);
    assert_eq!(members(&service, &meetup).await, ["밍기", "셋"]);
    let meetup_now = service.call(Method::GET, &meetup, None, None).await.expect(200);
    assert_eq!((meetup_now["member_count"].as_i64(), meetup_now["waiting_count"].as_i64()), (Some(2), Some(0)));
    service.delete(&membership, &host).await.refused(409, "host_cannot_leave");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_joins_what_is_over() {
    let service = Service::start(Database::Sqlite).await;
    let [host, late] = [service.sign_up("밍기").await, service.sign_up("늦은이").await];
    let meetup = open(&service, &host, None).await;
    service.clock.set("2026-03-01T02:59:59.999Z".parse().expect("a time"));
    let state = service.call(Method::GET, &meetup, None, None).await.expect(200)["state"].clone();
    assert_eq!(state, "ongoing");
    service.clock.set("2026-03-01T03:00:00Z".parse().expect("a time"));
    // Access tokens live for 15 minutes, so they log in again.
    let token = service.backends.tokens.issue(
        late.id.parse().expect("an id"),
        uuid::Uuid::nil(),
        std::time::Duration::from_secs(60),
    );
    let late = User { token: token.expect("a token"), ..late };
    service.put(&format!("{meetup}/membership"), &late, None).await.refused(409, "meetup_over");
}

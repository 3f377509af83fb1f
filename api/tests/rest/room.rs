//! A meetup's room over REST.

use serde_json::{Value, json};
use testing::Database;

use crate::{
    meetups::open,
    service::{Service, User},
};

testing::on_each_database!(
    members_talk_and_page_through_what_was_said,
    the_host_sets_replaces_and_clears_the_notice,
    members_see_who_is_there,
);

/// Waits until the outbox has told the room's log of everything that was committed.
async fn settle(service: &Service) {
    service.backends.relay.drain().await.expect("relayed");
}

fn kinds(page: &Value) -> Vec<&str> {
    page["items"].as_array().expect("items").iter().map(|item| item["type"].as_str().expect("a type")).collect()
}

async fn members_talk_and_page_through_what_was_said(database: Database) {
    let service = Service::start(database).await;
    let [host, member, stranger] =
        [service.sign_up("밍기").await, service.sign_up("몽실").await, service.sign_up("낯선이").await];
    let meetup = open(&service, &host, None).await;
    service.put(&format!("{meetup}/membership"), &member, None).await.expect(200);
    settle(&service).await;
    let messages = format!("{meetup}/messages");
    let say = async |user: &User, text: &str, nonce: &str| {
        service.post(&messages, user, json!({"text": text, "nonce": nonce})).await
    };
    let first = say(&host, "  안녕하세요 👋🏽 ", "a").await.expect(201);
    assert_eq!((first["seq"].as_u64(), first["duplicate"].as_bool()), (Some(2), Some(false)));
    let again = say(&host, "안녕하세요 👋🏽", "a").await.expect(200);
    assert_eq!((again["seq"].as_u64(), again["duplicate"].as_bool()), (Some(2), Some(true)));
    say(&member, "반가워요", "a").await.expect(201);
    let page = service.get(&messages, &member).await.expect(200);
    assert_eq!(kinds(&page), ["member", "message", "message"]);
    assert_eq!((page["items"][1]["text"].as_str(), page["head"].as_u64()), (Some("안녕하세요 👋🏽"), Some(3)));
    let before = service.get(&format!("{messages}?before=3&limit=1"), &member).await.expect(200);
    assert_eq!(before["items"], json!([page["items"][1]]));
    let after = service.get(&format!("{messages}?after=1&limit=1"), &member).await.expect(200);
    assert_eq!(after["items"], json!([page["items"][1]]));
    service.get(&format!("{messages}?after=1&before=2"), &member).await.refused(400, "invalid_input");
    service.get(&messages, &stranger).await.refused(403, "not_a_member");
    say(&stranger, "나도", "b").await.refused(403, "not_a_member");
    say(&host, &"가".repeat(1001), "c").await.refused(400, "invalid_input");
    say(&host, "x", "").await.refused(400, "invalid_input");
    service.get("/meetups/00000000-0000-0000-0000-000000000009/messages", &host).await.refused(404, "not_found");
}

async fn the_host_sets_replaces_and_clears_the_notice(database: Database) {
    let service = Service::start(database).await;
    let [host, member] = [service.sign_up("밍기").await, service.sign_up("몽실").await];
    let meetup = open(&service, &host, None).await;
    service.put(&format!("{meetup}/membership"), &member, None).await.expect(200);
    let notice = format!("{meetup}/notice");
    service.get(&notice, &member).await.expect(204);
    let set = async |user: &User, text: &str| service.put(&notice, user, Some(json!({"text": text}))).await;
    set(&host, "준비물: 수건").await.expect(200);
    set(&host, "준비물: 매트").await.expect(200);
    let seen = service.get(&notice, &member).await.expect(200);
    assert_eq!((seen["text"].as_str(), seen["user"]["nickname"].as_str()), (Some("준비물: 매트"), Some("밍기")));
    set(&member, "내 공지").await.refused(403, "not_the_host");
    service.delete(&notice, &member).await.refused(403, "not_the_host");
    set(&host, &"가".repeat(501)).await.refused(400, "invalid_input");
    service.delete(&notice, &host).await.expect(204);
    service.delete(&notice, &host).await.expect(204);
    service.get(&notice, &member).await.expect(204);
    settle(&service).await;
    let page = service.get(&format!("{meetup}/messages"), &member).await.expect(200);
    let notices = kinds(&page).into_iter().filter(|kind| *kind == "notice").count();
    assert_eq!(notices, 3, "clearing nothing adds nothing: {page:#}");
}

async fn members_see_who_is_there(database: Database) {
    let service = Service::start(database).await;
    let [host, stranger] = [service.sign_up("밍기").await, service.sign_up("낯선이").await];
    let meetup = open(&service, &host, None).await;
    let presence = format!("{meetup}/presence");
    assert_eq!(service.get(&presence, &host).await.expect(200), json!({"online": 0, "people": []}));
    let room = meetup.trim_start_matches("/meetups/").parse().expect("an id");
    let person = wire::Person { id: host.id.parse().expect("an id"), nickname: "밍기".to_owned() };
    for _ in 0..2 {
        service.backends.rooms.enter(room, &person, uuid::Uuid::now_v7()).await.expect("entered");
    }
    let expected = json!({"online": 1, "people": [{"id": host.id, "nickname": "밍기"}]});
    assert_eq!(service.get(&presence, &host).await.expect(200), expected);
    service.get(&presence, &stranger).await.refused(403, "not_a_member");
}

//! Comments on meetups.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use testing::Database;

use crate::{meetups::open, service::Service};

testing::on_each_database!(comments_are_written_edited_and_deleted_by_whom_they_may,);

fn texts(page: &Value) -> Vec<&str> {
    page["items"].as_array().expect("items").iter().filter_map(|item| item["text"].as_str()).collect()
}

async fn comments_are_written_edited_and_deleted_by_whom_they_may(database: Database) {
    let service = Service::start(database).await;
    let (host, guest, other) =
        (service.sign_up("밍기").await, service.sign_up("무너").await, service.sign_up("몽실이").await);
    let meetup = open(&service, &host, None).await;
    let path = format!("{meetup}/comments");
    let mut ids = Vec::new();
    for text in ["하나", "둘 👋", "셋"] {
        let comment = service.post(&path, &guest, json!({"text": format!("  {text} ")})).await.expect(201);
        assert_eq!((&comment["text"], &comment["user"]["nickname"]), (&json!(text), &json!("무너")));
        ids.push(format!("/comments/{}", comment["id"].as_str().expect("an id")));
    }
    for (text, code) in [("", "empty"), (&*"가".repeat(201), "too_long")] {
        let refused = service.post(&path, &guest, json!({"text": text})).await.refused(400, "invalid_input");
        assert_eq!(refused["errors"][0], json!({"field": "text", "code": code}));
    }
    service.post(&path, &guest, json!({"text": "가".repeat(200)})).await.expect(201);
    let first = service.call(Method::GET, &format!("{path}?limit=2"), None, None).await.expect(200);
    let cursor = first["next_cursor"].as_str().expect("a cursor");
    let second = service.call(Method::GET, &format!("{path}?cursor={cursor}"), None, None).await.expect(200);
    assert_eq!(texts(&second), ["둘 👋", "하나"]);

    service.patch(&ids[0], &other, json!({"text": "x"})).await.refused(403, "not_the_author");
    service.patch(&ids[0], &host, json!({"text": "x"})).await.refused(403, "not_the_author");
    let edited = service.patch(&ids[0], &guest, json!({"text": "하나!"})).await.expect(200);
    assert_eq!(edited["text"], "하나!");
    service.delete(&ids[0], &other).await.refused(403, "not_the_author");
    service.delete(&ids[0], &guest).await.expect(204);
    service.delete(&ids[1], &host).await.expect(204);
    service.delete(&ids[1], &host).await.refused(404, "not_found");
    let count = async || service.call(Method::GET, &meetup, None, None).await.expect(200)["comment_count"].clone();
    assert_eq!(count().await, 2);
    let mine = service.get("/me/comments", &guest).await.expect(200);
    assert_eq!((texts(&mine)[1], &mine["items"][1]["meetup_title"]), ("셋", &json!("점심 스트레칭")));
    let nowhere = "/meetups/00000000-0000-0000-0000-000000000009/comments";
    service.post(nowhere, &guest, json!({"text": "x"})).await.refused(404, "not_found");
    service.call(Method::GET, nowhere, None, None).await.refused(404, "not_found");

    // Everyone at once, and the same comment deleted by two.
    let written =
        join_all((0..20).map(|_| async { service.post(&path, &other, json!({"text": "!"})).await.expect(201) })).await;
    let id = format!("/comments/{}", written[0]["id"].as_str().expect("an id"));
    let deleted = join_all([&other, &host].map(|user| service.delete(&id, user))).await;
    assert_eq!(deleted.iter().filter(|answer| answer.status == 204).count(), 1);
    assert_eq!(count().await, 21);
}

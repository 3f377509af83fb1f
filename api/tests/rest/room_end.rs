//! Rooms of meetups that are over: closing entry, read-only, and retired 30 days later.

use std::time::Duration;

use api::{
    context::Context,
    jobs::{self, Job},
    room::end::KEPT,
};
use common::{config::RoomStoreKind, db::sql};
use serde_json::{Value, json};
use testing::Database;
use tokio_util::sync::CancellationToken;

use crate::{
    meetups::open,
    service::{Service, User},
};

testing::on_each_database!(a_room_is_told_that_its_meetup_is_over_and_closed_for_good_thirty_days_later);

const DAY: Duration = Duration::from_secs(86_400);

/// The types of the entries, with the reason of the one that says that the room is closed.
async fn entries(service: &Service, meetup: &str, user: &User) -> Vec<String> {
    let page = service.get(&format!("{meetup}/messages"), user).await.expect(200);
    let kind = |entry: &Value| match (entry["type"].as_str(), entry["reason"].as_str()) {
        (Some("closed"), Some(reason)) => format!("closed: {reason}"),
        (kind, _) => kind.unwrap_or_default().to_owned(),
    };
    page["items"].as_array().expect("items").iter().map(kind).collect()
}

async fn open_rooms(service: &Service) -> i64 {
    let count = sql("SELECT COUNT(*) FROM meetups WHERE room_retired_at IS NULL").scalar(&service.backends.db).await;
    count.expect("a count").unwrap_or(0)
}

async fn run(service: &Service, job: Job) {
    let cx = Context::new(service.backends.clone());
    jobs::run(&cx, job, &CancellationToken::new()).await;
    service.backends.relay.drain().await.expect("relayed");
}

async fn a_room_is_told_that_its_meetup_is_over_and_closed_for_good_thirty_days_later(database: Database) {
    let on_redis = database == Database::MySql;
    let service = Service::start_with(database, |config| {
        config.jobs = false;
        config.access_token_ttl = KEPT * 2;
        if on_redis {
            config.redis_url = Some(testing::redis_url());
            config.room_store = Some(RoomStoreKind::Redis);
        }
    })
    .await;
    let host = service.sign_up("밍기").await;
    let meetup = open(&service, &host, None).await;
    let ends = service.get(&meetup, &host).await.expect(200)["ends_at"].clone();
    let ends: common::time::Timestamp = serde_json::from_value(ends).expect("a time");
    service.post(&format!("{meetup}/messages"), &host, json!({"text": "안녕", "nonce": "1"})).await.expect(201);

    service.clock.set(ends - Duration::from_millis(1));
    run(&service, Job::TellEnded).await;
    assert_eq!(entries(&service, &meetup, &host).await, ["message"]);
    service.clock.set(ends);
    for _ in 0..2 {
        run(&service, Job::TellEnded).await;
        service.clock.advance(Duration::from_secs(60));
    }
    let told = ["message", "closed: ended"];
    assert_eq!(entries(&service, &meetup, &host).await, told);
    let say = json!({"text": "아직", "nonce": "2"});
    service.post(&format!("{meetup}/messages"), &host, say).await.refused(409, "room_read_only");

    service.clock.set(ends + KEPT - DAY);
    run(&service, Job::RetireRooms).await;
    assert_eq!(open_rooms(&service).await, 1);
    service.clock.set(ends + KEPT);
    run(&service, Job::RetireRooms).await;
    assert_eq!(open_rooms(&service).await, 0);
    let closed: Option<i64> = sql("SELECT COUNT(*) FROM rooms WHERE closed_at IS NOT NULL")
        .scalar(&service.backends.db)
        .await
        .expect("a count");
    assert_eq!(closed, Some(1));
    assert_eq!(entries(&service, &meetup, &host).await, told);
}

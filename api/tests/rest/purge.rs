//! Purge of an account, checked against every table of the schema.

use std::time::Duration;

use api::{
    context::Context,
    jobs::{self, Job},
};
use common::db::sql;
use serde_json::json;
use testing::{Database, RoomLog, redis_url};
use tokio_util::sync::CancellationToken;

use crate::{
    me::{log_in, open_meetup, sign_up, work_out},
    schema,
    service::{Service, user_of},
};

testing::on_each_room_log!(a_purge_leaves_nothing_of_a_person_but_what_they_said);

const DAY: Duration = Duration::from_secs(86_400);

async fn a_purge_leaves_nothing_of_a_person_but_what_they_said(log: RoomLog) {
    let database = if log == RoomLog::Sqlite { Database::Sqlite } else { Database::MySql };
    let redis = (log == RoomLog::Redis).then(redis_url);
    let service = Service::start_with(database, |config| {
        config.redis_url = redis;
        config.jobs = false;
    })
    .await;
    let (cx, stop) = (Context::new(service.backends.clone()), CancellationToken::new());
    let mingi = sign_up(&service, "gone@example.com", "사라질사람").await;
    let host = sign_up(&service, "host@example.com", "무너").await;
    let waiting = service.sign_up("몽실이").await;
    let past = open_meetup(&service, &mingi, 1).await;
    let joined = open_meetup(&service, &host, 90).await;
    for (meetup, user) in [(&past, &host), (&joined, &mingi), (&joined, &waiting)] {
        service.put(&format!("/meetups/{meetup}/membership"), user, None).await.expect(200);
    }
    for meetup in [&past, &joined] {
        let message = json!({"text": "안녕하세요", "nonce": "n-1"});
        service.post(&format!("/meetups/{meetup}/messages"), &mingi, message).await.expect(201);
    }
    work_out(&service, &mingi).await;
    service.backends.relay.drain().await.expect("relayed");
    let db = &service.backends.db;
    let filled = schema::fill(db, mingi.id.parse().expect("an id"), joined.parse().expect("an id")).await;
    assert!(filled > 8, "the schema was read");
    service.clock.advance(DAY * 2);
    let mingi = user_of(&log_in(&service, "gone@example.com", "stretch2gether").await.expect(200));
    service.delete("/me", &mingi).await.expect(204);
    log_in(&service, "gone@example.com", "stretch2gether").await.refused(403, "account_withdrawn");

    // Withdrawn on 3 March: still there on 3 April at midnight, gone a day later.
    service.clock.set("2026-04-03T00:00:00+09:00".parse().expect("a time"));
    assert!(jobs::run(&cx, Job::PurgeWithdrawn, &stop).await);
    log_in(&service, "gone@example.com", "stretch2gether").await.refused(403, "account_withdrawn");
    service.clock.set("2026-04-04T00:00:00+09:00".parse().expect("a time"));
    let ran = futures_util::future::join_all((0..3).map(|_| jobs::run(&cx, Job::PurgeWithdrawn, &stop))).await;
    assert_eq!(ran.iter().filter(|ran| **ran).count(), 1, "one process runs it");
    log_in(&service, "gone@example.com", "stretch2gether").await.refused(401, "wrong_credentials");

    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02X}")).collect::<String>();
    let id = mingi.id.replace('-', "").to_uppercase();
    for trace in [id, hex(&mingi.id), hex("gone@example.com"), hex("사라질사람")] {
        let left: Vec<_> = schema::everything(db).await;
        assert!(left.len() > 20, "the schema was read");
        let left: Vec<_> = left.iter().filter(|(_, _, value)| value.contains(&trace)).collect();
        assert_eq!(left, Vec::<&(String, String, String)>::new());
    }

    // What they said stays, from a person who is no more; their place went to whoever waited.
    let host = user_of(&log_in(&service, "host@example.com", "stretch2gether").await.expect(200));
    for meetup in [&past, &joined] {
        let log = service.get(&format!("/meetups/{meetup}/messages"), &host).await.expect(200).to_string();
        assert!(log.contains("안녕하세요") && log.contains("탈퇴한 회원"), "{log}");
        assert!(!log.contains("사라질사람"), "{log}");
    }
    let past = service.get(&format!("/meetups/{past}"), &host).await.expect(200);
    assert_eq!((&past["host"]["nickname"], &past["member_count"]), (&json!("탈퇴한 회원"), &json!(1)));
    let joined = service.get(&format!("/meetups/{joined}"), &host).await.expect(200);
    assert_eq!((&joined["member_count"], &joined["waiting_count"]), (&json!(2), &json!(0)));
    let run: (String,) = sql("SELECT outcome FROM job_runs WHERE job = 'purge_withdrawn' ORDER BY due_at DESC")
        .one(db)
        .await
        .expect("a record");
    assert_eq!(run.0, "purged 1 accounts");
}

//! Scheduled jobs: each runs once for each due time, even when processes die.

use std::time::Duration;

use api::{
    context::Context,
    jobs::{self, Job, store},
};
use common::{
    bootstrap::{Backends, Shape},
    db::sql,
    time::{Clock, Timestamp},
};
use testing::Database;
use tokio_util::sync::CancellationToken;

use crate::service::Service;

testing::on_each_database!(
    of_many_processes_one_runs_a_job,
    a_run_that_died_with_its_process_is_made_up_for,
    a_process_that_stops_leaves_its_run_to_the_others_at_once,
    a_purge_that_fails_is_tried_again_and_the_account_stays_shut,
);

/// What is recorded of the latest run.
async fn latest(service: &Service) -> (bool, Option<String>) {
    let row: (Option<Timestamp>, Option<String>) =
        sql("SELECT finished_at, outcome FROM job_runs ORDER BY started_at DESC LIMIT 1")
            .one(&service.backends.db)
            .await
            .expect("a record");
    (row.0.is_some(), row.1)
}

/// A service that leaves jobs to the test.
async fn start(database: Database) -> (Service, Context, CancellationToken) {
    let service = Service::start_with(database, |config| config.jobs = false).await;
    let cx = Context::new(service.backends.clone());
    (service, cx, CancellationToken::new())
}

async fn of_many_processes_one_runs_a_job(database: Database) {
    let (service, cx, stop) = start(database).await;
    let mut processes = vec![cx];
    for _ in 0..3 {
        let (config, env) = (service.backends.config.as_ref().clone(), service.backends.env.clone());
        let other = Backends::connect(config, Shape::AllInOne, env).await.expect("another process");
        processes.push(Context::new(other));
    }
    for _ in 0..5 {
        let runs = processes.iter().map(|cx| jobs::run(cx, Job::CleanUp, &stop));
        let ran = futures_util::future::join_all(runs).await;
        assert_eq!(ran.into_iter().filter(|ran| *ran).count(), 1);
        assert_eq!(latest(&service).await, (true, Some("removed 0 rows".to_owned())));
        service.clock.advance(Duration::from_secs(3600));
    }
}

async fn a_run_that_died_with_its_process_is_made_up_for(database: Database) {
    let (service, cx, stop) = start(database).await;
    let (db, due) = (&service.backends.db, Job::CleanUp.schedule().latest_due(service.clock.now()));
    let claim = || store::claim(db, &service.backends.env, Job::CleanUp.name(), due);
    let dead = claim().await.expect("a claim").expect("the first one");
    assert!(!jobs::run(&cx, Job::CleanUp, &stop).await, "it belongs to a process that may live");
    service.clock.advance(store::LEASE / 2);
    assert!(dead.renew(db, service.clock.now()).await.expect("an answer"), "it lives");
    service.clock.advance(store::LEASE - Duration::from_millis(1));
    assert!(!jobs::run(&cx, Job::CleanUp, &stop).await, "it may live still");
    service.clock.advance(Duration::from_millis(1));
    assert!(jobs::run(&cx, Job::CleanUp, &stop).await, "it is dead");
    assert_eq!(latest(&service).await, (true, Some("removed 0 rows".to_owned())));
    // It was not dead but very slow: it learns that it is not its run any more, and cannot change the record.
    assert!(!dead.renew(db, service.clock.now()).await.expect("an answer"));
    dead.give_back(db, service.clock.now(), "too late").await.expect("an answer");
    assert_eq!(latest(&service).await, (true, Some("removed 0 rows".to_owned())));
    assert!(claim().await.expect("an answer").is_none(), "it is done");
}

async fn a_process_that_stops_leaves_its_run_to_the_others_at_once(database: Database) {
    let (service, cx, stop) = start(database).await;
    let stopped = CancellationToken::new();
    stopped.cancel();
    // The job may be done before it is stopped.
    while {
        assert!(jobs::run(&cx, Job::CleanUp, &stopped).await);
        latest(&service).await.0
    } {
        service.clock.advance(Duration::from_secs(3600));
    }
    assert_eq!(latest(&service).await, (false, Some("the process stopped".to_owned())));
    assert!(jobs::run(&cx, Job::CleanUp, &stop).await);
    assert_eq!(latest(&service).await, (true, Some("removed 0 rows".to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_missed_runs_at_the_next_start() {
    let service = Service::start_with(Database::Sqlite, |config| config.jobs = true).await;
    let recorded = async {
        loop {
            let count: Option<i64> = sql("SELECT COUNT(*) FROM job_runs WHERE finished_at IS NOT NULL")
                .scalar(&service.backends.db)
                .await
                .expect("a count");
            if count == i64::try_from(Job::ALL.len()).ok() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), recorded).await.expect("every job has run");
}

async fn a_purge_that_fails_is_tried_again_and_the_account_stays_shut(database: Database) {
    let (service, cx, stop) = start(database).await;
    let mingi = service.sign_up("밍기").await;
    let email: String = service.get("/me", &mingi).await.expect(200)["email"].as_str().expect("an email").to_owned();
    let log_in = async || {
        let body = serde_json::json!({"email": email, "password": "stretch2gether"});
        service.call(reqwest::Method::POST, "/auth/login", None, Some(body)).await
    };
    service.delete("/me", &mingi).await.expect(204);
    service.clock.set("2026-04-02T00:00:00+09:00".parse().expect("a time"));
    let token = log_in().await.refused(403, "account_withdrawn")["restore_token"].clone();
    // An entry of theirs that cannot be read: it cannot be made anonymous either.
    let db = &service.backends.db;
    let id: uuid::Uuid = mingi.id.parse().expect("an id");
    let room = uuid::Uuid::now_v7();
    sql("INSERT INTO rooms (id, epoch, head) VALUES (?, ?, 1)").bind(room).bind(room).run(db).await.expect("a room");
    sql(
        "INSERT INTO room_entries (room_id, epoch, seq, author_id, at, json, person_id) VALUES (?, ?, 1, ?, 0, '{', ?)",
    )
    .bind(room)
    .bind(room)
    .bind(id)
    .bind(id)
    .run(db)
    .await
    .expect("a damaged entry");
    assert!(jobs::run(&cx, Job::PurgeWithdrawn, &stop).await);
    assert_eq!(latest(&service).await, (false, Some("failed: 1 accounts could not be purged".to_owned())));
    // What was offered before it began is void: half of the account would come back.
    let restore = serde_json::json!({"restore_token": token});
    let restored = service.call(reqwest::Method::POST, "/auth/restore", None, Some(restore)).await;
    restored.refused(401, "bad_restore_token");
    log_in().await.refused(401, "wrong_credentials");

    sql("DELETE FROM room_entries WHERE room_id = ?").bind(room).run(db).await.expect("repaired");
    assert!(!jobs::run(&cx, Job::PurgeWithdrawn, &stop).await, "not at once");
    service.clock.advance(store::RETRY_AFTER);
    assert!(jobs::run(&cx, Job::PurgeWithdrawn, &stop).await);
    assert_eq!(latest(&service).await, (true, Some("purged 1 accounts".to_owned())));
    let left: Option<i64> = sql("SELECT COUNT(*) FROM users WHERE id = ?").bind(id).scalar(db).await.expect("a count");
    assert_eq!(left, Some(0));
}

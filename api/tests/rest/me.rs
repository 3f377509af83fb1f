//! The profile, the password, withdrawal, restoring, the purge and the export.

use std::time::Duration;

use api::{
    context::Context,
    jobs::{self, Job},
};
use common::{
    db::{Db, sql},
    rooms::SessionChange,
    testing::{Database, redis_url},
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    service::{Answer, Service, User, user_of},
    workouts::{begin, complete, routine},
};

const DAY: Duration = Duration::from_secs(86_400);

/// Someone who will log in again.
async fn sign_up(service: &Service, email: &str, nickname: &str) -> User {
    let body = json!({"email": email, "password": "stretch2gether", "nickname": nickname});
    user_of(&service.call(Method::POST, "/auth/signup", None, Some(body)).await.expect(201))
}

async fn log_in(service: &Service, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    service.call(Method::POST, "/auth/login", None, Some(body)).await
}

async fn refresh(service: &Service, user: &User) -> Answer {
    let body = json!({"refresh_token": user.refresh_token});
    service.call(Method::POST, "/auth/refresh", None, Some(body)).await
}

async fn restore(service: &Service, token: &Value) -> Answer {
    service.call(Method::POST, "/auth/restore", None, Some(json!({"restore_token": token}))).await
}

/// A meetup that begins `days` from now.
async fn open_meetup(service: &Service, host: &User, days: u32) -> String {
    let starts_at = common::time::Clock::now(&service.clock) + DAY * days;
    let body = json!({
        "title": "점심 스트레칭", "description": "같이 움직여요.",
        "place": {
            "name": "서울숲", "road_address": "서울 성동구 뚝섬로 273", "lot_address": "서울 성동구 성수동1가 678-1",
            "latitude": 37.5444, "longitude": 127.0374,
            "region": {"sido": "서울특별시", "sigungu": "성동구", "code": "1120011400"}
        },
        "starts_at": starts_at, "ends_at": starts_at + Duration::from_secs(3600), "capacity": 2
    });
    service.post("/meetups", host, body).await.expect(201)["id"].as_str().expect("an id").to_owned()
}

/// Something in every table of routines, workouts and monsters.
async fn work_out(service: &Service, user: &User) {
    service.post("/monsters", user, json!({})).await.expect(201);
    let routine = routine(service, user, "아침", 2).await;
    service.put("/me/main-routine", user, Some(json!({"routine_id": routine}))).await.expect(204);
    for _ in 0..2 {
        let workout = begin(service, user, &routine).await;
        complete(service, user, &workout, 2).await.expect(200);
        complete(service, user, &workout, 1).await.expect(200);
    }
    begin(service, user, &routine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_changes_field_by_field() {
    for database in Database::ALL {
        let service = Service::start(database).await;
        let (mingi, _) = (service.sign_up("밍기").await, service.sign_up("무너").await);
        let before = service.get("/me", &mingi).await.expect(200);
        assert_eq!(service.patch("/me", &mingi, json!({})).await.expect(200), before);
        let after = service.patch("/me", &mingi, json!({"timezone": "America/New_York", "week_start": "sunday"})).await;
        let after = after.expect(200);
        assert_eq!((&after["timezone"], &after["week_start"]), (&json!("America/New_York"), &json!("sunday")));
        assert_eq!(after["nickname"], "밍기");
        // One's own nickname in another case is no collision.
        service.patch("/me", &mingi, json!({"nickname": "Mingi"})).await.expect(200);
        service.patch("/me", &mingi, json!({"nickname": "MINGI"})).await.expect(200);
        service.patch("/me", &mingi, json!({"nickname": "무너"})).await.refused(409, "nickname_taken");
        let wrong = json!({"nickname": null, "timezone": "Moon/Tycho", "week_start": "friday"});
        let wrong = service.patch("/me", &mingi, wrong).await.refused(400, "invalid_input");
        assert_eq!(wrong["errors"].as_array().map(Vec::len), Some(3), "{wrong}");
        service.patch("/me", &mingi, json!({"email": "x@example.com"})).await.refused(400, "invalid_input");
        assert_eq!(service.get("/me", &mingi).await.expect(200)["nickname"], "MINGI");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_the_other_sessions() {
    for database in Database::ALL {
        let service = Service::start(database).await;
        let phone = sign_up(&service, "a@example.com", "밍기").await;
        let laptop = user_of(&log_in(&service, "a@example.com", "stretch2gether").await.expect(200));
        let change = async |old: &str, new: &str| {
            service.put("/me/password", &phone, Some(json!({"old_password": old, "new_password": new}))).await
        };
        change("stretch2gethex", "stretch4ever").await.refused(403, "wrong_password");
        change("stretch2gether", "short").await.refused(400, "invalid_input");
        let mut ended = service.backends.rooms.session_changes();
        change("stretch2gether", "stretch4ever").await.expect(204);
        let told = tokio::time::timeout(Duration::from_secs(10), ended.next()).await.expect("in time");
        assert_eq!(told, Some(SessionChange::Of(phone.id.parse().expect("an id"))));
        refresh(&service, &laptop).await.refused(401, "bad_refresh_token");
        refresh(&service, &phone).await.expect(200);
        log_in(&service, "a@example.com", "stretch2gether").await.refused(401, "wrong_credentials");
        log_in(&service, "a@example.com", "stretch4ever").await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_account_can_be_restored() {
    for database in Database::ALL {
        let service = Service::start(database).await;
        let (mingi, guest) = (sign_up(&service, "a@example.com", "밍기").await, service.sign_up("무너").await);
        let meetup = open_meetup(&service, &mingi, 3).await;
        service.put(&format!("/meetups/{meetup}/membership"), &guest, None).await.expect(200);
        service.delete("/me", &mingi).await.expect(204);
        service.delete("/me", &mingi).await.expect(204);

        // Every way in is closed, the meetup is called off and its members are told.
        refresh(&service, &mingi).await.refused(401, "bad_refresh_token");
        service.get("/me", &mingi).await.refused(401, "unauthenticated");
        let seen = service.get(&format!("/meetups/{meetup}"), &guest).await.expect(200);
        assert_eq!(seen["state"], "cancelled");
        service.backends.relay.drain().await.expect("relayed");
        let log = service.get(&format!("/meetups/{meetup}/messages"), &guest).await.expect(200);
        let last = log["items"].as_array().and_then(|items| items.last()).cloned().unwrap_or_else(|| log.clone());
        assert!(last.to_string().contains(r#""closed""#), "{log:#}");
        log_in(&service, "a@example.com", "stretch2gethex").await.refused(401, "wrong_credentials");

        // Only the latest offer counts, once, for ten minutes.
        let offer = async || {
            let refused = log_in(&service, "a@example.com", "stretch2gether").await.refused(403, "account_withdrawn");
            refused["restore_token"].clone()
        };
        let first = offer().await;
        let second = offer().await;
        restore(&service, &first).await.refused(401, "bad_restore_token");
        service.clock.advance(Duration::from_secs(600));
        restore(&service, &second).await.refused(401, "bad_restore_token");
        let third = offer().await;
        let answers = futures_util::future::join_all((0..4).map(|_| restore(&service, &third))).await;
        let (restored, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
        assert_eq!((restored.len(), refused.len()), (1, 3));
        let back = user_of(&restored[0].body);
        assert_eq!(service.get("/me", &back).await.expect(200)["nickname"], "밍기");
        log_in(&service, "a@example.com", "stretch2gether").await.expect(200);
    }
}

/// Every text and every id in every table, as `(table, column, value)`; ids as hexadecimal digits.
async fn everything(db: &Db) -> Vec<(String, String, String)> {
    let tables: Vec<(String,)> = match db {
        Db::Sqlite { .. } => sql("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"),
        Db::MySql(_) => sql("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"),
    }
    .all(db)
    .await
    .expect("tables");
    let mut found = Vec::new();
    for (table,) in tables {
        let columns: Vec<(String,)> = match db {
            Db::Sqlite { .. } => sql(format!("SELECT name FROM pragma_table_info('{table}')")),
            Db::MySql(_) => sql("SELECT column_name FROM information_schema.columns \
                 WHERE table_schema = DATABASE() AND table_name = ?")
            .bind(&table),
        }
        .all(db)
        .await
        .expect("columns");
        for (column,) in columns {
            // HEX() of a text is that of its bytes on both databases.
            let values: Vec<(Option<String>,)> =
                sql(format!("SELECT HEX({column}) FROM {table}")).all(db).await.expect("values");
            found.extend(values.into_iter().filter_map(|(value,)| Some((table.clone(), column.clone(), value?))));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_leaves_nothing_of_a_person_but_what_they_said() {
    for (database, redis) in [(Database::Sqlite, None), (Database::MySql, None), (Database::MySql, Some(redis_url()))] {
        let service = Service::start_with(database, |config| {
            config.redis_url = redis;
            config.jobs = false;
        })
        .await;
        let (cx, stop) = (Context::new(service.backends.clone()), CancellationToken::new());
        let mingi = sign_up(&service, "gone@example.com", "사라질사람").await;
        let host = sign_up(&service, "host@example.com", "무너").await;
        let waiting = service.sign_up("몽실이").await;
        work_out(&service, &mingi).await;
        let past = open_meetup(&service, &mingi, 1).await;
        let joined = open_meetup(&service, &host, 90).await;
        for (meetup, user) in [(&past, &host), (&joined, &mingi), (&joined, &waiting)] {
            service.put(&format!("/meetups/{meetup}/membership"), user, None).await.expect(200);
        }
        for meetup in [&past, &joined] {
            let message = json!({"text": "안녕하세요", "nonce": "n-1"});
            service.post(&format!("/meetups/{meetup}/messages"), &mingi, message).await.expect(201);
        }
        service.backends.relay.drain().await.expect("relayed");
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
            let left: Vec<_> = everything(&service.backends.db).await;
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
            .one(&service.backends.db)
            .await
            .expect("a record");
        assert_eq!(run.0, "purged 1 accounts");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_has_everything_and_nothing_of_others() {
    for database in Database::ALL {
        let service = Service::start(database).await;
        let (mingi, guest) = (service.sign_up("밍기").await, service.sign_up("무너").await);
        let meetup = open_meetup(&service, &mingi, 3).await;
        service.put(&format!("/meetups/{meetup}/membership"), &guest, None).await.expect(200);
        for (i, user) in [&mingi, &guest, &mingi].into_iter().enumerate() {
            let message = json!({"text": format!("{i}번째 \"말\""), "nonce": format!("n-{i}")});
            service.post(&format!("/meetups/{meetup}/messages"), user, message).await.expect(201);
        }
        work_out(&service, &mingi).await;
        work_out(&service, &guest).await;
        let export = service.get("/me/export", &mingi).await.expect(200);
        let main = &export["routines"][0];
        assert_eq!((&main["name"], &main["actions"][1]["name"]), (&json!("아침"), &json!("스쿼트")));
        assert_eq!(export["progress"], json!({"main_routine_id": main["id"], "kept_experience": 0}));
        assert_eq!(export["workouts"].as_array().map(Vec::len), Some(3));
        let awards = export["awards"].as_array().expect("awards");
        let amounts: Vec<_> = awards.iter().map(|award| (award["action"].as_i64(), award["amount"].as_i64())).collect();
        let once = [(0, 40), (1, 100), (2, 100)].map(|(action, amount)| (Some(action), Some(amount)));
        assert_eq!(amounts, [once, once].concat());
        assert_eq!((&awards[0]["day"], &awards[0]["workout_id"]), (&json!("2026-03-01"), &export["workouts"][0]["id"]));
        assert_eq!(
            (&export["monsters"][0]["experience"], export["monsters"].as_array().map(Vec::len)),
            (&json!(480), Some(1))
        );
        assert_eq!(export["profile"], service.get("/me", &mingi).await.expect(200));
        assert_eq!(export["sessions"].as_array().map(Vec::len), Some(1));
        assert_eq!(export["hosted_meetups"][0]["id"], json!(meetup));
        assert_eq!(export["memberships"][0]["state"], "member");
        let said: Vec<_> = export["messages"].as_array().expect("messages").iter().map(|m| m["text"].clone()).collect();
        assert_eq!(said, [json!("0번째 \"말\""), json!("2번째 \"말\"")]);
        let text = export.to_string();
        assert!(!text.contains("$2") && !text.contains(&guest.id), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_is_cleaned_up() {
    for database in Database::ALL {
        let service = Service::start_with(database, |config| config.jobs = false).await;
        let (cx, stop) = (Context::new(service.backends.clone()), CancellationToken::new());
        let (old, kept) = (service.sign_up("밍기").await, service.sign_up("무너").await);
        service.clock.advance(DAY * 10);
        let kept = user_of(&refresh(&service, &kept).await.expect(200));
        service.clock.advance(DAY * 5);
        assert!(jobs::run(&cx, Job::CleanUp, &stop).await);
        assert!(!jobs::run(&cx, Job::CleanUp, &stop).await, "this hour's run is done");
        let left = async |table: &str| {
            let count: Option<i64> =
                sql(format!("SELECT COUNT(*) FROM {table}")).scalar(&service.backends.db).await.expect("a count");
            count.expect("a count")
        };
        assert_eq!((left("sessions").await, left("refresh_tokens").await), (1, 1));
        refresh(&service, &kept).await.expect(200);
        refresh(&service, &old).await.refused(401, "bad_refresh_token");
    }
}

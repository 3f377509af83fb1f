//! The profile, the password, withdrawal, restoring, the purge and the export.

use std::time::Duration;

use api::{
    context::Context,
    jobs::{self, Job},
};
use common::{db::sql, rooms::SessionChange};
use reqwest::Method;
use serde_json::{Value, json};
use testing::{Database, redis_url};
use tokio_util::sync::CancellationToken;
use wire::Person;

use crate::{
    schema,
    service::{Answer, Service, User, user_of},
    workouts::{begin, complete, routine},
};

testing::on_each_database!(
    a_profile_changes_field_by_field,
    a_new_password_ends_the_other_sessions,
    a_withdrawn_account_can_be_restored,
    whoever_comes_back_gets_the_place_that_became_free_meanwhile,
    whoever_withdraws_hosts_nothing_that_is_still_to_come,
    an_export_knows_every_table,
    what_has_expired_is_cleaned_up,
);

const DAY: Duration = Duration::from_secs(86_400);

/// Someone who will log in again.
pub(crate) async fn sign_up(service: &Service, email: &str, nickname: &str) -> User {
    let body = json!({"email": email, "password": "stretch2gether", "nickname": nickname});
    user_of(&service.call(Method::POST, "/auth/signup", None, Some(body)).await.expect(201))
}

pub(crate) async fn log_in(service: &Service, email: &str, password: &str) -> Answer {
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
pub(crate) async fn open_meetup(service: &Service, host: &User, days: u32) -> String {
    let meetup = new_meetup(service, days);
    service.post("/meetups", host, meetup).await.expect(201)["id"].as_str().expect("an id").to_owned()
}

fn new_meetup(service: &Service, days: u32) -> Value {
    let starts_at = common::time::Clock::now(&service.clock) + DAY * days;
    json!({
        "title": "점심 스트레칭", "description": "같이 움직여요.",
        "place": {
            "name": "서울숲", "road_address": "서울 성동구 뚝섬로 273", "lot_address": "서울 성동구 성수동1가 678-1",
            "latitude": 37.5444, "longitude": 127.0374,
            "region": {"sido": "서울특별시", "sigungu": "성동구", "code": "1120011400"}
        },
        "starts_at": starts_at, "ends_at": starts_at + Duration::from_secs(3600), "capacity": 2
    })
}

async fn a_profile_changes_field_by_field(database: Database) {
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

async fn a_new_password_ends_the_other_sessions(database: Database) {
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

async fn a_withdrawn_account_can_be_restored(database: Database) {
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

async fn whoever_comes_back_gets_the_place_that_became_free_meanwhile(database: Database) {
    let service = Service::start(database).await;
    let (host, member) = (service.sign_up("무너").await, service.sign_up("몽실").await);
    let mingi = sign_up(&service, "a@example.com", "밍기").await;
    let membership = format!("/meetups/{}/membership", open_meetup(&service, &host, 3).await);
    service.put(&membership, &member, None).await.expect(200);
    assert_eq!(service.put(&membership, &mingi, None).await.expect(200)["state"], "waiting");
    service.delete("/me", &mingi).await.expect(204);
    service.delete(&membership, &member).await.expect(204);
    let refused = log_in(&service, "a@example.com", "stretch2gether").await.refused(403, "account_withdrawn");
    let back = user_of(&restore(&service, &refused["restore_token"]).await.expect(200));
    assert_eq!(service.put(&membership, &back, None).await.expect(200)["state"], "member");
    assert_eq!(service.put(&membership, &member, None).await.expect(200)["state"], "waiting");
}

async fn whoever_withdraws_hosts_nothing_that_is_still_to_come(database: Database) {
    let service = Service::start(database).await;
    let (mingi, friend) = (service.sign_up("밍기").await, service.sign_up("무너").await);
    let handed = open_meetup(&service, &friend, 3).await;
    let routine = format!("/routines/{}", routine(&service, &mingi, "아침", 2).await);
    service.put(&format!("/meetups/{handed}/membership"), &mingi, None).await.expect(200);
    let open = async |_| {
        let answer = service.post("/meetups", &mingi, new_meetup(&service, 3)).await;
        assert!(answer.status == 201 || answer.status == 401, "{:#}", answer.body);
    };
    let hand_over = async {
        let heir = json!({"user_id": mingi.id});
        let answer = service.put(&format!("/meetups/{handed}/host"), &friend, Some(heir)).await;
        assert!(answer.status == 200 || answer.status == 409, "{:#}", answer.body);
    };
    let leave = async {
        service.delete("/me", &mingi).await.expect(204);
    };
    let opening = async {
        futures_util::future::join_all((0..8).map(open)).await;
    };
    tokio::join!(opening, hand_over, leave);
    let still_hosted: Option<i64> = sql("SELECT COUNT(*) FROM meetups WHERE host_id = ? AND cancelled_at IS NULL")
        .bind(mingi.id.parse::<uuid::Uuid>().expect("an id"))
        .scalar(&service.backends.db)
        .await
        .expect("a count");
    assert_eq!(still_hosted, Some(0));

    // Their access token is valid for some minutes still: nothing is done with it.
    let content = json!({"name": "저녁", "actions": [{"action_id": "squat", "repetitions": 1}]});
    service.put(&routine, &mingi, Some(content)).await.refused(401, "unauthenticated");
    service.delete(&routine, &mingi).await.refused(401, "unauthenticated");
    service.delete(&format!("/meetups/{handed}/membership"), &mingi).await.refused(401, "unauthenticated");
    service.delete(&format!("/meetups/{handed}/like"), &mingi).await.refused(401, "unauthenticated");
    let other = open_meetup(&service, &friend, 3).await;
    service.post("/meetups", &mingi, new_meetup(&service, 3)).await.refused(401, "unauthenticated");
    service.put(&format!("/meetups/{other}/membership"), &mingi, None).await.refused(401, "unauthenticated");
    service.put(&format!("/meetups/{other}/like"), &mingi, None).await.refused(401, "unauthenticated");
    let comment = service.post(&format!("/meetups/{other}/comments"), &mingi, json!({"text": "안녕"})).await;
    comment.refused(401, "unauthenticated");
    let heir = json!({"user_id": mingi.id});
    let refused = service.put(&format!("/meetups/{other}/host"), &friend, Some(heir)).await;
    assert_eq!(refused.status, 409, "{:#}", refused.body);
}

/// Where the rows of a table with users' ids are in an export.
const EXPORTED: [(&str, &str); 11] = [
    ("awards", "awards"),
    ("comments", "comments"),
    ("meetup_likes", "likes"),
    ("meetup_members", "memberships"),
    ("meetups", "hosted_meetups"),
    ("monsters", "monsters"),
    ("room_entries", "messages"),
    ("room_reads", "read_marks"),
    ("routines", "routines"),
    ("sessions", "sessions"),
    ("workouts", "workouts"),
];
/// Tables with users' ids that say nothing more: sums of other tables, and what the service needs for itself.
const NOT_EXPORTED: [&str; 5] = ["active_days", "calendar_feeds", "progress", "restore_tokens", "streaks"];

async fn an_export_knows_every_table(database: Database) {
    let service = Service::start(database).await;
    let export = service.get("/me/export", &service.sign_up("밍기").await).await.expect(200);
    for table in schema::tables_with_users(&service.backends.db).await {
        let section = EXPORTED.iter().find(|(exported, _)| *exported == table).map(|(_, section)| section);
        let known = section.is_some_and(|section| export[section].is_array());
        assert!(known || NOT_EXPORTED.contains(&&*table), "{table} is not in the export");
    }
}

/// Something in every table of routines, workouts and monsters.
pub(crate) async fn work_out(service: &Service, user: &User) {
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
async fn an_export_has_everything_and_nothing_of_others() {
    for (database, redis) in [(Database::Sqlite, None), (Database::MySql, None), (Database::MySql, Some(redis_url()))] {
        let service = Service::start_with(database, |config| config.redis_url = redis).await;
        let (mingi, guest) = (service.sign_up("밍기").await, service.sign_up("무너").await);
        let (meetup, left) = (open_meetup(&service, &mingi, 3).await, open_meetup(&service, &guest, 3).await);
        service.put(&format!("/meetups/{meetup}/membership"), &guest, None).await.expect(200);
        service.put(&format!("/meetups/{left}/membership"), &mingi, None).await.expect(200);
        let say = async |meetup: &str, user: &User, i: usize| {
            let message = json!({"text": format!("{i}번째 \"말\""), "nonce": format!("n-{i}")});
            service.post(&format!("/meetups/{meetup}/messages"), user, message).await.expect(201);
        };
        let mark = async |meetup: &str, user: &User, seq: u64| {
            let person = Person { id: user.id.parse().expect("an id"), nickname: "누구".to_owned() };
            let room = meetup.parse().expect("an id");
            assert_eq!(service.backends.rooms.mark_read(room, &person, seq).await.expect("marked"), seq);
        };
        for (i, user) in [&mingi, &guest, &mingi].into_iter().enumerate() {
            say(&meetup, user, i).await;
        }
        say(&left, &mingi, 3).await;
        say(&left, &guest, 4).await;
        mark(&left, &mingi, 1).await;
        service.delete(&format!("/meetups/{left}/membership"), &mingi).await.expect(204);
        work_out(&service, &mingi).await;
        work_out(&service, &guest).await;
        for user in [&mingi, &guest] {
            service.put(&format!("/meetups/{left}/like"), user, None).await.expect(200);
            let comment = json!({"text": format!("{}의 댓글", user.id)});
            service.post(&format!("/meetups/{left}/comments"), user, comment).await.expect(201);
        }

        mark(&meetup, &mingi, 2).await;
        mark(&meetup, &guest, 3).await;

        let export = service.get("/me/export", &mingi).await.expect(200);
        assert_eq!(export["read_marks"], json!([{"room": meetup, "seq": 2}, {"room": left, "seq": 1}]));
        assert_eq!(export["profile"], service.get("/me", &mingi).await.expect(200));
        assert_eq!(export["sessions"].as_array().map(Vec::len), Some(1));
        assert_eq!(export["hosted_meetups"][0]["id"], json!(meetup));
        assert_eq!(export["memberships"].as_array().map(Vec::len), Some(1));
        assert_eq!(export["memberships"][0]["state"], "member");
        let routine = &export["routines"][0];
        assert_eq!((&routine["name"], &routine["main"]), (&json!("아침"), &json!(true)));
        assert_eq!(export["kept_experience"], 0);
        let workouts = export["workouts"].as_array().expect("workouts");
        assert_eq!(workouts.len(), 3);
        let first = workouts[0]["id"].as_str().expect("an id");
        assert_eq!(workouts[0], service.get(&format!("/workouts/{first}"), &mingi).await.expect(200));
        let awards = export["awards"].as_array().expect("awards");
        let amounts: Vec<_> = awards.iter().map(|award| (award["action"].as_i64(), award["amount"].as_i64())).collect();
        let once = [(0, 40), (1, 100), (2, 100)].map(|(action, amount)| (Some(action), Some(amount)));
        assert_eq!(amounts, [once, once].concat());
        assert_eq!((&awards[0]["day"], &awards[0]["workout_id"]), (&json!("2026-03-01"), &workouts[0]["id"]));
        let monsters = export["monsters"].as_array().expect("monsters");
        assert_eq!((monsters.len(), &monsters[0]["experience"]), (1, &json!(480)));
        let mut said: Vec<_> =
            export["messages"].as_array().expect("messages").iter().map(|m| m["text"].to_string()).collect();
        said.sort();
        assert_eq!(said, [0, 2, 3].map(|i| json!(format!("{i}번째 \"말\"")).to_string()));
        assert_eq!(export["likes"][0]["meetup_id"], json!(left));
        assert_eq!(export["comments"][0]["text"], json!(format!("{}의 댓글", mingi.id)));
        assert_eq!(
            (export["likes"].as_array().map(Vec::len), export["comments"].as_array().map(Vec::len)),
            (Some(1), Some(1))
        );
        let text = export.to_string();
        assert!(!text.contains("$2") && !text.contains(&guest.id), "{text}");
    }
}

async fn what_has_expired_is_cleaned_up(database: Database) {
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

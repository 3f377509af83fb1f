//! Accounts and log-in sessions.

use std::time::Duration;

use api::auth::{
    login::{self, LogInOutcome},
    sessions::Device,
    store::{self, User},
};
use common::db::sql;
use reqwest::Method;
use serde_json::{Value, json};
use testing::Database;

use crate::service::{Service, user_of};

testing::on_each_database!(
    signing_up_logs_in_and_keys_are_unique_ignoring_case,
    a_refresh_token_is_good_for_one_use_and_reuse_ends_the_session,
    of_two_who_sign_up_with_one_email_at_once_one_gets_it,
    a_refresh_token_shown_many_times_at_once_is_a_lost_reply,
    the_longest_password_works_and_texts_that_grow_when_folded_are_refused,
    a_log_in_overtaken_by_a_new_password_or_a_withdrawal_begins_no_session,
);

async fn signing_up_logs_in_and_keys_are_unique_ignoring_case(database: Database) {
    let service = Service::start(database).await;
    let sign_up = async |email: &str, nickname: &str| {
        let body = json!({"email": email, "password": "stretch2gether", "nickname": nickname});
        service.call(Method::POST, "/auth/signup", None, Some(body)).await
    };
    let body = sign_up("Mingi@Example.com", "밍기A").await.expect(201);
    assert_eq!(body["expires_in"], 900);
    assert_eq!(body["user"]["timezone"], "Asia/Seoul");
    assert!(!body.to_string().contains("$2"), "a hash leaks: {body}");
    let me = service.get("/me", &user_of(&body)).await.expect(200);
    assert_eq!(me, body["user"]);
    sign_up("mingi@example.COM", "other").await.refused(409, "email_taken");
    sign_up("other@example.com", "밍기a").await.refused(409, "nickname_taken");
    let wrong = sign_up("nobody", "").await.refused(400, "invalid_input");
    let fields: Vec<_> = wrong["errors"].as_array().expect("errors").iter().map(|e| e["field"].clone()).collect();
    assert_eq!(fields, ["email", "nickname"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_email_and_a_wrong_password_look_the_same() {
    let service = Service::start(Database::Sqlite).await;
    let body = json!({"email": "a@example.com", "password": "stretch2gether", "nickname": "a"});
    service.call(Method::POST, "/auth/signup", None, Some(body)).await.expect(201);
    let log_in = async |email: &str, password: &str| {
        let body = json!({"email": email, "password": password});
        service.call(Method::POST, "/auth/login", None, Some(body)).await
    };
    let without_id = |mut body: Value| {
        body["request_id"].take();
        body
    };
    let wrong = without_id(log_in("a@example.com", "stretch2gethe").await.refused(401, "wrong_credentials"));
    let unknown = without_id(log_in("b@example.com", "stretch2gether").await.refused(401, "wrong_credentials"));
    assert_eq!(wrong, unknown);
    log_in("A@Example.com", "stretch2gether").await.expect(200);
    log_in("a@example.com", &"x".repeat(5000)).await.refused(401, "wrong_credentials");
}

async fn a_refresh_token_is_good_for_one_use_and_reuse_ends_the_session(database: Database) {
    let service = Service::start(database).await;
    let user = service.sign_up("밍기").await;
    let refresh = async |token: &str| {
        service.call(Method::POST, "/auth/refresh", None, Some(json!({"refresh_token": token}))).await
    };
    let second = user_of(&refresh(&user.refresh_token).await.expect(200));
    assert_ne!(second.refresh_token, user.refresh_token);
    service.clock.advance(Duration::from_secs(10));
    // The reply may have been lost: within the grace the old token still works.
    refresh(&user.refresh_token).await.expect(200);
    service.clock.advance(Duration::from_millis(1));
    refresh(&user.refresh_token).await.refused(401, "bad_refresh_token");
    refresh(&second.refresh_token).await.refused(401, "bad_refresh_token");
    refresh("nonsense").await.refused(401, "bad_refresh_token");
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_out_ends_the_session_and_tokens_expire() {
    let service = Service::start(Database::Sqlite).await;
    let user = service.sign_up("밍기").await;
    service.call(Method::POST, "/auth/logout", Some(&user.token), None).await.expect(204);
    let body = json!({"refresh_token": user.refresh_token});
    service.call(Method::POST, "/auth/refresh", None, Some(body)).await.refused(401, "bad_refresh_token");
    service.clock.advance(Duration::from_secs(900));
    service.get("/me", &user).await.refused(401, "token_expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_refused_is_a_problem_with_the_request_id() {
    let service = Service::start(Database::Sqlite).await;
    let client = reqwest::Client::new();
    let url = |path: &str| format!("http://{}/api/v1{path}", service.address);
    let json_post =
        |path: &str, body: String| client.post(url(path)).header("content-type", "application/json").body(body);
    for (request, status, code) in [
        (client.get(url("/nowhere")), 404, "not_found"),
        (client.get(url("/auth/login")), 405, "method_not_allowed"),
        (client.get(url("/me")), 401, "unauthenticated"),
        (client.get(url("/me")).bearer_auth("x.y.z"), 401, "unauthenticated"),
        (client.post(url("/auth/login")).body("{}"), 415, "unsupported_media_type"),
        (json_post("/auth/login", "{".into()), 400, "bad_request"),
        (json_post("/auth/login", r#"{"email":1,"password":"x"}"#.into()), 400, "invalid_input"),
        (json_post("/auth/login", " ".repeat(70_000)), 413, "too_large"),
        (client.get(url("/me?a=1&a=2")), 400, "invalid_input"),
    ] {
        let answer = service.send(request.header("x-request-id", "test-1")).await;
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{:#}", answer.body);
        assert_eq!(answer.headers["x-request-id"], "test-1");
        assert_eq!(answer.refused(status, code)["request_id"], "test-1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_allowed_origins_may_read_every_answer() {
    let service =
        Service::start_with(Database::Sqlite, |config| config.allowed_origins = vec!["https://mingizuk.kr".into()])
            .await;
    let client = reqwest::Client::new();
    let url = |path: &str| format!("http://{}/api/v1{path}", service.address);
    let preflight = |origin: &str| {
        let request = client.request(Method::OPTIONS, url("/me")).header("origin", origin);
        request
            .header("access-control-request-method", "PATCH")
            .header("access-control-request-headers", "authorization")
    };
    let answer = service.send(preflight("https://mingizuk.kr")).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.headers["access-control-allow-origin"], "https://mingizuk.kr");
    assert!(answer.headers["access-control-allow-methods"].to_str().expect("a text").contains("PATCH"));
    assert!(answer.headers["access-control-allow-headers"].to_str().expect("a text").contains("authorization"));
    let answer = service.send(preflight("https://elsewhere.kr")).await;
    assert!(!answer.headers.contains_key("access-control-allow-origin"));

    // A refusal is a problem for them too.
    let answer = service.send(client.get(url("/me")).header("origin", "https://mingizuk.kr")).await;
    assert_eq!(answer.headers["access-control-allow-origin"], "https://mingizuk.kr");
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.headers["vary"], "Origin");
    assert!(answer.headers["access-control-expose-headers"].to_str().expect("a text").contains("x-request-id"));
    answer.refused(401, "unauthenticated");

    // A page of the service itself says where it comes from as well.
    let body = json!({"email": "a@example.com", "password": "stretch2gether", "nickname": "a"});
    let own = format!("http://{}", service.address);
    let answer = service.send(client.post(url("/auth/signup")).header("origin", own).json(&body)).await;
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
    answer.expect(201);
}

async fn of_two_who_sign_up_with_one_email_at_once_one_gets_it(database: Database) {
    let service = Service::start(database).await;
    let sign_up = async |i: usize| {
        let nickname = format!("밍기{i}");
        let body = json!({"email": "same@example.com", "password": "stretch2gether", "nickname": nickname});
        service.call(Method::POST, "/auth/signup", None, Some(body)).await
    };
    let answers = futures_util::future::join_all((0..8).map(sign_up)).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!(made.len(), 1);
    for answer in refused {
        answer.refused(409, "email_taken");
    }
}

async fn a_refresh_token_shown_many_times_at_once_is_a_lost_reply(database: Database) {
    let service = Service::start(database).await;
    let user = service.sign_up("밍기").await;
    let refresh = async |token: String| {
        service.call(Method::POST, "/auth/refresh", None, Some(json!({"refresh_token": token}))).await
    };
    let answers = futures_util::future::join_all((0..8).map(|_| refresh(user.refresh_token.clone()))).await;
    let mut tokens: Vec<String> = Vec::new();
    for answer in answers {
        tokens.push(user_of(&answer.expect(200)).refresh_token);
    }
    for token in tokens {
        refresh(token).await.expect(200);
    }
}

async fn the_longest_password_works_and_texts_that_grow_when_folded_are_refused(database: Database) {
    let service = Service::start(database).await;
    let sign_up = async |email: &str, password: &str, nickname: &str| {
        let body = json!({"email": email, "password": password, "nickname": nickname});
        service.call(Method::POST, "/auth/signup", None, Some(body)).await
    };
    let longest = format!("{}1", "a".repeat(71));
    sign_up("a@example.com", &longest, "밍기").await.expect(201);
    let log_in = async |password: String| {
        let body = json!({"email": "a@example.com", "password": password});
        service.call(Method::POST, "/auth/login", None, Some(body)).await
    };
    log_in(longest.clone()).await.expect(200);
    log_in(format!("{}2", "a".repeat(71))).await.refused(401, "wrong_credentials");
    log_in(format!("{longest}1")).await.refused(401, "wrong_credentials");
    let wide = "\u{fdfa}".repeat(16);
    sign_up("b@example.com", "stretch2gether", &wide).await.refused(400, "invalid_input");
    let email = format!("{}@example.com", "\u{fdfa}".repeat(40));
    sign_up(&email, "stretch2gether", "무너").await.refused(400, "invalid_input");
    sign_up("c@example.com", "stretch2gether", "탈퇴한 회원").await.refused(409, "nickname_taken");
}

async fn a_log_in_overtaken_by_a_new_password_or_a_withdrawal_begins_no_session(database: Database) {
    let service = Service::start(database).await;
    let (db, env) = (&service.backends.db, &service.backends.env);
    let mingi = service.sign_up("밍기").await;
    let id = mingi.id.parse().expect("an id");
    let device = Device { name: "phone".to_owned(), ttl: Duration::from_secs(60) };
    // Each time the password was found right for what is `seen` here.
    let seen = async || store::user(db, id).await.expect("an answer").expect("the account");
    let log_in = async |seen: &User| login::log_in(db, env, seen, &device).await.expect("an answer");
    let before = seen().await;
    assert!(matches!(log_in(&before).await, LogInOutcome::Granted(..)));
    let change = json!({"old_password": "stretch2gether", "new_password": "stretch4ever"});
    service.put("/me/password", &mingi, Some(change)).await.expect(204);
    assert!(matches!(log_in(&before).await, LogInOutcome::Stale));
    let before = seen().await;
    service.delete("/me", &mingi).await.expect(204);
    assert!(matches!(log_in(&before).await, LogInOutcome::Withdrawn(_)));
    sql("DELETE FROM users WHERE id = ?").bind(id).run(db).await.expect("purged");
    assert!(matches!(log_in(&before).await, LogInOutcome::Stale));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_logs_in_is_served_or_told_when_to_come_back() {
    let service = Service::start_with(Database::Sqlite, |config| config.bcrypt_cost = 8).await;
    let log_in = async |i: usize| {
        let body = json!({"email": format!("{i}@example.com"), "password": "stretch2gether"});
        service.call(Method::POST, "/auth/login", None, Some(body)).await
    };
    let answers = futures_util::future::join_all((0..200).map(log_in)).await;
    let (busy, served): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 503);
    assert!(!busy.is_empty() && !served.is_empty(), "{} {}", busy.len(), served.len());
    for answer in served {
        answer.refused(401, "wrong_credentials");
    }
    for answer in busy {
        assert_eq!(answer.headers["retry-after"], "2");
        answer.refused(503, "unavailable");
    }
}

//! What ends a session over REST closes its connections at the gateways, in both shapes of the system.

#![expect(clippy::expect_used, reason = "tests")]

use loadtest::{
    client::{Connection, ConnectionError, Greeting, Incoming},
    rest::{PASSWORD, Rest},
    servers::{Mingizuk, Role, Setup},
};
use reqwest::{Method, StatusCode};
use serde_json::json;
use testing::{Database, redis_url};
use uuid::Uuid;
use wire::{Body, CloseReason, close};

const BINARY: &str = env!("CARGO_BIN_EXE_mingizuk");

async fn connect(gateway: &str, token: &str) -> Connection {
    Connection::greet(gateway, Greeting::Header(token)).await.expect("a welcome").0
}

async fn sessions_end(api: &Mingizuk, gateway: &Mingizuk) {
    let rest = Rest::new(api.api().expect("an api")).expect("a client");
    let gateway = gateway.gateway().expect("a gateway");
    let someone = |prefix: &str| format!("{prefix}{}", &Uuid::new_v4().simple().to_string()[..8]);
    let minseo = rest.sign_up(&someone("민서")).await.expect("signed up");
    let jiho = rest.sign_up(&someone("지호")).await.expect("signed up");
    let email = rest.by(&minseo).get("/me").await.expect("a profile")["email"].clone();
    let log_in = |password: &str| {
        let (rest, body) = (rest.clone(), json!({"email": email, "password": password}));
        async move { rest.call(Method::POST, "/auth/login", Some(body)).await.expect("an answer") }
    };
    let laptop = log_in(PASSWORD).await.1["access_token"].as_str().expect("a token").to_owned();

    let mut phone = connect(gateway, &minseo.token).await;
    let mut on_laptop = connect(gateway, &laptop).await;
    let mut other = connect(gateway, &jiho.token).await;
    let change = json!({"old_password": PASSWORD, "new_password": "stretch-2027"});
    rest.by(&minseo).put("/me/password", Some(change)).await.expect("a new password");
    assert_eq!(on_laptop.close_code().await.expect("a close"), close::FORBIDDEN, "the other session");

    let room = rest.by(&minseo).open_meetup("점심 스트레칭").await.expect("a meetup");
    rest.by(&jiho).join(room).await.expect("joined");
    phone.join(room).await.expect("joined: this session goes on");
    other.join(room).await.expect("joined");
    rest.by(&minseo).delete("/me").await.expect("withdrawn");
    assert_eq!(phone.close_code().await.expect("a close"), close::FORBIDDEN, "withdrawn");
    let again = Connection::greet(gateway, Greeting::Header(&minseo.token)).await;
    assert!(matches!(again, Err(ConnectionError::Closed(close::FORBIDDEN))), "{again:?}");
    // Whoever stays sees that the meetup is off.
    let cancelled = |incoming| match incoming {
        Incoming::Entry(entry) => (entry.body == Body::Closed { reason: CloseReason::Cancelled }).then_some(()),
        _ => None,
    };
    other.expect(cancelled).await.expect("the meetup is cancelled");

    let (status, refused) = log_in("stretch-2027").await;
    assert_eq!((status, &refused["code"]), (StatusCode::FORBIDDEN, &json!("account_withdrawn")));
    let restored =
        rest.post("/auth/restore", json!({"restore_token": refused["restore_token"]})).await.expect("restored");
    let mut back = connect(gateway, restored["access_token"].as_str().expect("a token")).await;
    back.join(room).await.expect("the room is still there");
}

#[tokio::test]
async fn in_one_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let all = Setup::embedded(BINARY, folder.path()).start(Role::AllInOne).await.expect("ready");
    sessions_end(&all, &all).await;
}

#[tokio::test]
async fn in_separate_processes() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::MySql.empty_url().await;
    let setup = Setup::shared(BINARY, folder.path(), database.expose(), redis_url().expose());
    setup.migrate().await.expect("the schema");
    let api = setup.start(Role::Api).await.expect("ready");
    let gateway = setup.start(Role::Gateway).await.expect("ready");
    sessions_end(&api, &gateway).await;
}

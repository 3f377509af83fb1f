//! A running REST service on a fresh database, and a client that talks to it over real HTTP.
use std::{net::SocketAddr, sync::Arc};

use common::{
    bootstrap::{Backends, Shape},
    ids::{Env, RandomIds},
    time::{ManualClock, Timestamp},
};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use testing::Database;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// When the clocks of these tests start: Sunday 2026-03-01 09:00 in Seoul.
pub(crate) const START: Timestamp = Timestamp(1_772_323_200_000);

/// A running service. Dropping it stops it.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) ops_address: SocketAddr,
    pub(crate) backends: Backends,
    pub(crate) clock: ManualClock,
    client: Client,
    _stop: DropGuard,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The body, if the status is as expected.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{:#}", self.body);
        self.body
    }

    /// Checks that it is a problem with this status and code.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status.as_u16(), self.body["code"].as_str()), (status, Some(code)), "{:#}", self.body);
        self.body
    }
}

/// Someone who has signed up.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) refresh_token: String,
}

impl Service {
    pub(crate) async fn start(database: Database) -> Self {
        Self::start_with(database, |_| {}).await
    }

    /// Starts with access tokens that outlive every test, for those in which months pass.
    pub(crate) async fn start_for_months(database: Database) -> Self {
        Self::start_with(database, |config| config.access_token_ttl = std::time::Duration::from_secs(1_000 * 86_400))
            .await
    }

    /// Starts with a changed configuration.
    pub(crate) async fn start_with(database: Database, configure: impl FnOnce(&mut common::config::Config)) -> Self {
        let mut config = testing::config();
        config.database_url = database.fresh_url().await;
        configure(&mut config);
        let clock = ManualClock::new(START);
        let env = Env { clock: Arc::new(clock.clone()), ids: Arc::new(RandomIds) };
        let backends = Backends::connect(config, Shape::AllInOne, env).await.expect("backends");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let ops = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let ops_address = ops.local_addr().expect("an address");
        let stop = CancellationToken::new();
        tokio::spawn(api::launch(backends.clone(), listener, ops, stop.clone()));
        Self { address, ops_address, backends, clock, client: Client::new(), _stop: stop.drop_guard() }
    }

    /// A request; `path` below `/api/v1`.
    pub(crate) async fn call(&self, method: Method, path: &str, token: Option<&str>, body: Option<Value>) -> Answer {
        let mut request = self.client.request(method, format!("http://{}/api/v1{path}", self.address));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.send(request).await
    }

    /// Any request.
    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.expect("a body");
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer { status, headers, body }
    }

    pub(crate) async fn get(&self, path: &str, user: &User) -> Answer {
        self.call(Method::GET, path, Some(&user.token), None).await
    }

    pub(crate) async fn post(&self, path: &str, user: &User, body: Value) -> Answer {
        self.call(Method::POST, path, Some(&user.token), Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, user: &User, body: Value) -> Answer {
        self.call(Method::PATCH, path, Some(&user.token), Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, user: &User, body: Option<Value>) -> Answer {
        self.call(Method::PUT, path, Some(&user.token), body).await
    }

    pub(crate) async fn delete(&self, path: &str, user: &User) -> Answer {
        self.call(Method::DELETE, path, Some(&user.token), None).await
    }

    /// A new account with this nickname and the password `stretch2gether`.
    pub(crate) async fn sign_up(&self, nickname: &str) -> User {
        let email = format!("{}@example.com", uuid::Uuid::now_v7().simple());
        let body = json!({"email": email, "password": "stretch2gether", "nickname": nickname});
        user_of(&self.call(Method::POST, "/auth/signup", None, Some(body)).await.expect(201))
    }
}

/// The user of a log-in's answer.
pub(crate) fn user_of(body: &Value) -> User {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    User {
        id: text(&body["user"]["id"]),
        token: text(&body["access_token"]),
        refresh_token: text(&body["refresh_token"]),
    }
}

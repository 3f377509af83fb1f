//! The few REST calls that tests and load programs make.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;
use wire::Entry;

use crate::failure::{Failure, Outcome};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the service may be unavailable after Redis is back: its connections return within that.
const UNAVAILABLE: Duration = Duration::from_secs(5);
/// How soon a page is asked for again meanwhile.
const AGAIN: Duration = Duration::from_millis(100);
/// The password of every user that a test program signs up.
pub const PASSWORD: &str = "mingizuk-1234";

/// The REST service, as one caller sees it.
#[derive(Clone, Debug)]
pub struct Rest {
    base: String,
    http: reqwest::Client,
    token: Option<String>,
}

/// A signed-up user.
#[derive(Clone, Debug)]
pub struct User {
    /// The id.
    pub id: Uuid,
    /// The nickname.
    pub nickname: String,
    /// The access token.
    pub token: String,
    /// The refresh token.
    pub refresh_token: String,
}

impl Rest {
    /// The service at `base` (`http://host:port`), without a caller.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(base: &str) -> Outcome<Self> {
        Ok(Self { base: format!("{base}/api/v1"), http: http_client(PATIENCE)?, token: None })
    }

    /// The same service, called by `user`.
    pub fn by(&self, user: &User) -> Self {
        Self { token: Some(user.token.clone()), ..self.clone() }
    }

    /// Calls an operation and returns its status and body.
    ///
    /// # Errors
    /// When there is no answer, or one that is not JSON.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Outcome<(StatusCode, Value)> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? };
        Ok((status, body))
    }

    async fn done(&self, method: Method, path: &str, body: Option<Value>) -> Outcome<Value> {
        let (status, answer) = self.call(method.clone(), path, body).await?;
        if status.is_success() { Ok(answer) } else { Err(Failure::new(format!("{method} {path}: {status} {answer}"))) }
    }

    /// Reads something.
    ///
    /// # Errors
    /// Every answer but success.
    pub async fn get(&self, path: &str) -> Outcome<Value> {
        self.done(Method::GET, path, None).await
    }

    /// Makes something.
    ///
    /// # Errors
    /// Every answer but success.
    pub async fn post(&self, path: &str, body: Value) -> Outcome<Value> {
        self.done(Method::POST, path, Some(body)).await
    }

    /// Sets something.
    ///
    /// # Errors
    /// Every answer but success.
    pub async fn put(&self, path: &str, body: Option<Value>) -> Outcome<Value> {
        self.done(Method::PUT, path, body).await
    }

    /// Removes something.
    ///
    /// # Errors
    /// Every answer but success.
    pub async fn delete(&self, path: &str) -> Outcome<Value> {
        self.done(Method::DELETE, path, None).await
    }

    /// Signs up someone who does not exist yet.
    ///
    /// # Errors
    /// Every answer but success.
    pub async fn sign_up(&self, nickname: &str) -> Outcome<User> {
        let email = format!("{}@example.com", Uuid::new_v4().simple());
        let body = json!({"email": email, "password": PASSWORD, "nickname": nickname});
        let answer = self.post("/auth/signup", body).await?;
        Ok(User {
            id: id_of(&answer["user"])?,
            nickname: nickname.to_owned(),
            token: text_of(&answer["access_token"])?,
            refresh_token: text_of(&answer["refresh_token"])?,
        })
    }

    /// Opens a meetup and returns its id, which is its room's.
    ///
    /// # Errors
    /// Every answer but success.
    pub async fn open_meetup(&self, title: &str) -> Outcome<Uuid> {
        let starts = chrono::Utc::now() + chrono::Duration::hours(1);
        let body = json!({
            "title": title,
            "description": "같이 스트레칭해요",
            "place": {
                "name": "서울숲", "road_address": "서울 성동구 뚝섬로 273", "lot_address": "서울 성동구 성수동1가 678-1",
                "latitude": 37.5444, "longitude": 127.0374,
                "region": {"sido": "서울특별시", "sigungu": "성동구", "code": "1120011400"},
            },
            "starts_at": starts.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            "ends_at": (starts + chrono::Duration::hours(2)).to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        });
        id_of(&self.post("/meetups", body).await?)
    }

    /// Joins a meetup.
    ///
    /// # Errors
    /// Every answer but success.
    pub async fn join(&self, meetup: Uuid) -> Outcome {
        self.put(&format!("/meetups/{meetup}/membership"), None).await.map(drop)
    }

    /// The whole history of a room, oldest first, page by page. While the service says that it is unavailable, which is temporary, the
    /// page is asked for again, for 5 s at most.
    ///
    /// # Errors
    /// Every other answer but success.
    pub async fn history(&self, room: Uuid) -> Outcome<Vec<Entry>> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let after = entries.last().map_or(0, |entry| entry.seq);
            let path = format!("/meetups/{room}/messages?after={after}&limit=50");
            let until = Instant::now() + UNAVAILABLE;
            let mut page = loop {
                match self.call(Method::GET, &path, None).await? {
                    (status, page) if status.is_success() => break page,
                    (StatusCode::SERVICE_UNAVAILABLE, _) if Instant::now() < until => tokio::time::sleep(AGAIN).await,
                    (status, answer) => return Err(Failure::new(format!("GET {path}: {status} {answer}"))),
                }
            };
            let items: Vec<Entry> = serde_json::from_value(page["items"].take())?;
            if items.is_empty() {
                return Ok(entries);
            }
            entries.extend(items);
        }
    }
}

/// A client whose requests take `limit` at most.
///
/// # Errors
/// When it cannot be made.
pub fn http_client(limit: Duration) -> Outcome<reqwest::Client> {
    // A second call finds the provider chosen already.
    drop(rustls::crypto::ring::default_provider().install_default());
    Ok(reqwest::Client::builder().timeout(limit).no_proxy().build()?)
}

fn id_of(value: &Value) -> Outcome<Uuid> {
    Ok(text_of(&value["id"])?.parse()?)
}

fn text_of(value: &Value) -> Outcome<String> {
    value.as_str().map(str::to_owned).ok_or_else(|| Failure::new(format!("not a text: {value}")))
}

//! Place search against a fake Kakao over real HTTP.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use common::config::Secret;
use poem::{
    Endpoint, IntoResponse, Request, Response, Route, Server, endpoint::make, http::StatusCode, listener::TcpAcceptor,
};
use serde_json::{Value, json};
use testing::Database;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::service::{Answer, Service, User};

const SEARCH: &str = "/v2/local/search/keyword.json";
const REGION: &str = "/v2/local/geo/coord2regioncode.json";

/// How the fake answers.
enum Mood {
    Answers(Value),
    Refuses(u16),
    SaysNothing,
    Talks(String),
}

type Heard = Arc<Mutex<(Mood, Vec<(String, String)>)>>;

/// Remembers each request's path with query and its key.
struct Kakao {
    heard: Heard,
    base_url: String,
    _stop: DropGuard,
}

async fn reply(heard: Heard, request: Request) -> poem::Result<Response> {
    let key = request.header("authorization").unwrap_or_default().to_owned();
    let silent = {
        let mut heard = heard.lock().expect("lock");
        heard.1.push((request.uri().to_string(), key));
        match &heard.0 {
            Mood::Answers(body) => return Ok(body.to_string().into_response()),
            Mood::Refuses(status) => return Ok(StatusCode::from_u16(*status).expect("a status").into_response()),
            Mood::Talks(text) => return Ok(text.clone().into_response()),
            Mood::SaysNothing => std::future::pending::<()>(),
        }
    };
    silent.await;
    Ok(Response::default())
}

fn endpoint(heard: &Heard) -> impl Endpoint + use<> {
    let heard = Arc::clone(heard);
    make(move |request| reply(Arc::clone(&heard), request))
}

impl Kakao {
    async fn start(mood: Mood) -> Self {
        let heard: Heard = Arc::new(Mutex::new((mood, Vec::new())));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base_url = format!("http://{}", listener.local_addr().expect("an address"));
        let app = Route::new().at(SEARCH, endpoint(&heard)).at(REGION, endpoint(&heard));
        let stop = CancellationToken::new();
        let acceptor = TcpAcceptor::from_tokio(listener).expect("an acceptor");
        let server = Server::new_with_acceptor(acceptor);
        let stopped = stop.clone();
        tokio::spawn(async move {
            server.run_with_graceful_shutdown(app, stopped.cancelled_owned(), Some(Duration::ZERO)).await
        });
        Self { heard, base_url, _stop: stop.drop_guard() }
    }

    fn is(&self, mood: Mood) {
        self.heard.lock().expect("lock").0 = mood;
    }

    fn requests(&self) -> Vec<(String, String)> {
        self.heard.lock().expect("lock").1.clone()
    }

    async fn service(&self) -> Service {
        Service::start_with(Database::Sqlite, |config| {
            config.kakao_base_url = self.base_url.clone();
            config.kakao_rest_key = Some(Secret::new("not-a-real-key"));
        })
        .await
    }
}

fn place(name: &str) -> Value {
    json!({
        "id": "8131890", "place_name": name, "category_name": "여행 > 공원", "category_group_code": "", "phone": "02-460-2905",
        "address_name": "서울 성동구 성수동1가 678-1", "road_address_name": "서울 성동구 뚝섬로 273",
        "x": "127.0374", "y": "37.5444", "place_url": "http://place.map.kakao.com/8131890", "distance": "",
    })
}

fn places(names: &[&str], is_end: bool) -> Value {
    let documents: Vec<Value> = names.iter().map(|name| place(name)).collect();
    json!({"documents": documents, "meta": {"is_end": is_end, "pageable_count": 45, "total_count": 99}})
}

async fn find(service: &Service, user: &User, query: &str) -> Answer {
    service.get(&format!("/places?{query}"), user).await
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_found_page_by_page_and_remembered() {
    let kakao = Kakao::start(Mood::Answers(places(&["서울숲", "서울숲역"], false))).await;
    let service = kakao.service().await;
    let user = service.sign_up("밍기").await;
    let page = find(&service, &user, "query=서울숲&lat=37.54441&lng=127.03742").await.expect(200);
    let found = &page["items"][0];
    assert_eq!((&found["latitude"], &found["longitude"]), (&json!(37.5444), &json!(127.0374)));
    assert_eq!((&found["name"], &found["kakao_place_id"]), (&json!("서울숲"), &json!("8131890")));
    let (asked, key) = kakao.requests()[0].clone();
    assert_eq!(key, "KakaoAK not-a-real-key");
    for part in ["y=37.544", "x=127.037", "sort=distance", "page=1", "size=15", "query=%EC%84%9C%EC%9A%B8%EC%88%B2"] {
        assert!(asked.contains(part), "{asked}");
    }
    // Nearly the same place, in the next ten minutes, is the same question.
    find(&service, &user, "query=+서울숲+&lat=37.54442&lng=127.03743").await.expect(200);
    assert_eq!(kakao.requests().len(), 1);
    service.clock.advance(Duration::from_secs(600));
    find(&service, &user, "query=서울숲&lat=37.54441&lng=127.03742").await.expect(200);
    assert_eq!(kakao.requests().len(), 2);

    kakao.is(Mood::Answers(places(&[], true)));
    let cursor = page["next_cursor"].as_str().expect("a cursor");
    let next =
        find(&service, &user, &format!("query=서울숲&lat=37.54441&lng=127.03742&cursor={cursor}")).await.expect(200);
    assert_eq!(next, json!({"items": []}));
    assert!(kakao.requests()[2].0.contains("page=2"));
    for (query, field) in [
        ("query=", "query"),
        ("lat=1&lng=1", "query"),
        ("query=a&lat=1", "lng"),
        ("query=a&lng=1", "lat"),
        ("query=a&lat=91&lng=1", "lat"),
        ("query=a&lat=1&lng=NaN", "lng"),
        ("query=a&cursor=NDY", "cursor"),
    ] {
        let refused = find(&service, &user, query).await.refused(400, "invalid_input");
        assert_eq!(refused["errors"][0]["field"], field, "{query}");
    }
    service.call(reqwest::Method::GET, "/places?query=a", None, None).await.refused(401, "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_legal_region_of_a_point_is_told() {
    let region = |kind: &str, code: &str| {
        json!({"region_type": kind, "address_name": "서울특별시 성동구 성수동1가", "region_1depth_name": "서울특별시",
               "region_2depth_name": "성동구", "region_3depth_name": "성수동1가", "region_4depth_name": "", "code": code,
               "x": 127.03, "y": 37.54})
    };
    let both = json!({"documents": [region("H", "1120065000"), region("B", "1120011400")], "meta": {"total_count": 2}});
    let kakao = Kakao::start(Mood::Answers(both)).await;
    let service = kakao.service().await;
    let user = service.sign_up("밍기").await;
    let found = service.get("/places/region?lat=37.5444&lng=127.0374", &user).await.expect(200);
    assert_eq!(found, json!({"sido": "서울특별시", "sigungu": "성동구", "code": "1120011400"}));
    kakao.is(Mood::Answers(json!({"documents": [], "meta": {"total_count": 0}})));
    for _ in 0..2 {
        service.get("/places/region?lat=30&lng=130", &user).await.refused(404, "not_found");
    }
    assert_eq!(kakao.requests().len(), 2, "that there is none is remembered too");
    service.get("/places/region?lat=30", &user).await.refused(400, "invalid_input");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_kakao_does_people_get_a_clear_answer() {
    let kakao = Kakao::start(Mood::Answers(places(&[], true))).await;
    let service = kakao.service().await;
    let user = service.sign_up("밍기").await;
    let mut wrong = place("어디");
    wrong["y"] = json!("north");
    for (number, mood) in [
        Mood::Refuses(401),
        Mood::Refuses(429),
        Mood::Refuses(500),
        Mood::Refuses(302),
        Mood::SaysNothing,
        Mood::Talks("<html>".to_owned()),
        Mood::Talks("{}".to_owned()),
        Mood::Talks("[".repeat(300_000)),
        Mood::Answers(json!({"documents": [wrong], "meta": {"is_end": true}})),
    ]
    .into_iter()
    .enumerate()
    {
        kakao.is(mood);
        find(&service, &user, &format!("query=q{number}")).await.refused(502, "places_unavailable");
    }
    // An error is not remembered.
    kakao.is(Mood::Answers(places(&["서울숲"], true)));
    assert_eq!(find(&service, &user, "query=q0").await.expect(200)["items"][0]["name"], "서울숲");
    drop(kakao);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_places_are_not_set_up() {
    let service = Service::start(Database::Sqlite).await;
    let user = service.sign_up("밍기").await;
    find(&service, &user, "query=서울숲").await.refused(503, "places_not_configured");
    service.get("/places/region?lat=37&lng=127", &user).await.refused(503, "places_not_configured");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_look_for_is_not_in_errors() {
    // Connecting to the database has chosen the TLS that clients need.
    let service = Service::start(Database::Sqlite).await;
    let kakao = api::places::kakao::Kakao::new("http://127.0.0.1:1", Secret::new("not-a-real-key")).expect("a client");
    let search = api::places::kakao::Search::new("doctor".to_owned(), Some((37.5444, 127.0374)), 1, 15);
    let error = kakao.search(search, &service.clock).await.expect_err("nobody listens there");
    let text = format!("{error} {error:?}");
    for private in ["doctor", "37.544", "127.037", "not-a-real-key"] {
        assert!(!text.contains(private), "{text}");
    }
}

//! Calendar files and feeds, read by an independent parser.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use testing::Database;

use crate::{
    meetups::{new_meetup, open},
    service::{Service, User},
};

testing::on_each_database!(a_feed_has_what_one_takes_part_in,);

/// The properties of each event.
fn events(file: &Value) -> Vec<BTreeMap<String, String>> {
    let text = file.as_str().expect("a text");
    assert!(text.starts_with("BEGIN:VCALENDAR\r\n") && text.lines().all(|line| line.len() <= 75), "{text}");
    let calendars: Vec<_> = ical::IcalParser::new(text.as_bytes()).collect::<Result<_, _>>().expect("a calendar");
    assert_eq!(calendars.len(), 1);
    let properties = |event: &ical::parser::ical::component::IcalEvent| {
        event.properties.iter().map(|p| (p.name.clone(), p.value.clone().unwrap_or_default())).collect()
    };
    calendars[0].events.iter().map(properties).collect()
}

async fn feed(service: &Service, user: &User) -> String {
    let url = service.get("/me/calendar-feed", user).await.expect(200)["url"].as_str().expect("a url").to_owned();
    let base = format!("http://{}/api/v1", service.address);
    url.strip_prefix(&base).unwrap_or_else(|| panic!("{url}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meetup_is_a_calendar_file() {
    let service = Service::start(Database::Sqlite).await;
    let host = service.sign_up("밍기").await;
    let mut new = new_meetup();
    new["title"] = json!("점심, 스트레칭; \\ 👋");
    new["description"] = json!(format!("첫 줄\n{}", "아주 긴 설명 ".repeat(40)));
    let meetup = service.post("/meetups", &host, new.clone()).await.expect(201);
    let path = format!("/meetups/{}", meetup["id"].as_str().expect("an id"));
    let answer = service.call(Method::GET, &format!("{path}/calendar.ics"), None, None).await;
    assert_eq!(answer.headers["content-type"], "text/calendar; charset=utf-8");
    let event = &events(&answer.expect(200))[0];
    let unescaped = event["SUMMARY"].replace("\\,", ",").replace("\\;", ";").replace("\\\\", "\\");
    assert_eq!(unescaped, new["title"].as_str().expect("a title"));
    assert_eq!((&*event["DTSTART"], &*event["DTEND"]), ("20260301T010000Z", "20260301T030000Z"));
    assert_eq!((&*event["STATUS"], &*event["GEO"]), ("CONFIRMED", "37.5444;127.0374"));
    assert_eq!(event["UID"], format!("{}@mingizuk", meetup["id"].as_str().expect("an id")));
    assert!(event["DESCRIPTION"].starts_with("첫 줄\\n아주 긴 설명"));
    let instant = json!({"ends_at": new["starts_at"]});
    service.call(Method::PATCH, &path, Some(&host.token), Some(instant)).await.expect(200);
    let brief = service.call(Method::GET, &format!("{path}/calendar.ics"), None, None).await.expect(200);
    assert_eq!(events(&brief)[0].get("DTEND"), None, "no end that is not later than the start");
    service.delete(&path, &host).await.expect(204);
    let cancelled = service.call(Method::GET, &format!("{path}/calendar.ics"), None, None).await.expect(200);
    assert_eq!(events(&cancelled)[0]["STATUS"], "CANCELLED");
    let nowhere = "/meetups/00000000-0000-0000-0000-000000000009/calendar.ics";
    service.call(Method::GET, nowhere, None, None).await.refused(404, "not_found");
}

async fn a_feed_has_what_one_takes_part_in(database: Database) {
    let service = Service::start_for_months(database).await;
    let (mingi, other) = (service.sign_up("밍기").await, service.sign_up("무너").await);
    let first = join_all((0..4).map(|_| feed(&service, &mingi))).await;
    assert!(first.iter().all(|path| *path == first[0]), "one address, however many ask for it");
    let (own, joined, waiting) =
        (open(&service, &mingi, None).await, open(&service, &other, None).await, open(&service, &other, Some(2)).await);
    service.put(&format!("{joined}/membership"), &mingi, None).await.expect(200);
    service.put(&format!("{waiting}/membership"), &service.sign_up("먼저").await, None).await.expect(200);
    service.put(&format!("{waiting}/membership"), &mingi, None).await.expect(200);
    let read = async |path: &str| service.call(Method::GET, path, None, None).await;
    let uids = |file: &Value| {
        let mut all: Vec<_> =
            events(file).iter().map(|e| format!("/meetups/{}", e["UID"].replace("@mingizuk", ""))).collect();
        all.sort();
        all
    };
    assert_eq!(uids(&read(&first[0]).await.expect(200)), [own.clone(), joined.clone()]);
    service.delete(&format!("{joined}/membership"), &mingi).await.expect(204);
    assert_eq!(uids(&read(&first[0]).await.expect(200)), [own]);
    service.clock.advance(std::time::Duration::from_secs(31 * 86_400));
    assert_eq!(uids(&read(&first[0]).await.expect(200)), Vec::<String>::new());

    let change = json!({"old_password": "stretch2gether", "new_password": "other4password"});
    service.put("/me/password", &mingi, Some(change)).await.expect(204);
    read(&first[0]).await.refused(404, "not_found");
    let second = feed(&service, &mingi).await;
    read(&second).await.expect(200);
    read(&second.replace(".ics", "%20.ics")).await.refused(404, "not_found");
    service.delete("/me", &mingi).await.expect(204);
    for path in [&*second, "/calendar-feeds/.ics", "/calendar-feeds/nonsense", "/calendar-feeds/nonsense.ics"] {
        read(path).await.refused(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_is_where_the_service_is_reached() {
    let configure =
        |config: &mut common::config::Config| config.public_url = Some("https://api.example.com/".to_owned());
    let service = Service::start_with(Database::Sqlite, configure).await;
    let mingi = service.sign_up("밍기").await;
    let url = service.get("/me/calendar-feed", &mingi).await.expect(200)["url"].as_str().expect("a url").to_owned();
    assert!(url.starts_with("https://api.example.com/api/v1/calendar-feeds/") && url.ends_with(".ics"), "{url}");
}

//! Search for meetups.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use testing::Database;

use crate::{
    meetups::new_meetup,
    service::{Service, User},
};

testing::on_each_database!(
    meetups_are_found_by_their_words,
    meetups_are_found_by_place_time_and_state,
    the_nearest_come_first_however_far_apart_they_are,
    every_order_goes_on_where_it_was_while_rows_come_and_go,
);

async fn open_like(service: &Service, host: &User, changes: Value) -> String {
    let mut new = new_meetup();
    for (name, value) in changes.as_object().expect("an object") {
        match name.as_str() {
            "at" => {
                new["place"]["latitude"] = value[0].clone();
                new["place"]["longitude"] = value[1].clone();
            }
            "code" => new["place"]["region"]["code"] = value.clone(),
            "place" => new["place"]["name"] = value.clone(),
            _ => new[name] = value.clone(),
        }
    }
    service.post("/meetups", host, new).await.expect(201)["id"].as_str().expect("an id").to_owned()
}

async fn list(service: &Service, query: &str) -> Value {
    service.call(Method::GET, &format!("/meetups?{query}"), None, None).await.expect(200)
}

fn titles(page: &Value) -> Vec<&str> {
    page["items"].as_array().expect("items").iter().filter_map(|item| item["title"].as_str()).collect()
}

async fn meetups_are_found_by_their_words(database: Database) {
    let service = Service::start(database).await;
    let host = service.sign_up("밍기").await;
    for (title, description, place) in [
        ("점심 스트레칭", "서울숲에서 30분", "서울숲"),
        ("Yoga 100%_!", "Stretch together", "Han River"),
        ("저녁 달리기", "숲길을 달려요", "올림픽공원"),
    ] {
        open_like(&service, &host, json!({"title": title, "description": description, "place": place})).await;
    }
    for (q, found) in [
        ("스트레칭", vec!["점심 스트레칭"]),
        ("점심 스트", vec!["점심 스트레칭"]),
        ("레칭점심", vec![]),
        ("숲", vec!["저녁 달리기", "점심 스트레칭"]),
        ("서울숲 30분", vec!["점심 스트레칭"]),
        ("YOGA", vec!["Yoga 100%_!"]),
        ("ｙｏｇａ", vec!["Yoga 100%_!"]),
        ("stretch river", vec!["Yoga 100%_!"]),
        ("100", vec!["Yoga 100%_!"]),
        ("올림픽", vec!["저녁 달리기"]),
        ("성동구", vec!["저녁 달리기", "Yoga 100%_!", "점심 스트레칭"]),
        ("없는말", vec![]),
        ("stretch together han river 100 absent", vec![]),
        ("stretch together han river 성동구 yoga", vec!["Yoga 100%_!"]),
        ("' OR 1=1 --", vec![]),
    ] {
        let page = list(&service, &format!("q={}", q.replace(' ', "+").replace('=', "%3D"))).await;
        assert_eq!(titles(&page), found, "{q}");
    }
    for nothing in ["%25", "%21%21", "%F0%9F%91%8B"] {
        let answer = service.call(Method::GET, &format!("/meetups?q={nothing}"), None, None).await;
        assert_eq!(answer.refused(400, "invalid_input")["errors"][0]["code"], "malformed", "{nothing}");
    }
    service
        .call(Method::GET, &format!("/meetups?q={}", "가".repeat(51)), None, None)
        .await
        .refused(400, "invalid_input");
}

async fn meetups_are_found_by_place_time_and_state(database: Database) {
    let service = Service::start(database).await;
    let host = service.sign_up("밍기").await;
    for (title, at, code, starts, ends) in [
        ("서울숲", [37.5444, 127.0374], "1120011400", "2026-03-01T01:00:00Z", "2026-03-01T03:00:00Z"),
        ("성수역", [37.5446, 127.0557], "1120011500", "2026-03-02T01:00:00Z", "2026-03-02T02:00:00Z"),
        ("강남역", [37.4979, 127.0276], "1168010100", "2026-03-03T01:00:00Z", "2026-03-03T02:00:00Z"),
        ("부산역", [35.1151, 129.0422], "2617010300", "2026-03-04T01:00:00Z", "2026-03-04T02:00:00Z"),
    ] {
        let changes = json!({"title": title, "at": at, "code": code, "starts_at": starts, "ends_at": ends});
        open_like(&service, &host, changes).await;
    }
    let near = "lat=37.5444&lng=127.0374";
    for (query, found) in [
        ("region=11".to_owned(), vec!["강남역", "성수역", "서울숲"]),
        ("region=11200".to_owned(), vec!["성수역", "서울숲"]),
        ("region=1120011500".to_owned(), vec!["성수역"]),
        ("region=9".to_owned(), vec![]),
        (format!("{near}&radius=1000"), vec!["서울숲"]),
        (format!("{near}&radius=2000"), vec!["성수역", "서울숲"]),
        (format!("{near}&radius=30000&sort=distance"), vec!["서울숲", "성수역", "강남역"]),
        ("sort=soonest".to_owned(), vec!["서울숲", "성수역", "강남역", "부산역"]),
        ("from=2026-03-02T01:00:00Z&to=2026-03-03T01:00:00Z".to_owned(), vec!["성수역"]),
        ("q=역&region=11&sort=soonest".to_owned(), vec!["성수역", "강남역"]),
        (format!("q=역&{near}&radius=5500&state=upcoming&sort=distance"), vec!["성수역", "강남역"]),
    ] {
        assert_eq!(titles(&list(&service, &query).await), found, "{query}");
    }
    let nearest = list(&service, &format!("{near}&radius=30000&sort=distance")).await;
    let metres: Vec<_> =
        nearest["items"].as_array().expect("items").iter().filter_map(|i| i["distance_m"].as_i64()).collect();
    assert_eq!(metres[0], 0);
    assert!((1_600..1_630).contains(&metres[1]) && (5_200..5_270).contains(&metres[2]), "{metres:?}");

    service.clock.set("2026-03-02T01:30:00Z".parse().expect("a time"));
    for (state, found) in [
        ("upcoming", vec!["부산역", "강남역"]),
        ("ongoing", vec!["성수역"]),
        ("ended", vec!["서울숲"]),
        ("cancelled", vec![]),
    ] {
        assert_eq!(titles(&list(&service, &format!("state={state}")).await), found, "{state}");
    }
    for (query, field) in [
        ("lat=37", "lng"),
        ("lat=91&lng=0&radius=10", "lat"),
        ("lat=NaN&lng=0&radius=10", "lat"),
        ("lat=0&lng=0&radius=0", "radius"),
        ("lat=0&lng=0&radius=30001", "radius"),
        ("sort=distance", "sort"),
        ("sort=best", "sort"),
        ("region=11x", "region"),
        ("state=open", "state"),
        ("from=yesterday", "from"),
        ("cursor=xyz", "cursor"),
        ("limit=51", "limit"),
    ] {
        let refused =
            service.call(Method::GET, &format!("/meetups?{query}"), None, None).await.refused(400, "invalid_input");
        assert_eq!(refused["errors"][0]["field"], field, "{query}");
    }
}

async fn the_nearest_come_first_however_far_apart_they_are(database: Database) {
    const METRES: [i64; 12] = [0, 90, 480, 520, 1_990, 2_010, 7_990, 8_010, 15_000, 15_000, 29_990, 30_020];
    let service = Service::start(database).await;
    let host = service.sign_up("밍기").await;
    // The farthest first, every other one to the north and to the east.
    for (n, metres) in METRES.into_iter().enumerate().rev() {
        let north = f64::from(i32::try_from(metres).expect("few")) / 111_195.0;
        let east = north / 37.5_f64.to_radians().cos();
        let at = if n % 2 == 0 { [37.5 + north, 127.0] } else { [37.5, 127.0 + east] };
        open_like(&service, &host, json!({"at": at})).await;
    }
    for limit in [1, 2, 5, 50] {
        let (mut seen, mut ids, mut cursor) = (Vec::new(), BTreeSet::new(), String::new());
        loop {
            let query = format!("sort=distance&lat=37.5&lng=127&radius=30000&limit={limit}{cursor}");
            let page = list(&service, &query).await;
            for item in page["items"].as_array().expect("items") {
                seen.push(item["distance_m"].as_i64().expect("metres"));
                ids.insert(item["id"].to_string());
            }
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, METRES[..11], "{limit} at a time");
        assert_eq!(ids.len(), 11, "{limit} at a time: nothing twice");
    }
}

async fn every_order_goes_on_where_it_was_while_rows_come_and_go(database: Database) {
    let service = Service::start(database).await;
    let host = service.sign_up("밍기").await;
    let mut ids = Vec::new();
    for n in 0..12 {
        let changes = json!({
            "at": [37.5 + f64::from(n % 4) * 0.001, 127.0],
            "starts_at": format!("2026-03-0{}T01:00:00Z", 2 + n % 3), "ends_at": "2026-03-09T01:00:00Z",
        });
        ids.push(open_like(&service, &host, changes).await);
    }
    for id in &ids[..6] {
        service.put(&format!("/meetups/{id}/like"), &host, None).await.expect(200);
    }
    for order in ["latest", "likes", "soonest", "distance&lat=37.5&lng=127.0&radius=5000"] {
        let (mut seen, mut cursor, mut gone) = (Vec::new(), String::new(), None);
        loop {
            let page = list(&service, &format!("sort={order}&limit=5{cursor}")).await;
            seen.extend(
                page["items"].as_array().expect("items").iter().map(|i| i["id"].as_str().expect("an id").to_owned()),
            );
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
            if gone.is_none() {
                // One that was seen goes, and so does one that was not; a new one comes.
                let unseen = ids.iter().find(|id| !seen.contains(id)).expect("an id").clone();
                service.delete(&format!("/meetups/{}", seen[0]), &host).await.expect(204);
                service.delete(&format!("/meetups/{unseen}"), &host).await.expect(204);
                let changes = json!({"at": [37.5, 127.0], "starts_at": "2026-03-01T02:00:00Z", "ends_at": "2026-03-09T01:00:00Z"});
                ids.push(open_like(&service, &host, changes).await);
                gone = Some([seen[0].clone(), unseen]);
            }
        }
        let once: BTreeSet<_> = seen.iter().cloned().collect();
        assert_eq!(once.len(), seen.len(), "{order}: nothing twice");
        let [first, unseen] = gone.expect("two pages");
        assert!(!seen.contains(&unseen), "{order}");
        ids.retain(|id| *id != first && *id != unseen);
        let newest = ids.last().expect("an id");
        assert!(ids.iter().all(|id| id == newest || once.contains(id)), "{order}: nothing missing");
    }
    let latest = list(&service, "limit=2").await;
    let cursor = latest["next_cursor"].as_str().expect("a cursor");
    let other = format!("/meetups?sort=likes&cursor={cursor}");
    service.call(Method::GET, &other, None, None).await.refused(400, "invalid_input");
}

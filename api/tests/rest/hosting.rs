//! Host operations (change, cancel, hand over, remove), the waiting list, and races for places, likes and the role of
//! host.

use std::time::Duration;

use common::rooms::Range;
use futures_util::future::{join, join_all};
use reqwest::Method;
use serde_json::{Value, json};
use testing::Database;

use crate::{
    meetups::{new_meetup, open},
    service::{Service, User},
};

testing::on_each_database!(
    the_host_changes_a_meetup_and_nobody_else,
    a_larger_capacity_lets_people_move_up_in_their_order,
    who_has_withdrawn_does_not_move_up_but_keeps_waiting,
    a_meetup_is_called_off_once_and_its_room_told,
    a_meetup_is_handed_over_to_a_member,
    whoever_is_removed_cannot_come_back,
    a_hundred_people_join_at_once_and_ten_get_in,
    likes_count_each_person_once_however_fast_they_come,
    a_host_who_leaves_while_handing_over_leaves_one_host,
    removing_someone_who_leaves_counts_once,
    ones_own_meetups_are_listed_by_role,
);

async fn join_meetup(service: &Service, meetup: &str, user: &User) -> Value {
    service.put(&format!("{meetup}/membership"), user, None).await.expect(200)
}

async fn sign_up_many(service: &Service, count: usize) -> Vec<User> {
    let mut people = Vec::new();
    // Hashing passwords has a queue, which a storm of sign-ups would fill.
    for first in (0..count).step_by(10) {
        let some = (first..count.min(first + 10)).map(|n| async move { service.sign_up(&format!("사람{n}")).await });
        people.extend(join_all(some).await);
    }
    people
}

async fn get(service: &Service, path: &str) -> Value {
    service.call(Method::GET, path, None, None).await.expect(200)
}

fn counts(meetup: &Value) -> (i64, i64) {
    let field = |name: &str| meetup[name].as_i64().expect("a count");
    (field("member_count"), field("waiting_count"))
}

/// Every member, page by page.
async fn members(service: &Service, meetup: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(service, &format!("{meetup}/members?limit=50{cursor}")).await;
        all.extend(page["items"].as_array().expect("items").clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

/// The entries of a room, once everything is told.
async fn entries(service: &Service, meetup: &str) -> Vec<Value> {
    service.backends.relay.drain().await.expect("told");
    let room = meetup.trim_start_matches("/meetups/").parse().expect("an id");
    let page = service.backends.rooms.read(room, Range::After(0), 1_000).await.expect("a page");
    page.entries.iter().map(|entry| serde_json::from_str(&entry.json).expect("JSON")).collect()
}

async fn the_host_changes_a_meetup_and_nobody_else(database: Database) {
    let service = Service::start(database).await;
    let (host, guest) = (service.sign_up("밍기").await, service.sign_up("무너").await);
    let meetup = open(&service, &host, Some(3)).await;
    join_meetup(&service, &meetup, &guest).await;
    let before = get(&service, &meetup).await;
    assert_eq!(service.patch(&meetup, &host, json!({})).await.expect(200)["title"], before["title"]);
    let changes = json!({"title": "저녁 산책", "capacity": null, "image_url": "https://a.example/x.png"});
    let after = service.patch(&meetup, &host, changes).await.expect(200);
    assert_eq!(
        (&after["title"], after.get("capacity"), &after["place"]),
        (&json!("저녁 산책"), None, &before["place"])
    );
    assert_eq!(get(&service, &meetup).await, after);
    let found = async |q: &str| get(&service, &format!("/meetups?q={q}")).await["items"].as_array().map(Vec::len);
    assert_eq!((found("산책").await, found("점심").await), (Some(1), Some(0)), "it is found by its new title");

    for (changes, field, code) in [
        (json!({"title": null}), "title", "missing"),
        (json!({"title": " "}), "title", "empty"),
        (json!({"starts_at": "2026-02-01T00:00:00Z"}), "starts_at", "in_the_past"),
        (json!({"ends_at": "2026-03-01T00:30:00Z"}), "ends_at", "before_start"),
        (json!({"capacity": 501}), "capacity", "out_of_range"),
        (json!({"host": "me"}), "host", "unknown"),
    ] {
        let refused = service.patch(&meetup, &host, changes.clone()).await.refused(400, "invalid_input");
        assert_eq!((&refused["errors"][0]["field"], &refused["errors"][0]["code"]), (&json!(field), &json!(code)));
    }
    assert_eq!(get(&service, &meetup).await, after, "what is refused changes nothing");
    service.patch(&meetup, &guest, json!({"title": "x"})).await.refused(403, "not_the_host");
    let nowhere = "/meetups/00000000-0000-0000-0000-000000000009";
    service.patch(nowhere, &host, json!({"title": "x"})).await.refused(404, "not_found");

    // Once it has begun it keeps its beginning; once it is over it stays as it was.
    service.clock.set("2026-03-01T02:00:00Z".parse().expect("a time"));
    let host = user_again(&service, &host).await;
    let moved = json!({"starts_at": "2026-03-01T05:00:00Z", "ends_at": "2026-03-01T06:00:00Z"});
    let refused = service.patch(&meetup, &host, moved).await.refused(400, "invalid_input");
    assert_eq!(refused["errors"][0]["code"], "has_begun");
    service.patch(&meetup, &host, json!({"ends_at": "2026-03-01T02:10:00Z"})).await.expect(200);
    service.clock.advance(Duration::from_secs(600));
    service.patch(&meetup, &host, json!({"title": "x"})).await.refused(409, "meetup_over");
    service.delete(&meetup, &host).await.refused(409, "meetup_over");
}

/// The same user with a fresh access token.
async fn user_again(service: &Service, user: &User) -> User {
    let body = json!({"refresh_token": user.refresh_token});
    let answer = service.call(Method::POST, "/auth/refresh", None, Some(body)).await.expect(200);
    let text = |name: &str| answer[name].as_str().expect("a token").to_owned();
    User { id: user.id.clone(), token: text("access_token"), refresh_token: text("refresh_token") }
}

async fn a_larger_capacity_lets_people_move_up_in_their_order(database: Database) {
    let service = Service::start(database).await;
    let people = sign_up_many(&service, 7).await;
    let meetup = open(&service, &people[0], Some(2)).await;
    // Not in the order of their ids, and all at the same instant.
    let came: Vec<_> = std::iter::once(&people[0]).chain(people[1..].iter().rev()).collect();
    for person in &came[1..] {
        join_meetup(&service, &meetup, person).await;
    }
    assert_eq!(counts(&get(&service, &meetup).await), (2, 5));
    service.patch(&meetup, &people[0], json!({"capacity": 4})).await.expect(200);
    let ids: Vec<_> = members(&service, &meetup).await.iter().map(|m| m["user"]["id"].clone()).collect();
    assert_eq!(ids.len(), 4);
    assert!(came[..4].iter().all(|person| ids.contains(&json!(person.id))), "who came first");
    service.patch(&meetup, &people[0], json!({"capacity": 3})).await.refused(409, "capacity_below_members");
    let after = service.patch(&meetup, &people[0], json!({"capacity": null})).await.expect(200);
    assert_eq!(counts(&after), (7, 0));
    let told = entries(&service, &meetup).await;
    let joined = told.iter().filter(|entry| entry["change"] == "joined").count();
    assert_eq!(joined, 6, "each once: {told:?}");
}

async fn who_has_withdrawn_does_not_move_up_but_keeps_waiting(database: Database) {
    let service = Service::start(database).await;
    let people = sign_up_many(&service, 4).await;
    let meetup = open(&service, &people[0], Some(2)).await;
    for person in &people[1..] {
        join_meetup(&service, &meetup, person).await;
    }
    assert_eq!(counts(&get(&service, &meetup).await), (2, 2));
    service.delete("/me", &people[2]).await.expect(204);
    service.delete(&format!("{meetup}/membership"), &people[1]).await.expect(204);
    let ids: Vec<_> = members(&service, &meetup).await.iter().map(|m| m["user"]["id"].clone()).collect();
    // All came at the same instant: in the order of their ids.
    assert!(ids.len() == 2 && ids.contains(&json!(people[0].id)) && ids.contains(&json!(people[3].id)), "{ids:?}");
    assert_eq!(counts(&get(&service, &meetup).await), (2, 1));
}

async fn a_meetup_is_called_off_once_and_its_room_told(database: Database) {
    let service = Service::start(database).await;
    let (host, guest) = (service.sign_up("밍기").await, service.sign_up("무너").await);
    let meetup = open(&service, &host, None).await;
    join_meetup(&service, &meetup, &guest).await;
    service.delete(&meetup, &guest).await.refused(403, "not_the_host");
    service.delete(&meetup, &host).await.expect(204);
    service.delete(&meetup, &host).await.expect(204);
    let told = entries(&service, &meetup).await;
    assert_eq!(told.iter().filter(|entry| entry["type"] == "closed").count(), 1);
    assert_eq!(told.last().expect("an entry")["reason"], "cancelled");
    let message = json!({"text": "아직?"});
    service.post(&format!("{meetup}/messages"), &guest, message).await.refused(409, "room_read_only");
    let list = async |query: &str| get(&service, &format!("/meetups{query}")).await["items"].as_array().map(Vec::len);
    assert_eq!((list("").await, list("?state=cancelled").await), (Some(0), Some(1)));
    service
        .put(&format!("{meetup}/membership"), &service.sign_up("늦은이").await, None)
        .await
        .refused(409, "meetup_over");
}

async fn a_meetup_is_handed_over_to_a_member(database: Database) {
    let service = Service::start(database).await;
    let people = sign_up_many(&service, 4).await;
    let [host, heir, waiting, stranger] = [0, 1, 2, 3].map(|n| &people[n]);
    let meetup = open(&service, host, Some(2)).await;
    join_meetup(&service, &meetup, heir).await;
    join_meetup(&service, &meetup, waiting).await;
    let hand_over = |by, to: &User| {
        let (service, path, body) = (&service, format!("{meetup}/host"), json!({"user_id": to.id}));
        async move { service.put(&path, by, Some(body)).await }
    };
    hand_over(host, waiting).await.refused(409, "host_must_be_member");
    hand_over(host, stranger).await.refused(409, "host_must_be_member");
    hand_over(heir, heir).await.refused(403, "not_the_host");
    service.delete(&format!("{meetup}/membership"), host).await.refused(409, "host_cannot_leave");
    let after = hand_over(host, heir).await.expect(200);
    assert_eq!(after["host"]["id"], json!(heir.id));
    hand_over(host, host).await.refused(403, "not_the_host");
    service.delete(&format!("{meetup}/membership"), host).await.expect(204);
    assert_eq!(counts(&get(&service, &meetup).await), (2, 0), "the one who waited has moved up");
    let told = entries(&service, &meetup).await;
    let changes: Vec<_> = told.iter().map(|entry| entry["change"].as_str().unwrap_or_default()).collect();
    assert_eq!(changes, ["joined", "host", "left", "joined"]);
}

async fn whoever_is_removed_cannot_come_back(database: Database) {
    let service = Service::start(database).await;
    let people = sign_up_many(&service, 4).await;
    let [host, guest, waiting, stranger] = [0, 1, 2, 3].map(|n| &people[n]);
    let meetup = open(&service, host, Some(2)).await;
    join_meetup(&service, &meetup, guest).await;
    join_meetup(&service, &meetup, waiting).await;
    let remove = |by, who: &User| {
        let (service, path) = (&service, format!("{meetup}/members/{}", who.id));
        async move { service.delete(&path, by).await }
    };
    remove(guest, host).await.refused(403, "not_the_host");
    remove(host, host).await.refused(409, "host_cannot_leave");
    remove(host, stranger).await.refused(404, "not_found");
    remove(host, guest).await.expect(204);
    remove(host, guest).await.expect(204);
    service.put(&format!("{meetup}/membership"), guest, None).await.refused(403, "removed_from_meetup");
    service.get(&format!("{meetup}/messages"), guest).await.refused(403, "not_a_member");
    service.get(&format!("{meetup}/messages"), waiting).await.expect(200);
    let after = get(&service, &meetup).await;
    assert_eq!(counts(&after), (2, 0));
    let changes: Vec<_> = entries(&service, &meetup).await.iter().map(|e| e["change"].clone()).collect();
    assert_eq!(changes, ["joined", "removed", "joined"]);
}

async fn a_hundred_people_join_at_once_and_ten_get_in(database: Database) {
    let service = Service::start(database).await;
    let host = service.sign_up("밍기").await;
    let meetup = open(&service, &host, Some(10)).await;
    let people = sign_up_many(&service, 100).await;
    let answers = join_all(people.iter().map(|person| join_meetup(&service, &meetup, person))).await;
    let inside = answers.iter().filter(|answer| answer["state"] == "member").count();
    assert_eq!((inside, counts(&get(&service, &meetup).await)), (9, (10, 91)));
    assert_eq!(members(&service, &meetup).await.len(), 10);

    // Half of them leave at once, wherever they stand: the places are filled again, and nobody is lost.
    let path = format!("{meetup}/membership");
    join_all(people[..50].iter().map(|person| async { service.delete(&path, person).await.expect(204) })).await;
    assert_eq!(counts(&get(&service, &meetup).await), (10, 41));
    let left: Vec<_> = members(&service, &meetup).await.iter().map(|m| m["user"]["id"].clone()).collect();
    assert!(people[..50].iter().all(|person| !left.contains(&json!(person.id))));
}

async fn likes_count_each_person_once_however_fast_they_come(database: Database) {
    let service = Service::start(database).await;
    let host = service.sign_up("밍기").await;
    let meetup = open(&service, &host, None).await;
    let people = sign_up_many(&service, 20).await;
    let path = format!("{meetup}/like");
    let like = |n: usize| {
        let (service, person, path) = (&service, &people[n % 20], &path);
        async move { service.put(path, person, None).await.expect(200) }
    };
    join_all((0..100).map(like)).await;
    assert_eq!(get(&service, &meetup).await["like_count"], 20);
    let unlike = |n: usize| {
        let (service, person, path) = (&service, &people[n % 5], &path);
        async move { service.delete(path, person).await.expect(200) }
    };
    let answers = join_all((0..25).map(unlike)).await;
    assert!(answers.iter().all(|answer| answer["liked"] == false));
    assert_eq!(get(&service, &meetup).await["like_count"], 15);
    let mine = service.get("/me/meetups?role=liked", &people[7]).await.expect(200);
    assert_eq!(mine["items"].as_array().map(Vec::len), Some(1));
    let nowhere = "/meetups/00000000-0000-0000-0000-000000000009/like";
    service.put(nowhere, &host, None).await.refused(404, "not_found");
}

async fn a_host_who_leaves_while_handing_over_leaves_one_host(database: Database) {
    let service = Service::start(database).await;
    let people = sign_up_many(&service, 3).await;
    for _ in 0..5 {
        let meetup = open(&service, &people[0], None).await;
        join_meetup(&service, &meetup, &people[1]).await;
        join_meetup(&service, &meetup, &people[2]).await;
        let (path, heir) = (format!("{meetup}/membership"), json!({"user_id": people[1].id}));
        let host_path = format!("{meetup}/host");
        // The host hands over and leaves, while the heir leaves too.
        let handing = service.put(&host_path, &people[0], Some(heir));
        let leaving = join(service.delete(&path, &people[0]), service.delete(&path, &people[1]));
        let (handed, (host_left, heir_left)) = join(handing, leaving).await;
        for answer in [&handed, &host_left, &heir_left] {
            assert!(answer.status.as_u16() < 500, "{}", answer.body);
        }
        let after = get(&service, &meetup).await;
        let inside: Vec<_> = members(&service, &meetup).await;
        assert_eq!(counts(&after), (i64::try_from(inside.len()).expect("few"), 0));
        let hosts: Vec<_> = inside.iter().filter(|member| member["role"] == "host").collect();
        assert_eq!(hosts.len(), 1, "{after:#}");
        assert_eq!(hosts[0]["user"]["id"], after["host"]["id"]);
    }
}

async fn removing_someone_who_leaves_counts_once(database: Database) {
    let service = Service::start(database).await;
    let people = sign_up_many(&service, 3).await;
    for _ in 0..5 {
        let meetup = open(&service, &people[0], Some(2)).await;
        join_meetup(&service, &meetup, &people[1]).await;
        join_meetup(&service, &meetup, &people[2]).await;
        let (removal, own) = (format!("{meetup}/members/{}", people[1].id), format!("{meetup}/membership"));
        let (removed, left) = join(service.delete(&removal, &people[0]), service.delete(&own, &people[1])).await;
        assert!(
            matches!(removed.status.as_u16(), 204 | 404) && left.status == 204,
            "{} {}",
            removed.status,
            left.status
        );
        assert_eq!(counts(&get(&service, &meetup).await), (2, 0));
    }
}

async fn ones_own_meetups_are_listed_by_role(database: Database) {
    let service = Service::start(database).await;
    let (mingi, other) = (service.sign_up("밍기").await, service.sign_up("무너").await);
    let mut hosted = Vec::new();
    for _ in 0..3 {
        hosted.push(open(&service, &mingi, Some(2)).await);
    }
    let joined = open(&service, &other, Some(2)).await;
    join_meetup(&service, &joined, &mingi).await;
    let waiting = open(&service, &other, Some(2)).await;
    join_meetup(&service, &waiting, &service.sign_up("먼저").await).await;
    join_meetup(&service, &waiting, &mingi).await;
    service.put(&format!("{waiting}/like"), &mingi, None).await.expect(200);
    for text in ["하나", "둘"] {
        service.post(&format!("{joined}/comments"), &mingi, json!({"text": text})).await.expect(201);
    }
    let list = async |role: &str| {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = service.get(&format!("/me/meetups?role={role}&limit=2{cursor}"), &mingi).await.expect(200);
            let paths = page["items"].as_array().expect("items").iter();
            all.extend(paths.map(|item| format!("/meetups/{}", item["id"].as_str().expect("an id"))));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    };
    let latest = |paths: &[&String]| paths.iter().rev().map(|path| (*path).clone()).collect::<Vec<_>>();
    assert_eq!(list("hosted").await, latest(&hosted.iter().collect::<Vec<_>>()));
    assert_eq!(list("joined").await, latest(&[&hosted[0], &hosted[1], &hosted[2], &joined]));
    assert_eq!(list("waiting").await, std::slice::from_ref(&waiting));
    assert_eq!(list("liked").await, [waiting]);
    assert_eq!(list("commented").await, [joined]);
    service.get("/me/meetups", &mingi).await.refused(400, "invalid_input");
    service.get("/me/meetups?role=owned", &mingi).await.refused(400, "invalid_input");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meetup_without_end_cannot_be_made() {
    let service = Service::start(Database::Sqlite).await;
    let host = service.sign_up("밍기").await;
    let mut new = new_meetup();
    new.as_object_mut().expect("an object").remove("ends_at");
    let refused = service.post("/meetups", &host, new).await.refused(400, "invalid_input");
    assert_eq!(refused["errors"][0], json!({"field": "ends_at", "code": "missing"}));
}

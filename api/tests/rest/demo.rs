//! Demo data: as much as was asked for, usable at once, on both databases.

use std::{collections::BTreeMap, time::Instant};

use api::demo::{self, Plan};
use common::{db::sql, time::Timestamp};
use reqwest::Method;
use serde_json::json;
use testing::Database;

use crate::{
    ledger_invariants,
    service::{Service, User},
    workouts::{begin, complete},
};

testing::on_each_database!(
    demo_people_can_log_in_and_read_their_rooms,
    a_thousand_people_are_there_within_half_a_minute,
    demo_meetups_are_in_every_part_of_their_lives,
    the_smallest_demo_is_one_too,
    what_demo_people_did_is_what_the_service_would_have_written,
);

async fn demo_people_can_log_in_and_read_their_rooms(database: Database) {
    let service = Service::start(database).await;
    let mut csv = Vec::new();
    let plan = Plan { users: 30, meetups: 3, members: 20, days: 120, seed: 1 };
    demo::fill(&service.backends, plan, &mut csv).await.expect("filled");
    demo::fill(&service.backends, plan, &mut Vec::new()).await.expect("filled again");
    let csv = String::from_utf8(csv).expect("UTF-8");
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("user_id,nickname,access_token,room_id"));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 60);
    for row in rows.iter().step_by(17) {
        let user = User { id: row[0].to_owned(), token: row[2].to_owned(), refresh_token: String::new() };
        let me = service.get("/me", &user).await.expect(200);
        assert_eq!(me["nickname"], row[1]);
        let page = service.get(&format!("/meetups/{}/messages?limit=50", row[3]), &user).await.expect(200);
        assert!(page["head"].as_u64() > Some(19), "{page:#}");
        let meetup = service.get(&format!("/meetups/{}", row[3]), &user).await.expect(200);
        let tomorrow = service.backends.env.clock.now() + demo::TOKEN_TTL;
        let starts_at: Timestamp = meetup["starts_at"].as_str().expect("a time").parse().expect("a time");
        assert!(meetup["state"] == "upcoming" && starts_at > tomorrow, "{meetup:#}");
        let log_in = json!({"email": me["email"], "password": demo::PASSWORD});
        service.call(Method::POST, "/auth/login", None, Some(log_in)).await.expect(200);
    }
    let wrong = Plan { members: 31, ..plan };
    assert!(demo::fill(&service.backends, wrong, &mut Vec::new()).await.is_err());
}

async fn a_thousand_people_are_there_within_half_a_minute(database: Database) {
    let service = Service::start(database).await;
    let begin = Instant::now();
    let plan = Plan { users: 1_000, meetups: 20, members: 50, days: 90, seed: 1 };
    demo::fill(&service.backends, plan, &mut Vec::new()).await.expect("filled");
    assert!(begin.elapsed().as_secs() < 30, "{:?}", begin.elapsed());
    // Twenty to open, and ten besides, two of them cancelled: these are not listed unless asked for.
    let page = service.call(Method::GET, "/meetups?limit=50", None, None).await.expect(200);
    assert_eq!(page["items"].as_array().map(Vec::len), Some(28));
    for (count, table) in [("like_count", "meetup_likes"), ("comment_count", "comments")] {
        let counted: i64 = page["items"].as_array().expect("items").iter().filter_map(|m| m[count].as_i64()).sum();
        let rows =
            format!("SELECT COUNT(*) FROM {table} r JOIN meetups m ON m.id = r.meetup_id WHERE m.cancelled_at IS NULL");
        let rows: Option<i64> = sql(rows).scalar(&service.backends.db).await.expect("a count");
        assert!(counted > 0 && rows == Some(counted), "{table}: {rows:?}, counted {counted}");
    }
}

async fn demo_meetups_are_in_every_part_of_their_lives(database: Database) {
    let service = Service::start(database).await;
    let plan = Plan { users: 100, meetups: 12, members: 10, days: 60, seed: 1 };
    demo::fill(&service.backends, plan, &mut Vec::new()).await.expect("filled");
    let mut states: BTreeMap<String, usize> = BTreeMap::new();
    let mut meetups = Vec::new();
    for path in ["/meetups?limit=50", "/meetups?state=cancelled"] {
        let page = service.call(Method::GET, path, None, None).await.expect(200);
        meetups.extend(page["items"].as_array().expect("items").clone());
    }
    for meetup in &meetups {
        *states.entry(meetup["state"].as_str().expect("a state").to_owned()).or_default() += 1;
        let times = ["created_at", "starts_at", "ends_at"].map(|name| meetup[name].as_str().expect("a time"));
        assert!(times.is_sorted() && meetup["place"]["lot_address"] != "", "{meetup:#}");
        let full = meetup["capacity"].as_i64() == Some(10);
        assert_eq!(full, meetup["waiting_count"].as_i64() > Some(0), "{meetup:#}");
    }
    // Twelve ahead and one near; the others besides.
    let expected = [("cancelled", 1), ("ended", 3), ("ongoing", 1), ("upcoming", 13)];
    assert_eq!(states, expected.map(|(state, count)| (state.to_owned(), count)).into());
    assert!(meetups.iter().any(|meetup| meetup["image_url"].is_string()));
    counts_agree_and_times_differ(&service).await;
}

/// What is counted on a meetup's row is there, nothing happened before it was opened, and not everything at once.
async fn counts_agree_and_times_differ(service: &Service) {
    let db = &service.backends.db;
    let number = async |select: &'static str| -> i64 { sql(select).scalar(db).await.expect(select).expect(select) };
    for (count, rows) in [
        ("member_count", "meetup_members r WHERE r.state = 'member' AND"),
        ("waiting_count", "meetup_members r WHERE r.state = 'waiting' AND"),
        ("like_count", "meetup_likes r WHERE"),
        ("comment_count", "comments r WHERE"),
    ] {
        let wrong =
            format!("SELECT COUNT(*) FROM meetups m WHERE {count} <> (SELECT COUNT(*) FROM {rows} r.meetup_id = m.id)");
        let wrong: Option<i64> = sql(wrong).scalar(db).await.expect("a count");
        assert_eq!(wrong, Some(0), "{count}");
    }
    for (table, at) in
        [("meetup_members", "since"), ("meetup_likes", "at"), ("comments", "created_at"), ("room_entries", "at")]
    {
        let meetup = if table == "room_entries" { "room_id" } else { "meetup_id" };
        let early =
            format!("SELECT COUNT(*) FROM {table} r JOIN meetups m ON m.id = r.{meetup} WHERE r.{at} < m.created_at");
        let early: Option<i64> = sql(early).scalar(db).await.expect("a count");
        assert_eq!(early, Some(0), "{table}");
        let moments: Option<i64> =
            sql(format!("SELECT COUNT(DISTINCT {at}) FROM {table}")).scalar(db).await.expect("a count");
        assert!(moments > Some(20), "{table}: {moments:?}");
    }
    assert!(number("SELECT COUNT(DISTINCT head) FROM rooms").await > 5);
    assert!(number("SELECT COUNT(*) FROM rooms WHERE notice IS NOT NULL").await > 5);
    assert!(number("SELECT COUNT(DISTINCT time_zone) FROM users").await > 2);
    assert_eq!(number("SELECT COUNT(DISTINCT week_start) FROM users").await, 2);
    assert_eq!(number("SELECT COUNT(*) FROM room_entries WHERE json LIKE '%\"type\":\"closed\"%'").await, 4);
}

async fn the_smallest_demo_is_one_too(database: Database) {
    let service = Service::start(database).await;
    let one = Plan { users: 1, meetups: 10, members: 1, days: 0, seed: 1 };
    let two = Plan { users: 3, meetups: 10, members: 3, days: 1, ..one };
    for (plan, lines) in [(one, 11), (two, 31), (Plan { meetups: 0, ..one }, 1)] {
        let mut csv = Vec::new();
        demo::fill(&service.backends, plan, &mut csv).await.expect("filled");
        assert_eq!(String::from_utf8(csv).expect("UTF-8").lines().count(), lines, "{plan:?}");
    }
    let wrong = sql("SELECT COUNT(*) FROM meetups WHERE starts_at > ends_at OR created_at > starts_at \
         OR (waiting_count > 0 AND member_count < capacity) OR member_count > capacity OR capacity < 2");
    assert_eq!(wrong.scalar::<i64>(&service.backends.db).await.expect("a count"), Some(0));
}

async fn what_demo_people_did_is_what_the_service_would_have_written(database: Database) {
    let service = Service::start(database).await;
    let mut csv = Vec::new();
    let plan = Plan { users: 40, meetups: 1, members: 40, days: 120, seed: 1 };
    demo::fill(&service.backends, plan, &mut csv).await.expect("filled");
    let ledger = ledger_invariants::check(&service.backends.db).await;
    assert!(ledger.awards > 10_000 && ledger.grown > 0 && ledger.longest_streak > 14, "{ledger:?}");
    // They go on where they are.
    let csv = String::from_utf8(csv).expect("UTF-8");
    for row in csv.lines().skip(1) {
        let row: Vec<&str> = row.split(',').collect();
        let user = User { id: row[0].to_owned(), token: row[2].to_owned(), refresh_token: String::new() };
        let today = service.get("/me/today", &user).await.expect(200);
        let routine = today["main_routine"]["id"].as_str().expect("a main routine");
        let workout = begin(&service, &user, routine).await;
        let actions = today["main_routine"]["actions"].as_array().expect("actions").len();
        for position in 1..=actions {
            complete(&service, &user, &workout, position).await.expect(200);
        }
        let habits = service.get("/history/habits", &user).await.expect(200);
        assert!(habits["current_streak"].as_i64() >= Some(1), "{habits}");
    }
    let more = ledger_invariants::check(&service.backends.db).await;
    assert!(more.awards > ledger.awards + 40);
    let first = csv.lines().nth(1).expect("a row").split(',').collect::<Vec<_>>();
    let user = User { id: first[0].to_owned(), token: first[2].to_owned(), refresh_token: String::new() };
    let export = service.get("/me/export", &user).await.expect(200);
    let mut mine = sql("SELECT COUNT(*) FROM awards WHERE user_id = ?");
    mine = mine.bind(user.id.parse::<uuid::Uuid>().expect("an id"));
    let mine: Option<i64> = mine.scalar(&service.backends.db).await.expect("a count");
    assert_eq!(export["awards"].as_array().map(Vec::len), mine.and_then(|count| usize::try_from(count).ok()));
}

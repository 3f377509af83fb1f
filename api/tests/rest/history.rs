//! The habit tracker, the graph and the series, in the user's own days.

use serde_json::{Value, json};
use testing::Database;

use crate::{
    service::{Service, User},
    workouts::{begin, complete, routine},
};

testing::on_each_database!(
    days_are_cut_at_the_users_midnight,
    days_of_new_york_are_23_or_25_hours_long_twice_a_year,
    days_once_lived_stay_when_a_user_moves,
);

/// Completes one action at a time.
async fn act(service: &Service, user: &User, workout: &str, position: usize, at: &str) {
    service.clock.set(at.parse().expect("a time"));
    complete(service, user, workout, position).await.expect(200);
}

/// The days of a month with anything on them.
async fn active_days(service: &Service, user: &User, month: &str) -> Vec<(String, i64)> {
    let habits = service.get(&format!("/history/habits?month={month}"), user).await.expect(200);
    let days = habits["days"].as_array().expect("days").iter().filter(|day| day["mark"] != "none");
    days.map(|day| (day["day"].as_str().expect("a day").to_owned(), day["actions"].as_i64().expect("a count")))
        .collect()
}

async fn streaks(service: &Service, user: &User) -> (i64, i64) {
    let habits = service.get("/history/habits", user).await.expect(200);
    let field = |name: &str| habits[name].as_i64().expect("a number");
    (field("current_streak"), field("longest_streak"))
}

fn day(day: &str, actions: i64) -> (String, i64) {
    (day.to_owned(), actions)
}

async fn days_are_cut_at_the_users_midnight(database: Database) {
    let service = Service::start_for_months(database).await;
    let mingi = service.sign_up("밍기").await;
    let routine = routine(&service, &mingi, "많이", 20).await;
    let workout = begin(&service, &mingi, &routine).await;
    // Midnight in Seoul, at a month's end and on a leap day.
    for (position, at) in [
        (1, "2028-02-28T23:59:59+09:00"),
        (2, "2028-02-29T00:00:00+09:00"),
        (3, "2028-02-29T23:59:59.999+09:00"),
        (4, "2028-03-01T00:00:00+09:00"),
    ] {
        act(&service, &mingi, &workout, position, at).await;
    }
    let february = [day("2028-02-28", 1), day("2028-02-29", 2)];
    assert_eq!(active_days(&service, &mingi, "2028-02").await, february);
    assert_eq!(active_days(&service, &mingi, "2028-03").await, [day("2028-03-01", 1)]);
    assert_eq!(streaks(&service, &mingi).await, (3, 3));
    let habits = service.get("/history/habits?month=2028-02", &mingi).await.expect(200);
    assert_eq!((habits["days"].as_array().map(Vec::len), &habits["first_weekday"]), (Some(29), &json!("tuesday")));
}

async fn days_of_new_york_are_23_or_25_hours_long_twice_a_year(database: Database) {
    let service = Service::start_for_months(database).await;
    let mingi = service.sign_up("밍기").await;
    service.patch("/me", &mingi, json!({"timezone": "America/New_York", "week_start": "sunday"})).await.expect(200);
    let routine = routine(&service, &mingi, "많이", 20).await;
    let workout = begin(&service, &mingi, &routine).await;
    for (position, at) in [
        (1, "2026-03-08T04:59:59Z"),
        (2, "2026-03-08T05:00:00Z"),
        (3, "2026-03-09T03:59:59Z"),
        (4, "2026-03-09T04:00:00Z"),
        (5, "2026-11-01T03:59:59Z"),
        (6, "2026-11-01T04:00:00Z"),
        (7, "2026-11-02T04:59:59Z"),
        (8, "2026-11-02T05:00:00Z"),
    ] {
        act(&service, &mingi, &workout, position, at).await;
    }
    let march = [day("2026-03-07", 1), day("2026-03-08", 2), day("2026-03-09", 1)];
    assert_eq!(active_days(&service, &mingi, "2026-03").await, march);
    assert_eq!(active_days(&service, &mingi, "2026-10").await, [day("2026-10-31", 1)]);
    assert_eq!(active_days(&service, &mingi, "2026-11").await, [day("2026-11-01", 2), day("2026-11-02", 1)]);
    assert_eq!(streaks(&service, &mingi).await, (3, 3));
    let graph = service.get("/history/graph", &mingi).await.expect(200);
    assert_eq!((&graph["from"], &graph["total"]), (&json!("2026-11-01"), &json!(3)), "weeks begin on Sunday");
    let series = service.get("/history/series?weeks=2", &mingi).await.expect(200);
    let weeks = json!([{"from": "2026-10-25", "count": 1}, {"from": "2026-11-01", "count": 3}]);
    assert_eq!((&series["weeks"], &series["total"]), (&weeks, &json!(4)));
    let today: Vec<_> = graph["bars"].as_array().expect("bars").iter().map(|bar| bar["today"] == true).collect();
    assert_eq!(today, [false, true, false, false, false, false, false]);
}

async fn days_once_lived_stay_when_a_user_moves(database: Database) {
    let service = Service::start_for_months(database).await;
    let mingi = service.sign_up("밍기").await;
    let routine = routine(&service, &mingi, "많이", 20).await;
    let workout = begin(&service, &mingi, &routine).await;
    act(&service, &mingi, &workout, 1, "2026-03-09T09:00:00+09:00").await;
    act(&service, &mingi, &workout, 2, "2026-03-10T09:00:00+09:00").await;
    let before = service.get("/history/habits?month=2026-03", &mingi).await.expect(200);
    // In Honolulu it is still the 9th.
    service.patch("/me", &mingi, json!({"timezone": "Pacific/Honolulu"})).await.expect(200);
    let after = service.get("/history/habits?month=2026-03", &mingi).await.expect(200);
    assert_eq!(after["days"], before["days"]);
    assert_eq!((&before["today"], &after["today"]), (&json!("2026-03-10"), &json!("2026-03-09")));
    assert_eq!(streaks(&service, &mingi).await, (2, 2), "a day ahead of today counts");
    complete(&service, &mingi, &workout, 3).await.expect(200);
    let days = [day("2026-03-09", 2), day("2026-03-10", 1)];
    assert_eq!(active_days(&service, &mingi, "2026-03").await, days);
    // What was completed on the 10th cannot be undone on the 9th.
    let path = format!("/workouts/{workout}/actions/2/completion");
    service.delete(&path, &mingi).await.refused(409, "completed_earlier");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_must_make_sense() {
    let service = Service::start(Database::Sqlite).await;
    let mingi = service.sign_up("밍기").await;
    for (path, field) in [
        ("habits?month=2026-13", "month"),
        ("habits?month=march", "month"),
        ("graph?from=2026-02-29", "from"),
        ("graph?by=monsters", "by"),
        ("series?weeks=0", "weeks"),
        ("series?weeks=54", "weeks"),
        ("series?weeks=many", "weeks"),
    ] {
        let refused = service.get(&format!("/history/{path}"), &mingi).await.refused(400, "invalid_input");
        assert_eq!(refused["errors"][0]["field"], field, "{path}");
    }
    let year = service.get("/history/series?weeks=53&by=routines", &mingi).await.expect(200);
    assert_eq!(year["weeks"].as_array().map(Vec::len), Some(53));
    let past = service.get("/history/graph?from=1970-01-01", &mingi).await.expect(200);
    assert_eq!((&past["total"], past.get("best_day")), (&json!(0), None::<&Value>));
    assert_eq!((past.get("previous"), past["next"].is_string()), (None, true));
}

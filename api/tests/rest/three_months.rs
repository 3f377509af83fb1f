//! Three months of one user's life, from 1 March to 31 May 2026, a Sunday each.
//!
//! | | each time | times | experience |
//! | --- | --- | --- | --- |
//! | Monday to Friday | 5 actions (600) and 10 actions (1,200) | 65 | 117,000 |
//! | Saturday | nothing | 13 | 0 |
//! | Sunday | four times 5 actions (2,400, cut to 2,000) | 14 | 28,000 |
//!
//! That is 145,000: one grown monster, and 45,000 for the second.

use std::time::Duration;

use chrono::{Datelike, Days, NaiveDate, Weekday};
use serde_json::{Value, json};
use testing::Database;

use crate::{
    service::{Service, User},
    workouts::{begin, complete, routine},
};

testing::on_each_database!(three_months_of_a_life_add_up,);

struct Life {
    service: Service,
    user: User,
    short: String,
    long: String,
}

impl Life {
    async fn begin(database: Database) -> Self {
        let service = Service::start_for_months(database).await;
        let user = service.sign_up("밍기").await;
        let short = service.post("/routines", &user, json!({"preset_id": "basic"})).await.expect(201);
        let short = short["id"].as_str().expect("an id").to_owned();
        let long = routine(&service, &user, "열 가지", 10).await;
        Self { service, user, short, long }
    }

    async fn get(&self, path: &str) -> Value {
        self.service.get(path, &self.user).await.expect(200)
    }

    async fn draw(&self) -> Value {
        self.service.post("/monsters", &self.user, json!({})).await.expect(201)
    }

    /// Runs a routine to its end. Returns the last answer.
    async fn work_out(&self, routine: &str, actions: usize) -> Value {
        let workout = begin(&self.service, &self.user, routine).await;
        let mut last = Value::Null;
        for position in 1..=actions {
            last = complete(&self.service, &self.user, &workout, position).await.expect(200);
            self.service.clock.advance(Duration::from_secs(30));
        }
        last
    }

    /// Begins, changes their mind, begins anew, and leaves it.
    async fn dither(&self) {
        let workout = begin(&self.service, &self.user, &self.long).await;
        let action = format!("/workouts/{workout}/actions/7/completion");
        complete(&self.service, &self.user, &workout, 7).await.expect(200);
        self.service.delete(&action, &self.user).await.expect(200);
        complete(&self.service, &self.user, &workout, 2).await.expect(200);
        self.service.post(&format!("/workouts/{workout}/reset"), &self.user, json!({})).await.expect(200);
    }

    async fn live(&self, date: NaiveDate) {
        self.service.clock.set(format!("{date}T21:00:00+09:00").parse().expect("a time"));
        match date.weekday() {
            Weekday::Sat => {}
            Weekday::Sun => {
                for expected in [600, 1_200, 1_800, 2_000] {
                    assert_eq!(self.work_out(&self.short, 5).await["today_experience"], expected, "{date}");
                }
            }
            _ => {
                self.dither().await;
                assert_eq!(self.work_out(&self.short, 5).await["today_experience"], 600, "{date}");
                assert_eq!(self.work_out(&self.long, 10).await["today_experience"], 1_800, "{date}");
            }
        }
    }
}

fn sum(habits: &Value, field: &str) -> i64 {
    habits["days"].as_array().expect("days").iter().map(|day| day[field].as_i64().expect("a number")).sum()
}

fn growth(monster: &Value) -> [&Value; 3] {
    [&monster["experience"], &monster["level"], &monster["form"]]
}

async fn check_milestones(life: &Life, date: NaiveDate, drawn: &mut Vec<Value>) {
    match (date.month(), date.day()) {
        // Two days were kept for the first monster.
        (3, 2) => {
            drawn.push(life.draw().await);
            assert_eq!(growth(&drawn[0]), [&json!(3_800), &json!(1), &json!(1)]);
        }
        // 5 Sundays and 22 other days: 49,600.
        (3, 31) => {
            let monster = &life.get("/monsters/current").await["monster"];
            assert_eq!(growth(monster), [&json!(49_600), &json!(5), &json!(2)]);
        }
        // Nine weeks of 11,000.
        (5, 2) => {
            let monster = &life.get("/monsters/current").await["monster"];
            assert_eq!(growth(monster), [&json!(99_000), &json!(10), &json!(3)]);
            assert_eq!(life.get("/monsters/collection").await["items"], json!([]));
        }
        (5, 3) => {
            assert_eq!(life.get("/monsters/current").await, json!({"kept_experience": 1_000}));
            let collection = life.get("/monsters/collection").await;
            assert_eq!(collection["items"][0]["id"], drawn[0]["id"]);
            assert_eq!(growth(&collection["items"][0]), [&json!(100_000), &json!(10), &json!(3)]);
        }
        (5, 4) => {
            drawn.push(life.draw().await);
            assert_eq!(growth(&drawn[1]), [&json!(2_800), &json!(1), &json!(1)]);
            assert_ne!(drawn[0]["species"], drawn[1]["species"], "one that is not collected yet");
        }
        _ => {}
    }
}

async fn three_months_of_a_life_add_up(database: Database) {
    let life = Life::begin(database).await;
    let first = NaiveDate::from_ymd_opt(2026, 3, 1).expect("a date");
    let mut drawn = Vec::new();
    for day in 0..92 {
        let date = first + Days::new(day);
        life.live(date).await;
        check_milestones(&life, date, &mut drawn).await;
    }

    let today = life.get("/me/today").await;
    assert_eq!(growth(&today["monster"]), [&json!(45_000), &json!(5), &json!(2)]);
    assert_eq!((&today["day"], &today["mark"]), (&json!("2026-05-31"), &json!("routine")));
    assert_eq!((&today["actions"], &today["routines"], &today["experience"]), (&json!(20), &json!(4), &json!(2_000)));

    for (month, days, weekday, actions, routines) in [
        ("2026-02", 28, "sunday", 0, 0),
        ("2026-03", 31, "sunday", 430, 64),
        ("2026-04", 30, "wednesday", 410, 60),
        ("2026-05", 31, "friday", 415, 62),
    ] {
        let habits = life.get(&format!("/history/habits?month={month}")).await;
        assert_eq!((habits["days"].as_array().map(Vec::len), &habits["first_weekday"]), (Some(days), &json!(weekday)));
        assert_eq!((sum(&habits, "actions"), sum(&habits, "routines")), (actions, routines), "{month}");
        assert_eq!((&habits["current_streak"], &habits["longest_streak"]), (&json!(1), &json!(6)));
    }
    let april = life.get("/history/habits?month=2026-04").await;
    let marks: Vec<_> = april["days"].as_array().expect("days")[..5].iter().map(|day| &day["mark"]).collect();
    assert_eq!(marks, ["routine", "routine", "routine", "none", "routine"], "the 4th is a Saturday");

    let graph = life.get("/history/graph?from=2026-05-18").await;
    let bars: Vec<_> = graph["bars"].as_array().expect("bars").iter().map(|bar| bar["count"].as_i64()).collect();
    assert_eq!(bars, [15, 15, 15, 15, 15, 0, 20].map(Some));
    assert_eq!((&graph["total"], &graph["best_day"]), (&json!(95), &json!("2026-05-24")));
    assert_eq!(life.get("/history/graph?from=2026-05-18&by=routines").await["total"], 14);
    let before = graph["previous"].as_str().expect("a link").trim_start_matches("/api/v1");
    assert_eq!(life.get(before).await["next"], "/api/v1/history/graph?from=2026-05-18&by=actions");

    let series = life.get("/history/series?weeks=14").await;
    let weeks: Vec<_> = series["weeks"].as_array().expect("weeks").iter().map(|week| week["count"].as_i64()).collect();
    let expected: Vec<_> = [20].into_iter().chain([95; 13]).map(Some).collect();
    assert_eq!((weeks, &series["total"]), (expected, &json!(1_255)));
    assert_eq!(series["weeks"][0]["from"], "2026-02-23");
}

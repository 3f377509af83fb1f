//! Workouts, their awards, and the growth of monsters.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use testing::Database;

use crate::{
    ledger_invariants,
    service::{Answer, Service, User},
};

testing::on_each_database!(
    a_workout_is_begun_completed_and_finished,
    undo_and_reset_take_back_what_was_awarded,
    a_day_brings_two_thousand_at_most,
    editing_or_deleting_a_routine_never_changes_what_was_begun,
    two_phones_finish_a_workout_once,
    completing_undoing_and_beginning_at_once_leaves_a_sum_that_adds_up,
    two_draws_at_once_give_one_monster,
);

const DAY: Duration = Duration::from_secs(86_400);

/// Makes a routine of so many squats and returns its id.
pub(crate) async fn routine(service: &Service, user: &User, name: &str, actions: usize) -> String {
    let actions = vec![json!({"action_id": "squat", "repetitions": 10}); actions];
    let made = service.post("/routines", user, json!({"name": name, "actions": actions})).await.expect(201);
    made["id"].as_str().expect("an id").to_owned()
}

/// Begins a workout and returns its id.
pub(crate) async fn begin(service: &Service, user: &User, routine: &str) -> String {
    let begun = service.post(&format!("/routines/{routine}/workouts"), user, json!({})).await;
    assert!(matches!(begun.status.as_u16(), 200 | 201), "{}: {}", begun.status, begun.body);
    begun.body["id"].as_str().expect("an id").to_owned()
}

pub(crate) async fn complete(service: &Service, user: &User, workout: &str, position: usize) -> Answer {
    service.put(&format!("/workouts/{workout}/actions/{position}/completion"), user, None).await
}

async fn undo(service: &Service, user: &User, workout: &str, position: usize) -> Answer {
    service.delete(&format!("/workouts/{workout}/actions/{position}/completion"), user).await
}

/// What was awarded, cut, and today's sum.
fn awards(progress: &Value) -> (i64, i64, i64) {
    let field = |name: &str| progress[name].as_i64().expect("a number");
    (field("awarded"), field("cut"), field("today_experience"))
}

async fn a_workout_is_begun_completed_and_finished(database: Database) {
    let service = Service::start_for_months(database).await;
    let (mingi, other) = (service.sign_up("밍기").await, service.sign_up("무너").await);
    let routine = routine(&service, &mingi, "아침", 3).await;
    let begun = service.post(&format!("/routines/{routine}/workouts"), &mingi, json!({})).await.expect(201);
    let again = service.post(&format!("/routines/{routine}/workouts"), &mingi, json!({})).await.expect(200);
    assert_eq!(again, begun, "a routine has one open workout");
    let workout = begun["id"].as_str().expect("an id");

    // In any order, and each twice.
    for (position, expected) in [(2, (100, 0, 100)), (2, (100, 0, 100)), (3, (100, 0, 200)), (1, (160, 0, 360))] {
        let progress = complete(&service, &mingi, workout, position).await.expect(200);
        assert_eq!(awards(&progress), expected, "{position}");
        assert_eq!(progress["workout"]["actions"][position - 1]["completed"], true);
    }
    let repeated = complete(&service, &mingi, workout, 1).await.expect(200);
    assert_eq!(awards(&repeated), (160, 0, 360), "the same answer for the second phone");
    let finished = service.get(&format!("/workouts/{workout}"), &mingi).await.expect(200);
    assert_eq!(finished, repeated["workout"]);
    assert!(finished["finished_at"].is_string());
    undo(&service, &mingi, workout, 1).await.refused(409, "workout_finished");
    service.post(&format!("/workouts/{workout}/reset"), &mingi, json!({})).await.refused(409, "workout_finished");
    assert_ne!(begin(&service, &mingi, &routine).await, workout, "a new one after it finished");

    for position in [0, 4] {
        complete(&service, &mingi, workout, position).await.refused(404, "not_found");
    }
    complete(&service, &other, workout, 1).await.refused(404, "not_found");
    undo(&service, &other, workout, 1).await.refused(404, "not_found");
    service.get(&format!("/workouts/{workout}"), &other).await.refused(404, "not_found");
    service.post(&format!("/routines/{routine}/workouts"), &other, json!({})).await.refused(404, "not_found");
    service.post(&format!("/workouts/{workout}/reset"), &other, json!({})).await.refused(404, "not_found");
}

async fn undo_and_reset_take_back_what_was_awarded(database: Database) {
    let service = Service::start_for_months(database).await;
    let mingi = service.sign_up("밍기").await;
    service.post("/monsters", &mingi, json!({})).await.expect(201);
    let routine = routine(&service, &mingi, "아침", 4).await;
    let workout = begin(&service, &mingi, &routine).await;
    complete(&service, &mingi, &workout, 1).await.expect(200);
    complete(&service, &mingi, &workout, 2).await.expect(200);
    let undone = undo(&service, &mingi, &workout, 1).await.expect(200);
    assert_eq!((awards(&undone), &undone["monster"]["experience"]), ((-100, 0, 100), &json!(100)));
    assert_eq!(undone["workout"]["actions"][0]["completed"], false);
    assert_eq!(awards(&undo(&service, &mingi, &workout, 1).await.expect(200)), (0, 0, 100), "once");

    // The next day what was done before stands, but a reset begins anew.
    service.clock.advance(DAY);
    undo(&service, &mingi, &workout, 2).await.refused(409, "completed_earlier");
    complete(&service, &mingi, &workout, 3).await.expect(200);
    let reset = service.post(&format!("/workouts/{workout}/reset"), &mingi, json!({})).await.expect(200);
    assert_eq!((awards(&reset), &reset["monster"]["experience"]), ((-200, 0, 0), &json!(0)));
    let habits = service.get("/history/habits", &mingi).await.expect(200);
    assert_eq!((&habits["current_streak"], &habits["longest_streak"]), (&json!(0), &json!(0)));
    for position in 1..=4 {
        complete(&service, &mingi, &workout, position).await.expect(200);
    }
    let today = service.get("/me/today", &mingi).await.expect(200);
    assert_eq!((&today["experience"], &today["monster"]["experience"]), (&json!(480), &json!(480)));
    ledger_invariants::check(&service.backends.db).await;
}

async fn a_day_brings_two_thousand_at_most(database: Database) {
    let service = Service::start_for_months(database).await;
    let mingi = service.sign_up("밍기").await;
    let routine = routine(&service, &mingi, "많이", 15).await;
    let workout = begin(&service, &mingi, &routine).await;
    for position in 1..=14 {
        complete(&service, &mingi, &workout, position).await.expect(200);
    }
    // 1,400 so far; the last action brings 100 and 300 for finishing.
    assert_eq!(awards(&complete(&service, &mingi, &workout, 15).await.expect(200)), (400, 0, 1_800));
    let workout = begin(&service, &mingi, &routine).await;
    for (position, expected) in [(1, (100, 0, 1_900)), (2, (100, 0, 2_000)), (3, (0, 100, 2_000))] {
        assert_eq!(awards(&complete(&service, &mingi, &workout, position).await.expect(200)), expected);
    }
    // What is taken back makes room; what was cut stays cut.
    assert_eq!(awards(&undo(&service, &mingi, &workout, 1).await.expect(200)), (-100, 0, 1_900));
    assert_eq!(awards(&undo(&service, &mingi, &workout, 3).await.expect(200)), (0, 0, 1_900));
    assert_eq!(awards(&complete(&service, &mingi, &workout, 3).await.expect(200)), (100, 0, 2_000));
    assert_eq!(awards(&complete(&service, &mingi, &workout, 4).await.expect(200)), (0, 100, 2_000));
    // A second before midnight in Seoul it is still the same day.
    service.clock.set("2026-03-01T23:59:59+09:00".parse().expect("a time"));
    assert_eq!(awards(&complete(&service, &mingi, &workout, 5).await.expect(200)), (0, 100, 2_000));
    service.clock.set("2026-03-02T00:00:00+09:00".parse().expect("a time"));
    assert_eq!(awards(&complete(&service, &mingi, &workout, 6).await.expect(200)), (100, 0, 100));
    let kept = service.get("/monsters/current", &mingi).await.expect(200);
    assert_eq!(kept, json!({"kept_experience": 2_100}), "kept for the monster to come");
}

async fn editing_or_deleting_a_routine_never_changes_what_was_begun(database: Database) {
    let service = Service::start_for_months(database).await;
    let mingi = service.sign_up("밍기").await;
    let routine = routine(&service, &mingi, "아침", 2).await;
    service.put("/me/main-routine", &mingi, Some(json!({"routine_id": routine}))).await.expect(204);
    let workout = begin(&service, &mingi, &routine).await;
    complete(&service, &mingi, &workout, 1).await.expect(200);
    let before = service.get(&format!("/workouts/{workout}"), &mingi).await.expect(200);
    let edited = json!({"name": "저녁", "actions": [{"action_id": "plank", "repetitions": 1}]});
    service.put(&format!("/routines/{routine}"), &mingi, Some(edited)).await.expect(200);
    assert_eq!(service.get(&format!("/workouts/{workout}"), &mingi).await.expect(200), before);
    let today = service.get("/me/today", &mingi).await.expect(200);
    assert_eq!((&today["main_routine"]["name"], &today["workout"]), (&json!("저녁"), &before));
    let habits = service.get("/history/habits", &mingi).await.expect(200);
    service.delete(&format!("/routines/{routine}"), &mingi).await.expect(204);
    assert_eq!(service.get("/history/habits", &mingi).await.expect(200), habits);
    assert_eq!(service.get("/me/today", &mingi).await.expect(200).get("main_routine"), None);
    let finished = complete(&service, &mingi, &workout, 2).await.expect(200);
    assert_eq!(awards(&finished), (140, 0, 240), "it can still be finished");
}

async fn two_phones_finish_a_workout_once(database: Database) {
    let service = Service::start_for_months(database).await;
    let mingi = service.sign_up("밍기").await;
    let routine = routine(&service, &mingi, "아침", 3).await;
    for round in 1..=5_i64 {
        let workout = begin(&service, &mingi, &routine).await;
        // Everything at once, each from eight phones.
        let all = (0..24).map(|n| complete(&service, &mingi, &workout, n % 3 + 1));
        let answers: Vec<Value> = join_all(all).await.into_iter().map(|answer| answer.expect(200)).collect();
        let finishing: Vec<_> = answers.iter().filter(|answer| awards(answer).0 + awards(answer).1 > 100).collect();
        assert_eq!(finishing.len(), 8, "one action has finished it, whoever asks");
        let today = service.get("/me/today", &mingi).await.expect(200);
        assert_eq!((&today["experience"], &today["routines"]), (&json!(360 * round), &json!(round)));
        assert_eq!(today["actions"], json!(3 * round));
    }
    ledger_invariants::check(&service.backends.db).await;
}

async fn completing_undoing_and_beginning_at_once_leaves_a_sum_that_adds_up(database: Database) {
    let service = Service::start_for_months(database).await;
    let mingi = service.sign_up("밍기").await;
    service.post("/monsters", &mingi, json!({})).await.expect(201);
    let routine = routine(&service, &mingi, "아침", 20).await;
    let begun = join_all((0..8).map(|_| begin(&service, &mingi, &routine))).await;
    assert!(begun.iter().all(|id| *id == begun[0]), "one open workout, however many begin it");
    let workout = &begun[0];
    let work = (0..64).map(|n| {
        let (service, mingi, position) = (&service, &mingi, n % 8 + 1);
        async move {
            let answer = match n % 3 {
                0 => undo(service, mingi, workout, position).await,
                _ => complete(service, mingi, workout, position).await,
            };
            answer.expect(200)
        }
    });
    join_all(work).await;
    let workout = service.get(&format!("/workouts/{workout}"), &mingi).await.expect(200);
    let done = workout["actions"].as_array().expect("actions").iter().filter(|a| a["completed"] == true).count();
    let today = service.get("/me/today", &mingi).await.expect(200);
    let expected = json!(done * 100);
    assert_eq!((&today["experience"], &today["monster"]["experience"]), (&expected, &expected));
    assert_eq!(today["actions"], json!(done));
    ledger_invariants::check(&service.backends.db).await;
}

async fn two_draws_at_once_give_one_monster(database: Database) {
    let service = Service::start_for_months(database).await;
    let mingi = service.sign_up("밍기").await;
    let drawn = join_all((0..8).map(|_| service.post("/monsters", &mingi, json!({})))).await;
    let (new, refused): (Vec<_>, Vec<_>) = drawn.into_iter().partition(|answer| answer.status == 201);
    assert_eq!((new.len(), refused.len()), (1, 7));
    refused.into_iter().for_each(|answer| drop(answer.refused(409, "monster_growing")));
    let current = service.get("/monsters/current", &mingi).await.expect(200);
    assert_eq!(current["monster"], new[0].body);
    assert_eq!((&new[0].body["level"], &new[0].body["form"]), (&json!(1), &json!(1)));
}

//! Concurrent requests of one user from many devices.

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::json;
use testing::Database;

use crate::{
    ledger_invariants,
    service::{Answer, Service, User},
    workouts::{begin, complete, routine},
};

testing::on_each_database!(
    many_phones_at_once_are_served_or_refused_for_a_reason,
    a_name_that_many_want_at_once_is_given_once,
    fields_of_a_profile_that_change_at_once_all_change,
    a_routine_that_is_deleted_while_it_is_begun_leaves_a_whole_workout_or_none,
    nothing_is_awarded_after_a_withdrawal,
);

/// What the phone with this number does with a routine, and with a workout of it.
async fn tap(service: &Service, user: &User, routine: &str, workout: &str, number: usize) -> Answer {
    let completion = format!("/workouts/{workout}/actions/{}/completion", number % 3 + 1);
    match number % 9 {
        0..3 => service.put(&completion, user, None).await,
        3 => service.delete(&completion, user).await,
        4 => service.post(&format!("/workouts/{workout}/reset"), user, json!({})).await,
        5 => service.post("/monsters", user, json!({})).await,
        6 => service.post(&format!("/routines/{routine}/workouts"), user, json!({})).await,
        7 => service.put("/me/main-routine", user, Some(json!({"routine_id": routine}))).await,
        _ => {
            let zone = if number.is_multiple_of(2) { "Asia/Seoul" } else { "Pacific/Kiritimati" };
            service.patch("/me", user, json!({"timezone": zone})).await
        }
    }
}

fn has_reason(answer: &Answer, reasons: &[&str]) -> bool {
    answer.status.is_success() || answer.body["code"].as_str().is_some_and(|code| reasons.contains(&code))
}

async fn many_phones_at_once_are_served_or_refused_for_a_reason(database: Database) {
    let service = Service::start_for_months(database).await;
    let mingi = service.sign_up("밍기").await;
    for round in 0..4 {
        let made = [format!("{round} 아침"), format!("{round} 저녁")];
        let mut phones = Vec::new();
        for name in &made {
            let routine = routine(&service, &mingi, name, 3).await;
            let workout = begin(&service, &mingi, &routine).await;
            phones.extend((0..27).map(|number| (routine.clone(), workout.clone(), number)));
        }
        let (service, mingi, doomed) = (&service, &mingi, &phones[0].0);
        let taps = phones.iter().map(|(routine, workout, number)| tap(service, mingi, routine, workout, *number));
        let delete = async { service.delete(&format!("/routines/{doomed}"), mingi).await };
        let (answers, deleted) = futures_util::join!(join_all(taps), delete);
        deleted.expect(204);
        let reasons = ["workout_finished", "completed_earlier", "monster_growing", "not_found"];
        for answer in answers {
            assert!(has_reason(&answer, &reasons), "{} {:#}", answer.status, answer.body);
        }
        ledger_invariants::check(&service.backends.db).await;
    }
}

async fn a_name_that_many_want_at_once_is_given_once(database: Database) {
    let service = &Service::start_for_months(database).await;
    let users = join_all((0..6).map(|n| async move { service.sign_up(&format!("밍기 {n}")).await })).await;
    let mingi = &users[0];
    let mut routines = Vec::new();
    for n in 0..6 {
        routines.push(routine(service, mingi, &format!("아침 {n}"), 1).await);
    }
    for round in 0..15 {
        let (nickname, name) = (format!("모두의 이름 {round}"), format!("모두의 저녁 {round}"));
        let renames = users.iter().map(|user| service.patch("/me", user, json!({"nickname": nickname})));
        let content = json!({"name": name, "actions": [{"action_id": "squat", "repetitions": 1}]});
        let paths: Vec<String> = routines.iter().map(|routine| format!("/routines/{routine}")).collect();
        let edits = paths.iter().map(|path| service.put(path, mingi, Some(content.clone())));
        let (renames, edits) = futures_util::join!(join_all(renames), join_all(edits));
        for (answers, taken) in [(renames, "nickname_taken"), (edits, "routine_name_taken")] {
            let given = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
            assert!(given == 1 && answers.iter().all(|answer| has_reason(answer, &[taken])));
        }
    }
}

async fn fields_of_a_profile_that_change_at_once_all_change(database: Database) {
    let service = &Service::start_for_months(database).await;
    let mingi = &service.sign_up("밍기").await;
    for round in 0..10 {
        let zone = if round % 2 == 0 { "America/New_York" } else { "Asia/Seoul" };
        let start = if round % 2 == 0 { "sunday" } else { "monday" };
        let changes =
            [json!({"nickname": format!("밍기 {round}")}), json!({"timezone": zone}), json!({"week_start": start})];
        let answers = join_all(changes.iter().map(|change| service.patch("/me", mingi, change.clone()))).await;
        answers.into_iter().for_each(|answer| drop(answer.expect(200)));
        let profile = service.get("/me", mingi).await.expect(200);
        for change in changes {
            for (field, value) in change.as_object().expect("an object") {
                assert_eq!(&profile[field], value, "{round}");
            }
        }
    }
}

async fn a_routine_that_is_deleted_while_it_is_begun_leaves_a_whole_workout_or_none(database: Database) {
    let service = Service::start_for_months(database).await;
    let mingi = service.sign_up("밍기").await;
    for round in 0..10 {
        let routine = routine(&service, &mingi, &format!("{round}번째"), 1).await;
        let path = format!("/routines/{routine}/workouts");
        let begun = join_all((0..4).map(|_| service.post(&path, &mingi, json!({}))));
        let delete = async { service.delete(&format!("/routines/{routine}"), &mingi).await };
        let (begun, deleted) = futures_util::join!(begun, delete);
        deleted.expect(204);
        let new = begun.iter().filter(|answer| answer.status == StatusCode::CREATED).count();
        assert!(new <= 1 && begun.iter().all(|answer| has_reason(answer, &["not_found"])));
        for answer in begun.into_iter().filter(|answer| answer.status.is_success()) {
            let workout = answer.body["id"].as_str().expect("an id").to_owned();
            complete(&service, &mingi, &workout, 1).await.expect(200);
        }
    }
    ledger_invariants::check(&service.backends.db).await;
}

async fn nothing_is_awarded_after_a_withdrawal(database: Database) {
    let service = Service::start_for_months(database).await;
    for round in 0..5 {
        let mingi = service.sign_up(&format!("밍기{round}")).await;
        let routine = routine(&service, &mingi, "많이", 20).await;
        let workout = begin(&service, &mingi, &routine).await;
        let work = join_all((1..=20).map(|position| complete(&service, &mingi, &workout, position)));
        let withdraw = async { service.delete("/me", &mingi).await };
        let (answers, withdrawn) = futures_util::join!(work, withdraw);
        withdrawn.expect(204);
        let refused = answers.iter().filter(|answer| !answer.status.is_success()).count();
        assert!(answers.iter().all(|answer| has_reason(answer, &["unauthenticated"])), "{answers:?}");
        complete(&service, &mingi, &workout, 20).await.refused(401, "unauthenticated");
        let ledger = ledger_invariants::check(&service.backends.db).await;
        assert!(ledger.awards >= 20 - refused, "{ledger:?}");
    }
}

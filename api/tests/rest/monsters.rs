//! Monsters at the boundary of being grown, and random sequences of actions.

use std::time::Duration;

use common::{
    db::sql,
    time::{Clock, Timestamp},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use testing::Database;
use uuid::Uuid;

use crate::{
    ledger_invariants,
    service::{Service, User},
    workouts::{begin, complete, routine},
};

testing::on_each_database!(
    any_sequence_of_actions_keeps_the_ledger_consistent,
    what_is_taken_back_after_a_monster_was_grown_is_not_lost_and_not_given_twice,
    every_species_is_collected_before_one_comes_twice,
);

async fn undo(service: &Service, user: &User, workout: &str, position: usize) -> Value {
    service.delete(&format!("/workouts/{workout}/actions/{position}/completion"), user).await.expect(200)
}

/// The experience of the monster that grows and what is kept, as clients see it; how many are grown.
async fn state(service: &Service, user: &User) -> (Option<i64>, i64, usize) {
    let current = service.get("/monsters/current", user).await.expect(200);
    let collection = service.get("/monsters/collection", user).await.expect(200);
    let kept = current["kept_experience"].as_i64().expect("a number");
    (current["monster"]["experience"].as_i64(), kept, collection["items"].as_array().expect("items").len())
}

async fn what_is_taken_back_after_a_monster_was_grown_is_not_lost_and_not_given_twice(database: Database) {
    let service = Service::start_for_months(database).await;
    let mingi = service.sign_up("밍기").await;
    let first = service.post("/monsters", &mingi, json!({})).await.expect(201);
    sql("UPDATE monsters SET experience = 99950 WHERE user_id = ?")
        .bind(mingi.id.parse::<Uuid>().expect("an id"))
        .run(&service.backends.db)
        .await
        .expect("nearly grown");
    let routine = routine(&service, &mingi, "아침", 5).await;
    let workout = begin(&service, &mingi, &routine).await;

    complete(&service, &mingi, &workout, 1).await.expect(200);
    assert_eq!(state(&service, &mingi).await, (None, 50, 1), "grown; the rest is kept");
    let undone = undo(&service, &mingi, &workout, 1).await;
    assert_eq!(undone["monster"]["id"], first["id"], "it grows again");
    assert_eq!(state(&service, &mingi).await, (Some(99_950), 0, 0));

    complete(&service, &mingi, &workout, 1).await.expect(200);
    let second = service.post("/monsters", &mingi, json!({})).await.expect(201);
    assert_ne!(second["species"], first["species"], "one that is not collected yet");
    assert_eq!(state(&service, &mingi).await, (Some(50), 0, 1));
    undo(&service, &mingi, &workout, 1).await;
    assert_eq!(state(&service, &mingi).await, (Some(0), 0, 1), "50 are owed");
    complete(&service, &mingi, &workout, 2).await.expect(200);
    assert_eq!(state(&service, &mingi).await, (Some(50), 0, 1), "and paid");
}

async fn every_species_is_collected_before_one_comes_twice(database: Database) {
    let service = Service::start_for_months(database).await;
    let mingi = service.sign_up("밍기").await;
    let (id, mut drawn) = (mingi.id.parse::<Uuid>().expect("an id"), Vec::new());
    for _ in 0..13 {
        let monster = service.post("/monsters", &mingi, json!({})).await.expect(201);
        drawn.push(monster["species"]["id"].as_str().expect("a species").to_owned());
        sql("UPDATE monsters SET experience = 100000, growing_user_id = NULL, grown_at = drawn_at WHERE user_id = ?")
            .bind(id)
            .run(&service.backends.db)
            .await
            .expect("grown");
    }
    let mut species = drawn[..12].to_vec();
    species.sort();
    species.dedup();
    assert_eq!(species.len(), 12, "{drawn:?}");
    let first = service.get("/monsters/collection?limit=8", &mingi).await.expect(200);
    let cursor = first["next_cursor"].as_str().expect("a cursor");
    let rest = service.get(&format!("/monsters/collection?limit=8&cursor={cursor}"), &mingi).await.expect(200);
    let pages = [&first["items"], &rest["items"]].map(|items| items.as_array().expect("items").clone()).concat();
    let listed: Vec<_> = pages.iter().map(|monster| monster["species"]["id"].as_str().expect("a species")).collect();
    assert_eq!(listed, drawn);
}

/// Does something, whatever comes to mind, and expects no failure but a refusal that has a reason.
async fn do_anything(service: &Service, user: &User, routines: &[String], rng: &mut StdRng) {
    let Some(routine) = routines.choose(rng) else { return };
    let workout = begin(service, user, routine).await;
    let completion = format!("/workouts/{workout}/actions/{}/completion", rng.random_range(1..=4));
    let answer = match rng.random_range(0..100) {
        0..60 => service.put(&completion, user, None).await,
        60..80 => service.delete(&completion, user).await,
        80..85 => service.post(&format!("/workouts/{workout}/reset"), user, json!({})).await,
        85..90 => service.post("/monsters", user, json!({})).await,
        90..93 => {
            let zones = ["Asia/Seoul", "America/New_York", "Pacific/Kiritimati", "Pacific/Honolulu"];
            let body = json!({"timezone": zones.choose(rng)});
            service.patch("/me", user, body).await
        }
        _ => {
            let hours = rng.random_range(1..40);
            let later: Timestamp = service.clock.now() + Duration::from_secs(3600 * hours);
            service.clock.set(later);
            service.get("/me/today", user).await
        }
    };
    let code = answer.body["code"].as_str().unwrap_or_default();
    let reasons = ["completed_earlier", "monster_growing", "not_found"];
    assert!(answer.status.is_success() || reasons.contains(&code), "{} {}", answer.status, answer.body);
}

async fn any_sequence_of_actions_keeps_the_ledger_consistent(database: Database) {
    let seed = if database == Database::Sqlite { 1 } else { 2 };
    let service = Service::start_for_months(database).await;
    let mingi = service.sign_up("밍기").await;
    let mut routines = Vec::new();
    for actions in [1, 3, 4] {
        routines.push(routine(&service, &mingi, &format!("{actions}개"), actions).await);
    }
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..20 {
        for _ in 0..25 {
            do_anything(&service, &mingi, &routines, &mut rng).await;
        }
        ledger_invariants::check(&service.backends.db).await;
    }
    let ledger = ledger_invariants::check(&service.backends.db).await;
    assert!(ledger.awards > 50 && ledger.longest_streak > 1, "{ledger:?}");
}

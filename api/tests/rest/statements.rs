//! How many statements the service prepares: few, however people combine what they search for.

use std::collections::BTreeSet;

use common::db::{Db, recorder, sql};
use testing::Database;

use crate::service::Service;

/// More than a connection keeps prepared.
const SEARCHES: usize = 450;
/// Statements that they may make, at most.
const TEXTS: usize = 300;
const WORDS: [&str; 12] =
    ["숲", "서울숲", "스트레칭", "아침", "run", "저녁", "한강", "걷기", "요가", "등산", "함께", "천천히"];

/// A search that hardly any other is like: every number of words, size of circle, order and filter.
fn search(number: usize) -> String {
    let words: Vec<&str> = (0..number % 8).map(|word| WORDS[(number + word) % WORDS.len()]).collect();
    let mut parts = vec![format!("limit={}", 1 + number % 50)];
    if !words.is_empty() {
        parts.push(format!("q={}", words.join(" ")));
    }
    let circle = !number.is_multiple_of(3);
    if circle {
        parts.push(format!("lat=37.5444&lng=127.0374&radius={}", 100 + number * 60));
    }
    parts.push(match number % 4 {
        0 => "sort=latest".to_owned(),
        1 => "sort=likes".to_owned(),
        2 => "sort=soonest".to_owned(),
        _ if circle => "sort=distance".to_owned(),
        _ => "sort=likes".to_owned(),
    });
    parts.extend(number.is_multiple_of(5).then(|| "region=11200".to_owned()));
    parts.extend((number % 7 < 2).then(|| "from=2026-03-02T00:00:00Z".to_owned()));
    parts.extend((number % 7 == 1).then(|| "to=2026-03-03T00:00:00Z".to_owned()));
    parts.extend((number % 11 < 2).then(|| "state=upcoming".to_owned()));
    format!("/meetups?{}", parts.join("&"))
}

/// How many statements the only connection of `db` has closed.
async fn closed(db: &Db) -> i64 {
    let (_, count): (String, String) = sql("SHOW SESSION STATUS LIKE 'Com_stmt_close'").one(db).await.expect("a count");
    count.parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_of_every_kind_make_few_statements_and_none_is_closed() {
    let service = Service::start_with(Database::MySql, |config| config.database_connections = 1).await;
    let user = service.sign_up("밍기적").await;
    let db = &service.backends.db;
    let before = closed(db).await;
    recorder::start(db);
    let searches: BTreeSet<String> = (0..SEARCHES).map(search).collect();
    assert!(searches.len() > SEARCHES * 9 / 10, "{} searches", searches.len());
    for path in &searches {
        service.get(path, &user).await.expect(200);
    }
    let texts = recorder::stop(db).expect("recorded").len();
    assert!(texts <= TEXTS, "{texts} statements for {} searches", searches.len());
    assert_eq!(closed(db).await - before, 0, "statements were closed");
}

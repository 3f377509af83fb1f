//! The check of query plans tells a scan from a search, on both databases.
#![expect(clippy::expect_used, reason = "tests")]

use common::db::{Db, Value, sql};
use testing::{
    Database, meetup,
    plans::{assert_bounded, watch},
};
use uuid::Uuid;

async fn check(db: &Db, statement: &'static str, value: impl Into<Value>) -> bool {
    watch(db);
    let rows: Vec<(Uuid,)> = sql(statement).bind(value).all(db).await.expect("rows");
    assert!(!rows.is_empty(), "{statement}");
    let db = db.clone();
    tokio::spawn(async move { assert_bounded(&db).await }).await.is_ok_and(|count| count == 1)
}

testing::on_each_database!(scans_are_told_from_searches);

async fn scans_are_told_from_searches(database: Database) {
    let db = database.fresh().await;
    for _ in 0..200 {
        meetup(&db).await;
    }
    assert!(check(&db, "SELECT id FROM meetups WHERE id > ? ORDER BY id LIMIT 3", Uuid::nil()).await);
    for (statement, good) in [
        ("SELECT id FROM meetups WHERE starts_at = ? ORDER BY id LIMIT 3", true),
        ("SELECT id FROM meetups WHERE capacity IS NULL AND created_at >= ?", false),
        ("SELECT id FROM meetups WHERE created_at >= ? ORDER BY title LIMIT 3", false),
        ("SELECT id FROM meetups WHERE ? = 0 ORDER BY id", false),
    ] {
        assert_eq!(check(&db, statement, 0).await, good, "{statement}");
    }
}

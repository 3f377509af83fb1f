//! A database that takes no writes for a while: what fails says so, and everything works again once it takes them.

use common::{
    db::{Db, DbError, Tx, sql},
    transaction,
};
use testing::Database;

/// A row that does not fit once the database is full.
async fn fill(tx: &mut Tx, bytes: usize) -> Result<(), DbError> {
    sql("INSERT INTO filling (bytes) VALUES (?)").bind(vec![7_u8; bytes]).run(tx).await.map(drop)
}

async fn table(db: &Db) {
    sql("CREATE TABLE filling (bytes BLOB NOT NULL)").run(db).await.expect("a table");
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_work_again_once_a_full_disk_has_room() {
    let db = Database::Sqlite.fresh().await;
    table(&db).await;
    let before = transaction!(db, |tx| fill(tx, 100));
    before.expect("room");
    let pages: i64 = sql("PRAGMA page_count").scalar(&db).await.expect("asked").expect("a count");
    sql(format!("PRAGMA max_page_count = {}", pages + 2)).run(&db).await.expect("a limit");
    let full = async |tx: &mut Tx| {
        fill(tx, 10).await?;
        let failed = fill(tx, 1_000_000).await;
        // Whether SQLite has undone the transaction by itself or not, nothing of it may be committed.
        let next = fill(tx, 10).await;
        assert!(matches!(next, Err(DbError::Unavailable(_))), "{next:?}");
        failed
    };
    let outcome: Result<(), DbError> = transaction!(db, |tx| full(tx));
    let Err(DbError::Unavailable(reason)) = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("full"), "{reason}");
    sql("PRAGMA max_page_count = 1000000").run(&db).await.expect("room again");
    for _ in 0..10 {
        let outcome = transaction!(db, |tx| fill(tx, 100_000));
        outcome.expect("there is room");
    }
    let rows: Option<i64> = sql("SELECT COUNT(*) FROM filling").scalar(&db).await.expect("a count");
    assert_eq!(rows, Some(11), "nothing of the transaction that failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_write_that_found_no_room_leaves_the_next_alone() {
    let db = Database::Sqlite.fresh().await;
    table(&db).await;
    let pages: i64 = sql("PRAGMA page_count").scalar(&db).await.expect("asked").expect("a count");
    sql(format!("PRAGMA max_page_count = {}", pages + 1)).run(&db).await.expect("a limit");
    let outcome = sql("INSERT INTO filling (bytes) VALUES (?)").bind(vec![7_u8; 1_000_000]).run(&db).await;
    assert!(matches!(outcome, Err(DbError::Unavailable(_))), "{outcome:?}");
    sql("PRAGMA max_page_count = 1000000").run(&db).await.expect("room again");
    sql("INSERT INTO filling (bytes) VALUES (?)").bind(vec![7_u8; 1_000_000]).run(&db).await.expect("room");
}

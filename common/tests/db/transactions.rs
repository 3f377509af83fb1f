//! Transactions that roll back, meet each other, and take too long.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use common::{
    config::SecretUrl,
    db::{ACQUIRE_TIMEOUT, Db, DbError, STATEMENT_TIMEOUT, Tx, sql},
    transaction,
};
use testing::Database;
use tokio::sync::Barrier;

testing::on_each_database!(what_fails_half_way_leaves_nothing, what_reads_and_writes_at_once_loses_no_update,);

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A database with two counters at 0.
async fn counters(database: Database) -> Db {
    let db = database.fresh().await;
    sql("CREATE TABLE counters (id BIGINT NOT NULL PRIMARY KEY, value BIGINT NOT NULL)")
        .run(&db)
        .await
        .expect("a table");
    sql("INSERT INTO counters (id, value) VALUES (1, 0), (2, 0)").run(&db).await.expect("counters");
    db
}

async fn add(tx: &mut Tx, id: i64) -> Result<(), DbError> {
    sql("UPDATE counters SET value = value + 1 WHERE id = ?").bind(id).run(tx).await.map(drop)
}

async fn values(db: &Db) -> Vec<i64> {
    let rows: Vec<(i64,)> = sql("SELECT value FROM counters ORDER BY id").all(db).await.expect("values");
    rows.into_iter().map(|(value,)| value).collect()
}

async fn what_fails_half_way_leaves_nothing(database: Database) {
    let db = counters(database).await;
    let half = async |tx: &mut Tx| {
        add(tx, 1).await?;
        sql("INSERT INTO counters (id, value) VALUES (2, 0)").run(tx).await.map(drop)
    };
    let outcome: Result<(), DbError> = transaction!(db, |tx| half(tx));
    assert!(matches!(outcome, Err(DbError::UniqueViolation(_))), "{outcome:?}");
    // Dropped without a word, as when its task is cancelled.
    let mut tx = db.begin().await.expect("begun");
    add(&mut tx, 1).await.expect("added");
    drop(tx);
    assert_eq!(values(&db).await, [0, 0]);
    let whole: Result<(), DbError> = transaction!(db, |tx| add(tx, 1));
    whole.expect("the database is free again");
    assert_eq!(values(&db).await, [1, 0]);
}

async fn what_reads_and_writes_at_once_loses_no_update(database: Database) {
    let db = counters(database).await;
    let work = (0..16).map(|_| {
        let db = db.clone();
        tokio::spawn(async move {
            for _ in 0..10 {
                let step = async |tx: &mut Tx| {
                    let select = format!("SELECT value FROM counters WHERE id = 1{}", tx.dialect().for_update());
                    let value: Option<i64> = sql(select).scalar(&mut *tx).await?;
                    let update = sql("UPDATE counters SET value = ? WHERE id = 1");
                    update.bind(value.unwrap_or(0) + 1).run(tx).await.map(drop)
                };
                let outcome: Result<(), DbError> = transaction!(db, |tx| step(tx));
                outcome.expect("a step");
            }
        })
    });
    for worker in futures_util::future::join_all(work).await {
        worker.expect("a worker");
    }
    assert_eq!(values(&db).await, [160, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loser_of_a_deadlock_runs_again() {
    let db = counters(Database::MySql).await;
    let (meeting, attempts) = (Arc::new(Barrier::new(2)), Arc::new(AtomicU32::new(0)));
    let cross = |first: i64, second: i64| {
        let (db, meeting, attempts) = (db.clone(), Arc::clone(&meeting), Arc::clone(&attempts));
        tokio::spawn(async move {
            let step = async |tx: &mut Tx| {
                add(tx, first).await?;
                // Both hold their first row before either asks for its second: a deadlock, the first time.
                if attempts.fetch_add(1, Ordering::SeqCst) < 2 {
                    meeting.wait().await;
                }
                add(tx, second).await
            };
            let outcome: Result<(), DbError> = transaction!(db, |tx| step(tx));
            outcome
        })
    };
    let both = futures_util::future::join_all([cross(1, 2), cross(2, 1)]);
    for outcome in tokio::time::timeout(PATIENCE, both).await.expect("in time") {
        outcome.expect("a task").expect("it ran again");
    }
    assert_eq!(values(&db).await, [2, 2]);
    assert!(attempts.load(Ordering::SeqCst) >= 3, "there was no deadlock");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_takes_too_long_is_given_up() {
    let db = Database::MySql.fresh().await;
    let began = Instant::now();
    let outcome = sql("SELECT SLEEP(60)").run(&db).await;
    assert!(matches!(outcome, Err(DbError::Unavailable(_))), "{outcome:?}");
    assert!(began.elapsed() < STATEMENT_TIMEOUT + Duration::from_secs(3), "{:?}", began.elapsed());
    db.ping().await.expect("other statements go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_is_a_clear_error_in_time() {
    // Taken, so that nobody else listens there, and never answering.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let began = Instant::now();
    let outcome = Db::connect(&SecretUrl::new(format!("mysql://root@127.0.0.1:{port}/x")), 1).await;
    assert!(matches!(outcome, Err(DbError::Unavailable(_))), "{:?}", outcome.err());
    assert!(began.elapsed() < ACQUIRE_TIMEOUT + Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_ended_while_idle_are_not_noticed() {
    let db = counters(Database::MySql).await;
    let Db::MySql(pool) = &db else { panic!("not MySQL") };
    let mut held = Vec::new();
    let mut ids = Vec::new();
    for _ in 0..4 {
        let mut tx = db.begin().await.expect("begun");
        let id: i64 =
            sql("SELECT CAST(CONNECTION_ID() AS SIGNED)").scalar(&mut tx).await.expect("asked").expect("an id");
        ids.push(id);
        held.push(tx);
    }
    for tx in held {
        tx.commit().await.expect("committed");
    }
    let all_idle = async {
        while pool.num_idle() < ids.len() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, all_idle).await.expect("connections that came back");
    let other = Database::MySql.fresh().await;
    for id in ids {
        sql(format!("KILL {id}")).run(&other).await.expect("killed");
    }
    assert_eq!(values(&db).await, [0, 0]);
    let outcome: Result<(), DbError> = transaction!(db, |tx| add(tx, 1));
    outcome.expect("a transaction that has not begun can begin again");
    assert_eq!(values(&db).await, [1, 0]);
}

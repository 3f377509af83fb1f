//! Calls that are given up at any point, as by a deadline or because a client has gone: the answers of later calls are
//! their own, and nothing is half done.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use common::{
    config::SecretUrl,
    db::{Db, DbError, Tx, Value, insert_rows, sql},
    ids::RandomIds,
    ops::Ops,
    rooms::sql::SqlRooms,
    transaction,
};
use futures_util::{FutureExt, future::BoxFuture, future::join_all};
use loadtest::proxy::{Proxy, Which};
use testing::Database;

testing::on_each_database!(
    a_call_given_up_at_any_point_leaves_the_answers_of_others_alone,
    a_transaction_whose_statement_was_given_up_takes_no_other,
);

/// Polls of one call, at most: more than any call needs.
const MOST_POLLS: usize = 400;
/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Polls a call at most so many times and drops it. `None`: it had not ended.
async fn polled<T>(mut call: BoxFuture<'_, T>, times: usize) -> Option<T> {
    let mut left = times;
    poll_fn(|context| match call.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => {
            left -= 1;
            if left == 0 { Poll::Ready(None) } else { Poll::Pending }
        }
    })
    .await
}

/// A database under test, and the same one with connections of its own, as another process sees it.
struct World {
    db: Db,
    other: Db,
    /// Makes texts and keys that were not used before.
    next: AtomicI64,
}

impl World {
    async fn new(database: Database) -> Self {
        let url = database.fresh_url().await;
        let db = Db::connect(&url, 3).await.expect("a connection");
        sql("CREATE TABLE pairs (id BIGINT NOT NULL PRIMARY KEY, pair BIGINT NOT NULL)")
            .run(&db)
            .await
            .expect("a table");
        let other = Db::connect(&url, 1).await.expect("a connection");
        Self { db, other, next: AtomicI64::new(1) }
    }

    fn number(&self) -> i64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Checks the next hundred answers, by every kind of call, and that nothing is half done.
    async fn assert_right(&self, after: &str) {
        for _ in 0..5 {
            join_all((0..20).map(|kind| self.ask(kind, after))).await;
        }
        let pair = self.number();
        let two: Result<(), DbError> = transaction!(self.db, |tx| insert_pair(tx, pair));
        two.unwrap_or_else(|error| panic!("after {after}: {error}"));
        let halves: Vec<(i64,)> =
            sql("SELECT pair FROM pairs GROUP BY pair HAVING COUNT(*) <> 2").all(&self.other).await.expect("pairs");
        assert_eq!(halves, [], "after {after}: half of a transaction is there");
        let seen: Option<i64> =
            sql("SELECT COUNT(*) FROM pairs WHERE pair = ?").bind(pair).scalar(&self.other).await.expect("a count");
        assert_eq!(seen, Some(2), "after {after}: what was answered for is not committed");
    }

    async fn ask(&self, kind: i64, after: &str) {
        let number = self.number();
        let wrong = |error: DbError| -> i64 { panic!("after {after}: {error}") };
        // Texts that the connection has prepared before, and such that it has not.
        let text = if kind % 4 == 0 { format!("SELECT ? + {number}") } else { "SELECT ? + 0".to_owned() };
        let expected = if kind % 4 == 0 { number * 2 } else { number };
        let answer = match kind % 3 {
            0 => sql(text).bind(number).all::<(i64,)>(&self.db).await.map(|rows| rows[0].0).unwrap_or_else(wrong),
            1 => {
                sql(text).bind(number).scalar(&self.db).await.map(|answer| answer.expect("a row")).unwrap_or_else(wrong)
            }
            _ => {
                let mut tx = self.db.begin().await.unwrap_or_else(|error| panic!("after {after}: {error}"));
                let answer = sql(text).bind(number).scalar(&mut tx).await.unwrap_or_else(|error| Some(wrong(error)));
                tx.commit().await.unwrap_or_else(|error| panic!("after {after}: {error}"));
                answer.expect("a row")
            }
        };
        assert_eq!(answer, expected, "after {after}: the answer to another question");
    }
}

async fn insert_pair(tx: &mut Tx, pair: i64) -> Result<(), DbError> {
    for id in [pair * 2, pair * 2 + 1] {
        sql("INSERT INTO pairs (id, pair) VALUES (?, ?)").bind(id).bind(pair).run(&mut *tx).await?;
    }
    Ok(())
}

/// Every kind of call, by name.
const KINDS: [&str; 9] = ["ping", "all", "first", "new text", "write", "begin", "commit", "rollback", "many rows"];

fn call<'a>(world: &'a World, kind: &str) -> BoxFuture<'a, ()> {
    let (db, number) = (&world.db, world.number());
    match kind {
        "ping" => db.ping().map(drop).boxed(),
        "all" => sql("SELECT id, pair FROM pairs ORDER BY id LIMIT 50").all::<(i64, i64)>(db).map(drop).boxed(),
        "first" => {
            sql("SELECT id FROM pairs WHERE id > ? ORDER BY id").bind(0).optional::<(i64,)>(db).map(drop).boxed()
        }
        "new text" => sql(format!("SELECT ?, {number}, 'x', 'y'"))
            .bind(number)
            .all::<(i64, i64, String, String)>(db)
            .map(drop)
            .boxed(),
        "write" => sql("UPDATE pairs SET pair = pair WHERE id = ?").bind(number).run(db).map(drop).boxed(),
        "begin" => db.begin().map(drop).boxed(),
        "commit" => async move {
            let committed: Result<(), DbError> = transaction!(db, |tx| insert_pair(tx, number));
            drop(committed);
        }
        .boxed(),
        "rollback" => async move {
            let undo = async |tx: &mut Tx| {
                sql("INSERT INTO pairs (id, pair) VALUES (?, ?)").bind(number * 2).bind(number).run(&mut *tx).await?;
                Err::<(), _>(DbError::Unavailable("on purpose".to_owned()))
            };
            let undone: Result<(), DbError> = transaction!(db, |tx| undo(tx));
            drop(undone);
        }
        .boxed(),
        "many rows" => async move {
            let rows = [number * 2, number * 2 + 1].map(|id| vec![Value::from(id), Value::from(number)]);
            let many = async |tx: &mut Tx| insert_rows(tx, "pairs", &["id", "pair"], rows.to_vec()).await;
            let inserted: Result<(), DbError> = transaction!(db, |tx| many(tx));
            drop(inserted);
        }
        .boxed(),
        other => panic!("{other} is no kind of call"),
    }
}

async fn a_call_given_up_at_any_point_leaves_the_answers_of_others_alone(database: Database) {
    for kind in KINDS {
        let world = World::new(database).await;
        let mut ended = false;
        for times in 1..=MOST_POLLS {
            ended = polled(call(&world, kind), times).await.is_some();
            let after = format!("{kind} polled {times} times");
            let right = tokio::time::timeout(PATIENCE, world.assert_right(&after)).await;
            right.unwrap_or_else(|_| panic!("after {after}: no answers in time"));
            if ended {
                break;
            }
        }
        assert!(ended, "{kind} on {database:?} did not end within {MOST_POLLS} polls");
    }
}

async fn a_transaction_whose_statement_was_given_up_takes_no_other(database: Database) {
    let world = World::new(database).await;
    let mut tx = world.db.begin().await.expect("begun");
    sql("INSERT INTO pairs (id, pair) VALUES (1, 1)").run(&mut tx).await.expect("inserted");
    // What takes longer than a poll.
    let long = match database {
        Database::Sqlite => {
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT SUM(i) FROM n"
        }
        Database::MySql => "SELECT SLEEP(1)",
    };
    let given_up = sql(long).scalar::<i64>(&mut tx).boxed();
    assert_eq!(polled(given_up, 1).await.map(|outcome| outcome.is_ok()), None);
    let next = sql("SELECT 7").scalar::<i64>(&mut tx).await;
    assert!(matches!(next, Err(DbError::Unavailable(_))), "{next:?}");
    let committed = tx.commit().await;
    assert!(matches!(committed, Err(DbError::Unavailable(_))), "{committed:?}");
    world.assert_right("a statement in a transaction").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_while_the_database_stalls_leaves_the_answers_of_others_alone() {
    let url = Database::MySql.fresh_url().await;
    let direct = Db::connect(&url, 2).await.expect("a connection");
    direct.migrate().await.expect("migrations");
    let text = url.expose();
    let (_, rest) = text.split_once('@').expect("a user");
    let (address, name) = rest.split_once('/').expect("a database");
    let proxy = Proxy::start(address.parse().expect("an address")).await.expect("a proxy");
    let through = text.replace(&format!("@{rest}"), &format!("@{}/{name}", proxy.address()));
    let db = Db::connect(&SecretUrl::new(through), 6).await.expect("a connection");
    let ops = Ops::new(db.clone(), Arc::new(SqlRooms::new(db.clone(), Arc::new(RandomIds))));
    let ask = async |number: i64| {
        let answer: Result<Option<i64>, DbError> = sql("SELECT ? + 0").bind(number).scalar(&db).await;
        assert_eq!(answer.expect("an answer"), Some(number), "the answer to another question");
    };
    for round in 0..2 {
        // Every connection has just worked, so that it is used without being asked first.
        join_all((0..48).map(&ask)).await;
        proxy.freeze(Which::All, true);
        let during = join_all((0..3).map(|_| ops.readiness())).await;
        proxy.freeze(Which::All, false);
        assert!(during.iter().all(|readiness| !readiness.ready), "{during:?}");
        for number in 0..200 {
            ask(round * 1000 + number).await;
        }
        let after = ops.readiness().await;
        assert!(after.ready, "{after:?}");
    }
}

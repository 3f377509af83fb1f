//! A database that says "not now": the error says so, what can be waited for is waited for, and readiness is red while
//! writes are not taken.

use std::sync::Arc;

use common::{
    config::SecretUrl,
    db::{Db, DbError, sql},
    ids::RandomIds,
    ops::Ops,
    rooms::sql::SqlRooms,
};
use futures_util::future::join_all;
use testing::Database;
use uuid::Uuid;

/// A MariaDB database as a user sees it who may have `limit` connections, by a pool of more.
async fn as_user(limit: u32, pool: u32) -> Db {
    let url = Database::MySql.fresh_url().await;
    let root = Db::connect(&url, 2).await.expect("a connection");
    let name = format!("u{}", &Uuid::now_v7().simple().to_string()[12..]);
    let (_, place) = url.expose().split_once('@').expect("a user");
    let database = place.rsplit('/').next().expect("a database");
    for text in [
        format!("CREATE USER {name}@'%' IDENTIFIED BY 'secret' WITH MAX_USER_CONNECTIONS {limit}"),
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.* TO {name}@'%'"),
    ] {
        sql(text).run(&root).await.expect("a user");
    }
    let url = SecretUrl::new(format!("mysql://{name}:secret@{place}"));
    Db::connect(&url, pool).await.expect("a connection")
}

fn ops(db: &Db) -> Ops {
    Ops::new(db.clone(), Arc::new(SqlRooms::new(db.clone(), Arc::new(RandomIds))))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gets_no_more_connections_waits_for_their_own() {
    let db = as_user(2, 8).await;
    let asked = join_all((0..40_i64).map(|number| {
        let db = &db;
        async move { sql("SELECT ? + SLEEP(0.02)").bind(number).scalar::<i64>(db).await }
    }))
    .await;
    for (number, answer) in asked.into_iter().enumerate() {
        assert_eq!(answer.expect("an answer"), i64::try_from(number).ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_server_is_not_ready_and_says_not_now() {
    let db = Database::MySql.fresh().await;
    let ops = ops(&db);
    let write = async || sql("UPDATE users SET nickname = nickname").run(&db).await;
    write().await.expect("written");
    assert!(ops.readiness().await.ready);
    // In this database alone: every table answers as those of a read-only server do.
    let tables = ["readiness", "users"];
    for table in tables {
        sql(format!(
            "CREATE TRIGGER refuse_{table} BEFORE UPDATE ON {table} FOR EACH ROW \
             SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1290, MESSAGE_TEXT = 'running with the --read-only option'"
        ))
        .run(&db)
        .await
        .expect("a trigger");
    }
    let written = write().await;
    assert!(matches!(written, Err(DbError::Unavailable(_))), "{written:?}");
    let mut tx = db.begin().await.expect("begun");
    let written = sql("UPDATE users SET nickname = nickname").run(&mut tx).await;
    assert!(matches!(written, Err(DbError::Unavailable(_))), "{written:?}");
    drop(tx);
    let readiness = ops.readiness().await;
    assert!(!readiness.ready && readiness.database.contains("read-only"), "{readiness:?}");
    sql("SELECT COUNT(*) FROM users").scalar::<i64>(&db).await.expect("reads go on");
    for table in tables {
        sql(format!("DROP TRIGGER refuse_{table}")).run(&db).await.expect("writable");
    }
    write().await.expect("written");
    assert!(ops.readiness().await.ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_takes_no_writes_is_not_ready() {
    let db = Database::Sqlite.fresh().await;
    let ops = ops(&db);
    assert!(ops.readiness().await.ready);
    sql("PRAGMA query_only = 1").run(&db).await.expect("read-only");
    let readiness = ops.readiness().await;
    assert!(!readiness.ready && readiness.database.contains("readonly"), "{readiness:?}");
    // The next connection writes.
    let readiness = ops.readiness().await;
    assert!(readiness.ready, "{readiness:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_server_are_told_apart() {
    let db = Database::MySql.fresh().await;
    for (numbers, expected) in [
        (&[1021, 1040, 1053, 1114, 1203, 1226, 1290, 1317, 1792, 1836, 1927, 2006, 2013, 3024][..], "not now"),
        (&[1020, 1205, 1213][..], "gave way"),
        (&[1048, 1064, 1146, 1406][..], "other"),
        (&[1062][..], "unique"),
    ] {
        for number in numbers {
            let signal = format!("SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'on purpose'");
            let kind = match sql(signal).run(&db).await {
                Err(DbError::Unavailable(_)) => "not now",
                Err(DbError::Contention(_)) => "gave way",
                Err(DbError::UniqueViolation(_)) => "unique",
                Err(DbError::Other(_)) => "other",
                Ok(_) => "no error",
            };
            assert_eq!(kind, expected, "{number}");
            let next: Option<i64> = sql("SELECT ? + 0").bind(*number).scalar(&db).await.expect("an answer");
            assert_eq!(next, Some(*number), "after {number}");
        }
    }
}

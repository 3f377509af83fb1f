//! Servers that are set up in another way: what is answered for is committed, and tables have transactions and keys.

use common::{
    config::SecretUrl,
    db::{Db, DbError, Tx, sql},
    transaction,
};
use loadtest::servers::MariaDb;
use testing::Database;

/// Defaults of a server that would break what is promised.
const SETTINGS: [(&str, &str); 8] = [
    ("autocommit", "0"),
    ("completion_type", "'CHAIN'"),
    ("sql_mode", "''"),
    ("default_storage_engine", "MyISAM"),
    ("sql_safe_updates", "1"),
    ("sql_select_limit", "3"),
    ("foreign_key_checks", "0"),
    ("transaction_read_only", "1"),
];

/// Sets the defaults of a server.
async fn set_all(admin: &Db) {
    for (name, value) in SETTINGS {
        // MariaDB before 11.1 calls this one by its old name.
        let name = name.replace("transaction_read_only", "tx_read_only");
        sql(format!("SET GLOBAL {name} = {value}")).run(admin).await.expect("set");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_for_holds_whatever_the_servers_defaults_are() {
    // A server of its own: its defaults are those of all who connect to it.
    let server = MariaDb::start().await.expect("a MariaDB");
    let url = SecretUrl::new(server.url());
    let admin = Db::connect(&url, 1).await.expect("a connection");
    set_all(&admin).await;
    let db = Db::connect(&url, 2).await.expect("a connection");
    db.migrate().await.expect("migrations");
    assert_eq!(db.unsuitable().await.expect("an answer"), None);
    let other = Db::connect(&url, 2).await.expect("a connection");
    testing::meetup(&db).await;
    let seen: Option<i64> = sql("SELECT COUNT(*) FROM meetups").scalar(&other).await.expect("a count");
    assert_eq!(seen, Some(1), "a single statement is committed");
    let add = async |tx: &mut Tx| sql("UPDATE meetups SET like_count = like_count + 1").run(tx).await;
    for _ in 0..3 {
        let added: Result<u64, DbError> = transaction!(db, |tx| add(tx));
        assert_eq!(added.expect("added"), 1);
    }
    let likes: Option<i64> = sql("SELECT like_count FROM meetups").scalar(&other).await.expect("a count");
    assert_eq!(likes, Some(3), "a transaction is committed, and the next is another");
    let orphan = sql("INSERT INTO room_outbox (id, room_id, body, created_at) VALUES (X'00', X'00', ?, 0)")
        .bind("x".repeat(5000))
        .run(&db)
        .await;
    assert!(matches!(orphan, Err(DbError::Other(_))), "a value that does not fit is an error: {orphan:?}");
    let orphan = sql("INSERT INTO meetup_terms (term, meetup_id) VALUES ('x', X'01')").run(&db).await;
    assert!(matches!(orphan, Err(DbError::Other(_))), "foreign keys hold: {orphan:?}");
    let rows: Vec<(i64,)> =
        sql("SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4").all(&db).await.expect("rows");
    assert_eq!(rows.len(), 4, "no limit of the server's");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_another_engine_are_converted_or_refused() {
    let db = Database::MySql.fresh().await;
    // As an older version has made them on a server with another engine: no foreign keys.
    let keys: Vec<(String, String)> = sql("SELECT CAST(table_name AS CHAR), CAST(constraint_name AS CHAR) \
         FROM information_schema.referential_constraints WHERE constraint_schema = DATABASE()")
    .all(&db)
    .await
    .expect("foreign keys");
    assert!(keys.len() > 20, "{keys:?}");
    for (table, key) in &keys {
        sql(format!("ALTER TABLE {table} DROP FOREIGN KEY {key}")).run(&db).await.expect("dropped");
    }
    for table in ["users", "meetups", "meetup_members"] {
        sql(format!("ALTER TABLE {table} ENGINE = MyISAM")).run(&db).await.expect("converted");
    }
    let reason = db.unsuitable().await.expect("an answer").expect("a reason");
    assert!(reason.contains("MyISAM"), "{reason}");
    sql("DELETE FROM _sqlx_migrations WHERE version = 71").run(&db).await.expect("undone");
    db.migrate().await.expect("migrations");
    assert_eq!(db.unsuitable().await.expect("an answer"), None);
    let again: Option<i64> =
        sql("SELECT COUNT(*) FROM information_schema.referential_constraints WHERE constraint_schema = DATABASE()")
            .scalar(&db)
            .await
            .expect("a count");
    assert_eq!(again, i64::try_from(keys.len()).ok());
}

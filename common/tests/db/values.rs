//! What is written is read back, on both databases.

use common::{
    db::{Db, DbError, sql},
    time::Timestamp,
};
use testing::Database;
use uuid::Uuid;

testing::on_each_database!(
    every_value_comes_back_as_it_was,
    times_and_sums_are_whole_numbers_on_both,
    a_second_row_of_one_key_is_a_unique_violation_and_letters_are_not_folded,
);

/// A database with a table of every type we use.
async fn with_table(database: Database) -> Db {
    let db = database.fresh().await;
    let (id, int, real, text) = match database {
        Database::Sqlite => ("BLOB", "INTEGER", "REAL", "TEXT"),
        Database::MySql => ("BINARY(16)", "BIGINT", "DOUBLE", "VARCHAR(1000)"),
    };
    let options = match database {
        Database::Sqlite => "",
        Database::MySql => "DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin",
    };
    let create = format!(
        "CREATE TABLE things (id {id} NOT NULL PRIMARY KEY, number {int}, fraction {real}, text {text} UNIQUE, bytes BLOB) \
         {options}"
    );
    sql(create).run(&db).await.expect("a table");
    db
}

#[derive(Debug, PartialEq, sqlx::FromRow)]
struct Thing {
    id: Uuid,
    number: Option<i64>,
    fraction: Option<f64>,
    text: Option<String>,
    bytes: Option<Vec<u8>>,
}

async fn insert(db: &Db, thing: &Thing) -> Result<u64, DbError> {
    sql("INSERT INTO things (id, number, fraction, text, bytes) VALUES (?, ?, ?, ?, ?)")
        .bind(thing.id)
        .bind(thing.number)
        .bind(thing.fraction)
        .bind(thing.text.clone())
        .bind(thing.bytes.clone())
        .run(db)
        .await
}

async fn read(db: &Db, id: Uuid) -> Thing {
    sql("SELECT id, number, fraction, text, bytes FROM things WHERE id = ?").bind(id).one(db).await.expect("the row")
}

async fn every_value_comes_back_as_it_was(database: Database) {
    let texts = ["", " x ", "밍기적 👩🏽‍💻 ', \\ % _ \u{0}\n", "e\u{301}", "é", "\u{10ffff}"];
    let db = with_table(database).await;
    let empty = || Thing { id: Uuid::now_v7(), number: None, fraction: None, text: None, bytes: None };
    let mut things = vec![empty(), Thing { id: Uuid::nil(), ..empty() }, Thing { id: Uuid::max(), ..empty() }];
    things.extend([i64::MIN, -1, 0, i64::MAX].map(|number| Thing { number: Some(number), ..empty() }));
    things.extend([f64::MIN, -0.5, 1e-300, f64::MAX].map(|number| Thing { fraction: Some(number), ..empty() }));
    things.extend(texts.map(|text| Thing { text: Some(text.to_owned()), ..empty() }));
    things.push(Thing { bytes: Some((0..=255).collect()), ..empty() });
    things.push(Thing { bytes: Some(Vec::new()), ..empty() });
    for thing in &things {
        assert_eq!(insert(&db, thing).await.expect("inserted"), 1, "{thing:?}");
        assert_eq!(&read(&db, thing.id).await, thing);
    }
}

async fn times_and_sums_are_whole_numbers_on_both(database: Database) {
    let db = with_table(database).await;
    for millis in [-1_i64, 1_772_323_200_123] {
        let number = Some(Timestamp(millis).millis());
        let thing = Thing { id: Uuid::now_v7(), number, fraction: None, text: None, bytes: None };
        insert(&db, &thing).await.expect("inserted");
        let time: Option<Timestamp> =
            sql("SELECT number FROM things WHERE id = ?").bind(thing.id).scalar(&db).await.expect("a time");
        assert_eq!(time, Some(Timestamp(millis)));
    }
    let sum: Option<i64> = sql("SELECT CAST(SUM(number) AS SIGNED) FROM things").scalar(&db).await.expect("a sum");
    assert_eq!(sum, Some(1_772_323_200_122));
    let list: Vec<(i64,)> = sql("SELECT number FROM things WHERE number IN ")
        .push_list([-1_i64, 5])
        .push(" ORDER BY number")
        .all(&db)
        .await
        .expect("a list");
    assert_eq!(list, [(-1,)]);
}

async fn a_second_row_of_one_key_is_a_unique_violation_and_letters_are_not_folded(database: Database) {
    let db = with_table(database).await;
    let thing = |text: &str| {
        let text = Some(text.to_owned());
        Thing { id: Uuid::now_v7(), number: None, fraction: None, text, bytes: None }
    };
    // But for spaces at the end, which MySQL's collations of characters ignore: keys are bytes there.
    for text in ["Mingi", "mingi", "MINGI", " mingi", "é", "e\u{301}", "밍기"] {
        insert(&db, &thing(text)).await.expect(text);
        let again = insert(&db, &thing(text)).await;
        assert!(matches!(again, Err(DbError::UniqueViolation(_))), "{text:?}: {again:?}");
    }
    let missing = sql("SELECT nothing FROM nowhere").run(&db).await;
    assert!(matches!(missing, Err(DbError::Other(_))), "{missing:?}");
    let none: Option<Thing> = sql("SELECT id, number, fraction, text, bytes FROM things WHERE id = ?")
        .bind(Uuid::nil())
        .optional(&db)
        .await
        .expect("no row is no error");
    assert_eq!(none, None);
}

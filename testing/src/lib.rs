//! Test fixtures for every crate: fresh, migrated databases of both kinds and room logs of every backend.
//!
//! `scripts/test` starts the servers and names them in `MINGIZUK_TEST_MYSQL_URL` (without a database) and
//! `MINGIZUK_TEST_REDIS_URL`. Without them these functions panic: a test that is skipped has not passed.

#![expect(clippy::expect_used, clippy::panic, reason = "only tests use this crate, and a broken set-up must stop them")]

pub mod plans;

use std::{path::PathBuf, sync::Arc, time::Duration};

use common::{
    config::{Config, Profile, SecretUrl},
    db::{Db, sql},
    ids::RandomIds,
    rooms::{
        RoomStore,
        redis::{RedisRooms, RedisSettings},
        sql::SqlRooms,
    },
};
use fred::{
    interfaces::ClientLike,
    types::{ClusterHash, CustomCommand},
};
use uuid::Uuid;

/// The database backends that every test of SQL runs against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// A new file in a temporary folder.
    Sqlite,
    /// A new database on the test's MariaDB.
    MySql,
}

impl Database {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Sqlite, Self::MySql];

    /// The URL of a new, empty database.
    pub async fn fresh_url(self) -> SecretUrl {
        match self {
            Self::Sqlite => SecretUrl::new(format!("sqlite://{}/mingizuk.db", temporary_folder().display())),
            Self::MySql => {
                let server = server("MINGIZUK_TEST_MYSQL_URL");
                let name = format!("test_{}", Uuid::now_v7().simple());
                let admin =
                    Db::connect(&SecretUrl::new(format!("{server}/mysql")), 1).await.expect("the test's MariaDB");
                sql(format!("CREATE DATABASE {name}")).run(&admin).await.expect("a new database");
                admin.close().await;
                SecretUrl::new(format!("{server}/{name}"))
            }
        }
    }

    /// A new, migrated database.
    pub async fn fresh(self) -> Db {
        let db = Db::connect(&self.fresh_url().await, 8).await.expect("a connection");
        db.migrate().await.expect("migrations");
        db
    }
}

/// The URL of the test's Redis.
pub fn redis_url() -> SecretUrl {
    SecretUrl::new(server("MINGIZUK_TEST_REDIS_URL"))
}

/// Room logs of every kind, each with its name.
pub async fn room_stores() -> Vec<(&'static str, Arc<dyn RoomStore>)> {
    room_stores_with_databases().await.into_iter().map(|(name, store, _)| (name, store)).collect()
}

/// Room logs of every kind, each with its name and the database it, or its archive, is in.
pub async fn room_stores_with_databases() -> Vec<(&'static str, Arc<dyn RoomStore>, Db)> {
    let ids = || Arc::new(RandomIds);
    let (sqlite, mysql, archive) =
        (Database::Sqlite.fresh().await, Database::MySql.fresh().await, Database::Sqlite.fresh().await);
    vec![
        ("SQLite", Arc::new(SqlRooms::new(sqlite.clone(), ids())), sqlite),
        ("MariaDB", Arc::new(SqlRooms::new(mysql.clone(), ids())), mysql),
        ("Redis", Arc::new(redis_rooms_at(redis_url(), archive.clone()).await), archive),
    ]
}

/// A new meetup of a new host, over in a thousand years.
pub async fn meetup(db: &Db) -> Uuid {
    let (host, meetup) = (Uuid::now_v7(), Uuid::now_v7());
    sql("INSERT INTO users (id, nickname, nickname_key, time_zone, week_start, created_at) VALUES (?, ?, ?, ?, ?, 0)")
        .bind(host)
        .bind(host.simple().to_string())
        .bind(host.simple().to_string())
        .bind("Asia/Seoul")
        .bind("monday")
        .run(db)
        .await
        .expect("a host");
    sql("INSERT INTO meetups (id, host_id, title, description, place_name, road_address, lot_address, latitude, longitude, \
         sido, sigungu, region_code, starts_at, ends_at, member_count, waiting_count, like_count, comment_count, created_at, \
         updated_at) VALUES (?, ?, '', '', '', '', '', 0, 0, '', '', '', 0, ?, 1, 0, 0, 0, 0, 0)")
        .bind(meetup)
        .bind(host)
        .bind(33_000_000_000_000_i64)
        .run(db)
        .await
        .expect("a meetup");
    meetup
}

/// A room log on the test's Redis with an archive of its own.
pub async fn redis_rooms() -> RedisRooms {
    redis_rooms_at(redis_url(), Database::Sqlite.fresh().await).await
}

/// A room log on a Redis with connections of its own, as another process would have.
pub async fn redis_rooms_at(url: SecretUrl, db: Db) -> RedisRooms {
    redis_rooms_with(redis_settings(url), db).await
}

/// The same, set up differently.
pub async fn redis_rooms_with(settings: RedisSettings, db: Db) -> RedisRooms {
    RedisRooms::connect(settings, db, Arc::new(RandomIds)).await.expect("the test's Redis")
}

/// How tests use a Redis.
pub const fn redis_settings(url: SecretUrl) -> RedisSettings {
    RedisSettings { url, connections: 1, timeout: Duration::from_secs(2), entries: 1000 }
}

/// The keys that the test's Redis has of a room, except those with an expiry.
pub async fn lasting_redis_keys(room: Uuid) -> Vec<String> {
    let config = fred::types::config::Config::from_url(redis_url().expose()).expect("a URL");
    let client = fred::types::Builder::from_config(config).build().expect("a client");
    client.init().await.expect("the test's Redis");
    let command = |name: &'static str| CustomCommand::new_static(name, ClusterHash::FirstKey, false);
    let keys: Vec<String> = client.custom(command("KEYS"), vec![format!("mz:*{room}*")]).await.expect("keys");
    let mut lasting = Vec::new();
    for key in keys {
        let left: i64 = client.custom(command("PTTL"), vec![key.clone()]).await.expect("a time to live");
        if left == -1 {
            lasting.push(key);
        }
    }
    client.quit().await.expect("closed");
    lasting
}

/// The test profile's configuration with every listener on a free port.
pub fn config() -> Config {
    let mut config = Config::defaults(Profile::Test);
    for name in ["api_addr", "gateway_addr", "api_ops_addr", "gateway_ops_addr"] {
        config.set(name, "127.0.0.1:0").expect("an address");
    }
    config.set("jwt_keys", "test:0123456789abcdef0123456789abcdef").expect("a key");
    config
}

/// A new folder that nothing else uses.
pub fn temporary_folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("mingizuk-test-{}", Uuid::now_v7().simple()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    folder
}

fn server(variable: &str) -> String {
    match std::env::var(variable) {
        Ok(url) => url.trim_end_matches('/').to_owned(),
        Err(_) => panic!("{variable} is not set: run scripts/test, which starts the servers that the tests need"),
    }
}

//! Test fixtures for every crate: fresh, migrated databases of both kinds and room logs of every backend.
//!
//! `scripts/test` starts the servers and names them in `MINGIZUK_TEST_MYSQL_URL` (without a database) and
//! `MINGIZUK_TEST_REDIS_URL`. Without them these functions panic: a test that is skipped has not passed.

#![expect(clippy::expect_used, clippy::panic, reason = "only tests use this crate, and a broken set-up must stop them")]

pub mod plans;
mod template;

use std::{path::PathBuf, sync::Arc, time::Duration};

use common::{
    config::{Config, Profile, SecretUrl},
    db::{Db, sql, sqlite_file},
    ids::RandomIds,
    rooms::{
        RoomStore,
        redis::{RedisRooms, RedisSettings},
        sql::SqlRooms,
    },
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};
use uuid::Uuid;

/// The databases that every test of SQL runs against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// A new file in a temporary folder.
    Sqlite,
    /// A new database on the test's MariaDB.
    MySql,
}

impl Database {
    /// The URL of a new, empty database.
    pub async fn empty_url(self) -> SecretUrl {
        let (url, server) = self.new_url();
        if let Some((server, name)) = server {
            execute(&server, format!("CREATE DATABASE {name}")).await;
        }
        url
    }

    /// The URL of a new, migrated database.
    pub async fn fresh_url(self) -> SecretUrl {
        let (url, server) = self.new_url();
        match server {
            Some((server, name)) => template::copy_mysql(&server, &name).await,
            None => template::copy_sqlite(&sqlite_file(&url).expect("a file")).await,
        }
        url
    }

    /// A new, migrated database.
    pub async fn fresh(self) -> Db {
        Db::connect(&self.fresh_url().await, 8).await.expect("a connection")
    }

    /// A URL that nothing else uses; on a server, the server's own URL and the database's name too.
    fn new_url(self) -> (SecretUrl, Option<(String, String)>) {
        match self {
            Self::Sqlite => (SecretUrl::new(format!("sqlite://{}/mingizuk.db", temporary_folder().display())), None),
            Self::MySql => {
                let (server, name) = (server("MINGIZUK_TEST_MYSQL_URL"), format!("test_{}", Uuid::now_v7().simple()));
                (SecretUrl::new(format!("{server}/{name}")), Some((server, name)))
            }
        }
    }
}

/// Runs one statement on the test's MariaDB.
async fn execute(server: &str, statement: String) {
    let admin = Db::connect(&SecretUrl::new(format!("{server}/mysql")), 1).await.expect("the test's MariaDB");
    sql(statement).run(&admin).await.expect("carried out");
    admin.close().await;
}

/// The URL of the test's Redis.
pub fn redis_url() -> SecretUrl {
    SecretUrl::new(server("MINGIZUK_TEST_REDIS_URL"))
}

/// The room logs that every test of a log runs against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomLog {
    /// In SQL, in a new file.
    Sqlite,
    /// In SQL, in a new database on the test's MariaDB.
    MySql,
    /// On the test's Redis, with a new archive.
    Redis,
}

impl RoomLog {
    /// A log without entries.
    pub async fn fresh(self) -> Arc<dyn RoomStore> {
        self.fresh_with_database().await.0
    }

    /// A log without entries and the database that it, or its archive, is in.
    pub async fn fresh_with_database(self) -> (Arc<dyn RoomStore>, Db) {
        let database = if self == Self::MySql { Database::MySql } else { Database::Sqlite };
        let db = database.fresh().await;
        let log: Arc<dyn RoomStore> = match self {
            Self::Sqlite | Self::MySql => Arc::new(SqlRooms::new(db.clone(), Arc::new(RandomIds))),
            Self::Redis => Arc::new(redis_rooms_at(redis_url(), db.clone()).await),
        };
        (log, db)
    }
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
    let url = redis_url();
    let address = url.expose().rsplit(['/', '@']).next().expect("an address");
    let mut redis = BufReader::new(TcpStream::connect(address).await.expect("the test's Redis"));
    let script = format!(
        "EVAL \"local lasting = {{}} for _, key in ipairs(redis.call('KEYS', 'mz:*{room}*')) do \
         if redis.call('PTTL', key) == -1 then lasting[#lasting + 1] = key end end return lasting\" 0\r\n"
    );
    redis.write_all(script.as_bytes()).await.expect("sent");
    let count: usize = line(&mut redis).await.strip_prefix('*').expect("an array").parse().expect("a length");
    let mut lasting = Vec::new();
    for _ in 0..count {
        line(&mut redis).await;
        lasting.push(line(&mut redis).await);
    }
    lasting
}

async fn line(redis: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    redis.read_line(&mut line).await.expect("a line");
    line.trim_end().to_owned()
}

/// Makes a test for each [`Database`] of each function named: `sqlite::name` and `mysql::name`.
#[macro_export]
macro_rules! on_each_database {
    ($($test:ident),+ $(,)?) => {
        $crate::tests_on!(sqlite, $crate::Database::Sqlite, $($test),+);
        $crate::tests_on!(mysql, $crate::Database::MySql, $($test),+);
    };
}

/// Makes a test for each [`RoomLog`] of each function named: `sqlite::name`, `mysql::name` and `redis::name`.
#[macro_export]
macro_rules! on_each_room_log {
    ($($test:ident),+ $(,)?) => {
        $crate::tests_on!(sqlite, $crate::RoomLog::Sqlite, $($test),+);
        $crate::tests_on!(mysql, $crate::RoomLog::MySql, $($test),+);
        $crate::tests_on!(redis, $crate::RoomLog::Redis, $($test),+);
    };
}

/// Makes a module of tests that call the functions of the same names above it with `backend`.
#[macro_export]
macro_rules! tests_on {
    ($module:ident, $backend:expr, $($test:ident),+) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test($backend).await;
                }
            )+
        }
    };
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

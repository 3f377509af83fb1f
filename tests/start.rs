//! Starting without what is needed ends within 5 s, with one clear sentence and a non-zero exit.

#![expect(clippy::expect_used, reason = "tests")]

use std::time::Duration;

use common::{
    config::SecretUrl,
    db::{Db, sql},
};
use loadtest::servers::{Role, Setup, Signal, free_port};
use tempfile::TempDir;
use testing::{Database, redis_url};

const BINARY: &str = env!("CARGO_BIN_EXE_mingizuk");

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

async fn migrated() -> String {
    let url = Database::MySql.empty_url().await;
    Setup::embedded(BINARY, std::env::temp_dir())
        .with("DATABASE_URL", url.expose())
        .migrate()
        .await
        .expect("the schema");
    url.expose().to_owned()
}

/// Runs a role that cannot start; what it says must contain `said`.
async fn refuses(setup: &Setup, arguments: &[&str], said: &str) {
    let finished = setup.run(arguments).await.expect("an end");
    assert_eq!(finished.status.code(), Some(1), "{said}: {finished:?}");
    let sentence = finished.stderr.lines().last().unwrap_or_default();
    assert!(sentence.starts_with("mingizuk: ") && sentence.contains(said), "{said}: {finished:?}");
    assert!(finished.stdout.is_empty(), "{said}: {finished:?}");
    assert!(finished.took < Duration::from_secs(5), "{said}: {finished:?}");
}

#[tokio::test]
async fn a_role_without_what_it_needs_says_so() {
    let folder = folder();
    let database = migrated().await;
    let empty = Database::MySql.empty_url().await;
    let redis = redis_url();
    let closed = format!("127.0.0.1:{}", free_port().expect("a port"));
    let good = Setup::shared(BINARY, folder.path(), &database, redis.expose());
    let wrong_password = format!("mysql://nobody:wrong@{}", database.rsplit('@').next().expect("a host"));
    for role in ["api", "gateway"] {
        for (setup, said) in [
            (good.clone().without("REDIS_URL"), "MINGIZUK_REDIS_URL must name a Redis"),
            (good.clone().with("REDIS_URL", format!("redis://{closed}")), "the Redis of MINGIZUK_REDIS_URL"),
            (good.clone().with("DATABASE_URL", &wrong_password), "Access denied"),
            (good.clone().with("DATABASE_URL", format!("mysql://root@{closed}/x")), "the database of"),
            (good.clone().with("DATABASE_URL", "sqlite://data/x.db"), "MINGIZUK_DATABASE_URL must be mysql://"),
            (good.clone().with("DATABASE_URL", empty.expose()), "run `mingizuk migrate` first"),
            (good.clone().without("JWT_KEYS"), "MINGIZUK_JWT_KEYS must be set"),
            (good.clone().without("JWT_KEYS").with("ENV", "production"), "MINGIZUK_JWT_KEYS must be set in production"),
            (
                good.clone().with("ENV", "production").with("JWT_KEYS", "k:change-me-change-me-change-me-change"),
                "JWT_KEYS",
            ),
            (good.clone().with("NO_SUCH_SETTING", "1"), "MINGIZUK_NO_SUCH_SETTING is not a setting"),
        ] {
            refuses(&setup, &[role], said).await;
        }
    }
}

#[tokio::test]
async fn a_redis_that_accepts_but_never_answers_is_noticed() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = silent.local_addr().expect("an address");
    let folder = folder();
    let setup = Setup::shared(BINARY, folder.path(), &migrated().await, &format!("redis://{address}"));
    refuses(&setup, &["gateway"], "the Redis of MINGIZUK_REDIS_URL").await;
}

#[tokio::test]
async fn a_database_that_accepts_but_never_answers_is_noticed() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = silent.local_addr().expect("an address");
    let folder = folder();
    let setup = Setup::shared(BINARY, folder.path(), &format!("mysql://root@{address}/x"), redis_url().expose());
    refuses(&setup, &["api"], "the database of MINGIZUK_DATABASE_URL").await;
}

#[tokio::test]
async fn a_schema_of_another_version_is_noticed() {
    let folder = folder();
    for (change, said) in [
        ("DELETE FROM _sqlx_migrations ORDER BY version DESC LIMIT 1", "run `mingizuk migrate` first"),
        ("UPDATE _sqlx_migrations SET version = 9999 ORDER BY version DESC LIMIT 1", "newer"),
    ] {
        let database = migrated().await;
        let db = Db::connect(&SecretUrl::new(database.clone()), 1).await.expect("a connection");
        assert_eq!(sql(change).run(&db).await.expect("changed"), 1);
        db.close().await;
        let setup = Setup::shared(BINARY, folder.path(), &database, redis_url().expose());
        for role in ["api", "gateway"] {
            refuses(&setup, &[role], said).await;
        }
    }
}

#[tokio::test]
async fn a_port_in_use_is_named_and_the_first_instance_is_not_disturbed() {
    let (first_folder, second_folder) = (folder(), folder());
    let first = Setup::embedded(BINARY, first_folder.path());
    let running = first.start(Role::AllInOne).await.expect("ready");
    let taken = running.ready().gateway_ops.clone().expect("an address").replace("http://", "");
    let second = Setup::embedded(BINARY, second_folder.path()).with("GATEWAY_OPS_ADDR", &taken);
    refuses(&second, &[], &format!("cannot listen on {taken} (MINGIZUK_GATEWAY_OPS_ADDR)")).await;
    assert!(!second_folder.path().join("data").exists(), "it must not touch the database before it has its ports");
}

#[tokio::test]
async fn a_damaged_key_file_is_named() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("data")).expect("a folder");
    std::fs::write(folder.path().join("data/mingizuk.keys"), "nonsense").expect("a file");
    refuses(&Setup::embedded(BINARY, folder.path()), &[], "data/mingizuk.keys").await;
}

#[tokio::test]
async fn commands_do_their_one_thing() {
    let folder = folder();
    let setup = Setup::shared(BINARY, folder.path(), "mysql://mingi:hunter2@127.0.0.1:1/x", "redis://127.0.0.1:1");
    let config = setup.run(&["config"]).await.expect("an end");
    assert!(config.status.success() && !config.stdout.contains("hunter2"), "{config:?}");
    assert!(config.stdout.contains("MINGIZUK_JWT_KEYS=test:[redacted]"), "{config:?}");
    let openapi = setup.run(&["openapi"]).await.expect("an end");
    let document: serde_json::Value = serde_json::from_str(&openapi.stdout).expect("JSON");
    assert!(document["paths"].as_object().is_some_and(|paths| !paths.is_empty()));
    let version = setup.run(&["--version"]).await.expect("an end").stdout;
    let named =
        version.strip_prefix(concat!("mingizuk ", env!("CARGO_PKG_VERSION"), " (")).is_some_and(|rest| rest.len() > 2);
    assert!(named, "version and profile: {version}");
    let unknown = setup.run(&["dance"]).await.expect("an end");
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
}

#[tokio::test]
async fn production_takes_no_demo_data_and_is_not_touched() {
    let folder = folder();
    let setup = Setup::embedded(BINARY, folder.path())
        .with("ENV", "production")
        .with("JWT_KEYS", "k:Zk4T0v8bq5pX0m3cYt1oWk7hJ2vR9sL4nZ6aDfGuEiBw");
    refuses(&setup, &["demo-data", "--tokens", "tokens.csv"], "demo data is refused in the production profile").await;
    for left in ["data", "tokens.csv"] {
        assert!(!folder.path().join(left).exists(), "{left}");
    }
}

#[tokio::test]
async fn a_second_process_leaves_an_embedded_database_alone() {
    let (folder, elsewhere) = (folder(), folder());
    let first = Setup::embedded(BINARY, folder.path()).start(Role::AllInOne).await.expect("ready");
    let url = format!("sqlite://{}", folder.path().join("data/mingizuk.db").display());
    let second = Setup::embedded(BINARY, elsewhere.path()).with("DATABASE_URL", &url);
    refuses(&second, &[], "is in use by another mingizuk").await;
    // However the first one ends, the next may start.
    drop(first);
    second.start(Role::AllInOne).await.expect("ready");
}

testing::on_each_database!(migrating_again_changes_nothing);

async fn migrating_again_changes_nothing(database: Database) {
    let folder = folder();
    let setup = Setup::embedded(BINARY, folder.path()).with("DATABASE_URL", database.empty_url().await.expose());
    for _ in 0..2 {
        let finished = setup.run(&["migrate"]).await.expect("an end");
        assert!(finished.status.success(), "{finished:?}");
    }
}

#[tokio::test]
async fn one_signal_ends_it_in_good_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = folder();
        let mut running = Setup::embedded(BINARY, folder.path()).start(Role::AllInOne).await.expect("ready");
        running.program().signal(signal).expect("a signal");
        let status = running.program().wait(Duration::from_secs(20)).await.expect("an end");
        assert!(status.success(), "{status:?} {}", running.program().log());
    }
}

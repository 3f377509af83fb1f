//! Bootstrap: the choice of backends from the configuration. No module below it names a backend.

use std::{path::PathBuf, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    config::{Config, ConfigError, JwtKeys, RoomStoreKind},
    db::{Db, DbError, MigrateError, SchemaState},
    ids::Env,
    outbox::Relay,
    rooms::{
        RoomError, RoomStore,
        redis::{RedisRooms, RedisSettings},
        sql::SqlRooms,
    },
    tokens::AccessTokens,
};

/// Role of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Both services in one process: every backend will do, and the schema is brought up to date at start.
    AllInOne,
    /// One service among other processes: database and Redis must be shared, and the schema must be there.
    Separate,
}

/// Failure to start: one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database cannot be used.
    #[error("the database of MINGIZUK_DATABASE_URL cannot be used: {0}")]
    Database(DbError),
    /// The database is set up so that what is promised would not hold.
    #[error("the database of MINGIZUK_DATABASE_URL cannot be used: {0}")]
    Unsuitable(String),
    /// The schema could not be brought up to date.
    #[error("the database of MINGIZUK_DATABASE_URL could not be migrated: {0}")]
    Migrate(#[from] MigrateError),
    /// The schema is older than the program.
    #[error("the database has an old schema: run `mingizuk migrate` first")]
    SchemaBehind,
    /// The schema is newer than the program.
    #[error("the database was migrated by a newer version of mingizuk: run that version")]
    SchemaAhead,
    /// Redis cannot be used.
    #[error("the Redis of MINGIZUK_REDIS_URL cannot be used: {0}")]
    Redis(RoomError),
    /// Each answered in time, but not all together.
    #[error("the database of MINGIZUK_DATABASE_URL and the Redis of MINGIZUK_REDIS_URL together took longer than {} ms to answer", START_TIMEOUT.as_millis())]
    Slow,
    /// The file of the keys cannot be written or read.
    #[error("the keys in {0} cannot be used: {1}; remove the file or set MINGIZUK_JWT_KEYS")]
    Keys(String, String),
}

/// The longest that connecting to everything may take.
const START_TIMEOUT: Duration = Duration::from_millis(4_500);

/// What every service works with. Cheap to clone.
#[derive(Clone)]
pub struct Backends {
    /// The effective configuration.
    pub config: Arc<Config>,
    /// The relational database.
    pub db: Db,
    /// The room log.
    pub rooms: Arc<dyn RoomStore>,
    /// Signs and verifies access tokens.
    pub tokens: AccessTokens,
    /// Appends the outbox to the room log.
    pub relay: Relay,
    /// Clock and ids.
    pub env: Env,
}

impl Backends {
    /// Connects what the configuration names.
    ///
    /// # Errors
    /// [`StartError`], within 5 s.
    pub async fn connect(config: Config, shape: Shape, env: Env) -> Result<Self, StartError> {
        // Cargo links two users of rustls; the provider is chosen once, here. A second call finds it chosen.
        drop(rustls::crypto::ring::default_provider().install_default());
        if shape == Shape::AllInOne {
            // Migrations take as long as they take.
            return Self::connect_all(config, shape, env).await;
        }
        check_shared(&config)?;
        let connect = Self::connect_all(config, shape, env);
        tokio::time::timeout(START_TIMEOUT, connect).await.map_err(|_| StartError::Slow)?
    }

    async fn connect_all(config: Config, shape: Shape, env: Env) -> Result<Self, StartError> {
        let db = Db::connect(&config.database_url, config.database_connections).await.map_err(StartError::Database)?;
        match shape {
            Shape::AllInOne => db.migrate().await?,
            Shape::Separate => check_schema(&db).await?,
        }
        if let Some(reason) = db.unsuitable().await.map_err(StartError::Database)? {
            return Err(StartError::Unsuitable(reason));
        }
        let tokens = AccessTokens::new(&jwt_keys(&config)?, Arc::clone(&env.clock))
            .ok_or_else(|| ConfigError::invalid("jwt_keys", "has no key"))?;
        let rooms = connect_rooms(&config, &db, &env).await?;
        let relay = Relay::new(db.clone(), Arc::clone(&rooms));
        Ok(Self { config: Arc::new(config), db, rooms, tokens, relay, env })
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.rooms.close().await;
        self.db.close().await;
    }
}

fn check_shared(config: &Config) -> Result<(), ConfigError> {
    if config.database_url.scheme() == "sqlite" {
        let reason =
            "must be mysql://… when services run as processes of their own (or run `mingizuk` without arguments)";
        return Err(ConfigError::invalid("database_url", reason));
    }
    if config.room_store() == RoomStoreKind::Sql {
        let name = if config.redis_url.is_none() { "redis_url" } else { "room_store" };
        let reason =
            "must name a Redis when services run as processes of their own: the in-process bus cannot join them";
        return Err(ConfigError::invalid(name, reason));
    }
    if config.jwt_keys.is_none() {
        let reason = "must be set when services run as processes of their own: both verify the same tokens";
        return Err(ConfigError::invalid("jwt_keys", reason));
    }
    Ok(())
}

async fn check_schema(db: &Db) -> Result<(), StartError> {
    match db.schema_state().await.map_err(StartError::Database)? {
        SchemaState::Current => Ok(()),
        SchemaState::Behind => Err(StartError::SchemaBehind),
        SchemaState::Ahead => Err(StartError::SchemaAhead),
    }
}

async fn connect_rooms(config: &Config, db: &Db, env: &Env) -> Result<Arc<dyn RoomStore>, StartError> {
    let ids = Arc::clone(&env.ids);
    Ok(match (config.room_store(), &config.redis_url) {
        (RoomStoreKind::Redis, Some(url)) => {
            let settings = RedisSettings {
                url: url.clone(),
                connections: config.redis_connections,
                timeout: config.redis_timeout,
                entries: config.redis_room_entries,
            };
            Arc::new(RedisRooms::connect(settings, db.clone(), ids).await.map_err(StartError::Redis)?)
        }
        _ => Arc::new(SqlRooms::new(db.clone(), ids)),
    })
}

/// The keys that were configured, or ones that are made once and kept beside the embedded database.
fn jwt_keys(config: &Config) -> Result<JwtKeys, StartError> {
    if let Some(keys) = &config.jwt_keys {
        return Ok(keys.clone());
    }
    let path = keys_path(config);
    let wrong = |reason: String| StartError::Keys(path.display().to_string(), reason);
    match std::fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map_err(|reason: &str| wrong(reason.to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let text = format!("local:{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
            write_private(&path, &text).map_err(|error| wrong(error.to_string()))?;
            text.parse().map_err(|reason: &str| wrong(reason.to_owned()))
        }
        Err(error) => Err(wrong(error.to_string())),
    }
}

fn keys_path(config: &Config) -> PathBuf {
    let url = config.database_url.expose();
    match url.strip_prefix("sqlite://") {
        Some(file) => PathBuf::from(file.split('?').next().unwrap_or_default()).with_extension("keys"),
        None => PathBuf::from("data/mingizuk.keys"),
    }
}

fn write_private(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

//! Configuration: a profile picks the defaults, a file and the environment override them.
//!
//! Every setting has one name. `api_addr` in `config/<profile>.toml` is `MINGIZUK_API_ADDR` in the environment;
//! the environment wins. A name that is not a setting is an error in the file and in the environment alike, so that a
//! misspelt variable cannot silently do nothing.

mod setting;
mod values;

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::Path, time::Duration};

use self::setting::Setting;
pub use self::values::{JwtKeys, Profile, RoomStoreKind, Secret, SecretUrl};

/// What is wrong with the configuration, naming the variable.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A value that cannot be read.
    #[error("{variable} {reason}")]
    Invalid {
        /// The environment variable to set.
        variable: String,
        /// What is wrong with its value.
        reason: String,
    },
    /// A name that is no setting.
    #[error("{0} is not a setting of mingizuk")]
    Unknown(String),
    /// The profile's file exists but cannot be read.
    #[error("cannot read {path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
}

impl ConfigError {
    /// An error about the setting `name` (as in the file, `api_addr`).
    pub fn invalid(name: &str, reason: impl fmt::Display) -> Self {
        Self::Invalid { variable: variable(name), reason: reason.to_string() }
    }
}

fn variable(name: &str) -> String {
    format!("MINGIZUK_{}", name.to_ascii_uppercase())
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:expr;)*) => {
        /// The effective configuration of a process.
        #[derive(Clone, Debug)]
        pub struct Config {
            /// The profile that picked the defaults (`MINGIZUK_ENV`).
            pub profile: Profile,
            $($(#[doc = $doc])+ pub $name: $type,)*
        }

        impl Config {
            /// The built-in defaults of a profile.
            pub fn defaults(profile: Profile) -> Self {
                Self { profile, $($name: <$type as Setting>::read($default).unwrap_or_else(|error| {
                    // A default is a literal above: every one is read by a test of this module.
                    unreachable!("default of {}: {error}", stringify!($name))
                }),)* }.for_profile()
            }

            /// Overrides one setting; `name` as in the file.
            ///
            /// # Errors
            /// [`ConfigError::Unknown`] for a name that is no setting, [`ConfigError::Invalid`] for a value that cannot be read.
            pub fn set(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
                match name {
                    $(stringify!($name) => {
                        self.$name = Setting::read(value).map_err(|reason| ConfigError::invalid(name, reason))?;
                    })*
                    _ => return Err(ConfigError::Unknown(variable(name))),
                }
                Ok(())
            }

            /// Every setting: its variable, its built-in default, and what it means.
            pub fn describe() -> Vec<[String; 3]> {
                vec![$([variable(stringify!($name)), $default.to_owned(), concat!($($doc),+).trim().to_owned()],)*]
            }

            /// Every setting with its effective value, secrets redacted, in the order of the documentation.
            pub fn print(&self) -> Vec<(String, String)> {
                let mut lines = vec![("MINGIZUK_ENV".to_owned(), self.profile.name().to_owned())];
                $(lines.push((variable(stringify!($name)), Setting::print(&self.$name)));)*
                lines
            }
        }
    };
}

settings! {
    /// Public listener of the REST service. Port 0 picks a free one.
    api_addr: SocketAddr = "127.0.0.1:8080";
    /// Public listener of the chat gateway.
    gateway_addr: SocketAddr = "127.0.0.1:8081";
    /// Operations listener of the REST service: health, readiness, metrics. Not for the public.
    api_ops_addr: SocketAddr = "127.0.0.1:9080";
    /// Operations listener of the chat gateway.
    gateway_ops_addr: SocketAddr = "127.0.0.1:9081";
    /// `sqlite://path` or `mysql://user:password@host/db`.
    database_url: SecretUrl = "sqlite://data/mingizuk.db";
    /// Connections to the database, at most, in each process.
    database_connections: u32 = "16";
    /// `redis://…`, `redis-cluster://…` or `rediss://…`; empty: the in-process bus.
    redis_url: Option<SecretUrl> = "";
    /// Connections for commands to Redis in each process.
    redis_connections: usize = "2";
    /// A Redis command without an answer fails after this long (milliseconds).
    redis_timeout: Duration = "2000";
    /// Entries of one room that stay in Redis; older ones are moved to the database.
    redis_room_entries: usize = "1000";
    /// `sql` or `redis`; empty: `redis` when there is Redis, else `sql`.
    room_store: Option<RoomStoreKind> = "";
    /// `kid:secret[,kid:secret…]`, secrets of 32 bytes or more; the first signs, all verify.
    jwt_keys: Option<JwtKeys> = "";
    /// What clients reach the REST service as, such as `https://api.example.com`; empty: as each request names it.
    public_url: Option<String> = "";
    /// REST key of a Kakao application, for places; empty: places are not set up.
    kakao_rest_key: Option<Secret> = "";
    /// Where Kakao Local is.
    kakao_base_url: String = "https://dapi.kakao.com";
    /// Work factor of the password hash (bcrypt), 4 to 31; 12 where it is not set, 4 in the test profile.
    bcrypt_cost: u32 = "12";
    /// How long an access token is valid (milliseconds).
    access_token_ttl: Duration = "900000";
    /// How long a refresh token is valid after its last use (milliseconds).
    refresh_token_ttl: Duration = "1209600000";
    /// Whether this process of the REST service runs the scheduled jobs, `true` or `false`; not in the test profile.
    jobs: bool = "true";
    /// Web origins that browsers may call from, comma-separated, such as `https://app.example`; `*` allows any outside production.
    allowed_origins: Vec<String> = "";
    /// What is logged, in the syntax of `tracing`'s `EnvFilter`.
    log: String = "info";
    /// `pretty` or `json`; empty: `json` in production, else `pretty`.
    log_format: Option<String> = "";
    /// How long a stopping process may take to finish what is under way (milliseconds).
    shutdown_timeout: Duration = "15000";
    /// Characters in a chat message, at most.
    message_chars: usize = "1000";
    /// Bytes in a frame from a client, at most; a larger one closes the connection.
    frame_bytes: usize = "8192";
    /// Commands a second that one connection may send for long.
    commands_per_second: u32 = "20";
    /// Commands that one connection may send at once.
    command_burst: u32 = "40";
    /// Connections of one user, at most.
    connections_per_user: u32 = "10";
    /// Rooms that one connection may have joined at a time.
    rooms_per_connection: usize = "50";
    /// Bytes waiting for one connection, at most; more closes it with 4508.
    queue_bytes: usize = "1048576";
    /// Frames waiting for one connection, at most.
    queue_frames: usize = "1024";
    /// Connections of one public listener, at most. The gateway refuses more; the REST service lets them wait.
    connections: usize = "100000";
    /// WebSocket handshakes a second in one gateway process, at most.
    handshakes_per_second: u32 = "2000";
    /// How long a connection may take to say who it is (milliseconds).
    hello_timeout: Duration = "5000";
    /// Time between two pings of a connection (milliseconds).
    heartbeat: Duration = "25000";
    /// How long a pong may take (milliseconds).
    pong_timeout: Duration = "8000";
    /// People online above which a room's presence, typing and read events are summarised once a second.
    big_room: u64 = "200";
    /// Entries that a join with `since` returns at most; one further behind starts with a fresh page.
    resume_entries: usize = "1000";
}

impl Config {
    fn for_profile(mut self) -> Self {
        if self.profile == Profile::Test {
            self.bcrypt_cost = 4;
            // A test moves the clock itself, and decides what runs when.
            self.jobs = false;
        }
        self
    }

    /// The configuration of this process: `MINGIZUK_ENV`'s defaults, then `config/<profile>.toml` below `directory`
    /// if present, then the environment.
    ///
    /// # Errors
    /// [`ConfigError`] names the variable or the file.
    pub fn load(directory: &Path, environment: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut variables: BTreeMap<String, String> = environment
            .filter_map(|(name, value)| Some((name.strip_prefix("MINGIZUK_")?.to_ascii_lowercase(), value)))
            // Variables for the project's own tests, not for the program.
            .filter(|(name, _)| !name.starts_with("test_"))
            .collect();
        let profile = match variables.remove("env") {
            Some(name) => name.parse().map_err(|reason| ConfigError::invalid("env", reason))?,
            None => Profile::default(),
        };
        let mut config = Self::defaults(profile);
        let path = directory.join("config").join(format!("{}.toml", profile.name()));
        for (name, value) in read_file(&path)? {
            config.set(&name, &value)?;
        }
        for (name, value) in variables {
            config.set(&name, &value)?;
        }
        config.check()?;
        Ok(config)
    }

    /// Which backend keeps the room log.
    pub fn room_store(&self) -> RoomStoreKind {
        self.room_store.unwrap_or(if self.redis_url.is_some() { RoomStoreKind::Redis } else { RoomStoreKind::Sql })
    }

    /// Refuses what cannot work anywhere and what is unsafe in production.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] names the variable to set.
    pub fn check(&self) -> Result<(), ConfigError> {
        let refuse = |name: &str, reason: &str| Err(ConfigError::invalid(name, reason));
        if !matches!(self.database_url.scheme(), "sqlite" | "mysql" | "mariadb") {
            return refuse("database_url", "is neither sqlite://… nor mysql://…");
        }
        if let Some(url) = &self.redis_url
            && !matches!(url.scheme(), "redis" | "rediss" | "redis-cluster" | "rediss-cluster")
        {
            return refuse("redis_url", "is none of redis://…, rediss://…, redis-cluster://…");
        }
        if self.room_store == Some(RoomStoreKind::Redis) && self.redis_url.is_none() {
            return refuse("redis_url", "is needed when MINGIZUK_ROOM_STORE is redis");
        }
        // At 16 a log-in takes seconds.
        if !(4..=15).contains(&self.bcrypt_cost) {
            return refuse("bcrypt_cost", "is not between 4 and 15");
        }
        if !matches!(self.log_format.as_deref(), None | Some("pretty" | "json")) {
            return refuse("log_format", "is neither pretty nor json");
        }
        for (name, time) in [
            ("redis_timeout", self.redis_timeout),
            ("heartbeat", self.heartbeat),
            ("pong_timeout", self.pong_timeout),
            ("hello_timeout", self.hello_timeout),
        ] {
            if time < SHORTEST {
                return refuse(name, "is shorter than 10 ms");
            }
        }
        for (name, count) in
            [("queue_frames", self.queue_frames), ("queue_bytes", self.queue_bytes), ("connections", self.connections)]
        {
            if !(1..=MOST).contains(&count) {
                return refuse(name, "is not between 1 and 1,000,000,000");
            }
        }
        if self.commands_per_second == 0 || self.command_burst == 0 || self.handshakes_per_second == 0 {
            return refuse("commands_per_second", "and the other rates must be at least 1");
        }
        if let Some(wrong) = self.allowed_origins.iter().find(|origin| *origin != "*" && !is_origin(origin)) {
            return refuse("allowed_origins", &format!("has {wrong}, which is no origin such as https://app.example"));
        }
        if self.profile == Profile::Production { self.check_production() } else { Ok(()) }
    }

    fn check_production(&self) -> Result<(), ConfigError> {
        let refuse = |name: &str, reason: &str| Err(ConfigError::invalid(name, reason));
        let Some(keys) = &self.jwt_keys else {
            return refuse("jwt_keys", "must be set in production: kid:secret, the secret 32 random bytes or more");
        };
        if keys.0.iter().any(|(_, secret)| is_example_secret(secret.expose())) {
            return refuse("jwt_keys", "has an example secret; production needs random ones");
        }
        if self.bcrypt_cost < 10 {
            return refuse("bcrypt_cost", "must be at least 10 in production");
        }
        if self.allowed_origins.iter().any(|origin| origin == "*") {
            return refuse("allowed_origins", "must name the origins in production, not *");
        }
        for (name, url) in [("public_url", self.public_url.as_deref()), ("kakao_base_url", Some(&*self.kakao_base_url))]
        {
            if url.is_some_and(|url| !url.starts_with("https://")) {
                return refuse(name, "must be https://… in production: secrets go to it");
            }
        }
        Ok(())
    }
}

/// A time limit shorter than this would end everything at once, or never.
const SHORTEST: Duration = Duration::from_millis(10);
/// More than any process can have of anything.
const MOST: usize = 1_000_000_000;

/// Whether a browser could send this as `Origin` (RFC 6454, section 6.2): a scheme and a host, maybe a port.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| {
        !host.is_empty() && !host.contains(['/', '?', '#', '@', '*']) && host == host.to_lowercase()
    })
}

/// Secrets of this repository's examples, and ones that nobody drew at random.
fn is_example_secret(secret: &str) -> bool {
    let folded = secret.to_ascii_lowercase();
    let distinct = secret.bytes().collect::<std::collections::BTreeSet<_>>().len();
    ["development", "example", "change-me", "changeme", "secret", "password"].iter().any(|word| folded.contains(word))
        || distinct < 8
}

fn read_file(path: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let error = |reason: String| ConfigError::File { path: path.display().to_string(), reason };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(other) => return Err(error(other.to_string())),
    };
    let table: toml::Table = text.parse().map_err(|reason: toml::de::Error| error(reason.message().to_owned()))?;
    table
        .into_iter()
        .map(|(name, value)| match value {
            toml::Value::String(text) => Ok((name, text)),
            toml::Value::Integer(number) => Ok((name, number.to_string())),
            toml::Value::Boolean(truth) => Ok((name, truth.to_string())),
            toml::Value::Array(items) => {
                let items: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
                let items = items.ok_or_else(|| error(format!("{name} is not a list of texts")))?.join(",");
                Ok((name, items))
            }
            _ => Err(error(format!("{name} is neither a text, a whole number, true, false nor a list of texts"))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRONG: &str = "k1:9f3b1c7de24a5860b1f2c3d4e5a69788aabbccdd";

    fn load(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::load(Path::new("/nonexistent"), pairs.collect::<Vec<_>>().into_iter())
    }

    #[test]
    fn each_profile_has_defaults_that_pass_but_production_which_needs_secrets() {
        assert_eq!(load(&[]).map(|c| c.profile), Ok(Profile::Development));
        assert_eq!(load(&[("MINGIZUK_ENV", "test")]).map(|c| c.bcrypt_cost), Ok(4));
        let error = load(&[("MINGIZUK_ENV", "production")]).expect_err("no secret");
        assert!(error.to_string().starts_with("MINGIZUK_JWT_KEYS must be set"), "{error}");
    }

    impl PartialEq for Config {
        fn eq(&self, other: &Self) -> bool {
            self.print() == other.print()
        }
    }

    #[test]
    fn unsafe_or_wrong_settings_are_refused_by_name() {
        for (pairs, variable) in [
            (&[("MINGIZUK_API_ADDR", "nowhere")][..], "MINGIZUK_API_ADDR"),
            (&[("MINGIZUK_ENV", "staging")], "MINGIZUK_ENV"),
            (&[("MINGIZUK_API_ADR", "127.0.0.1:1")], "MINGIZUK_API_ADR"),
            (&[("MINGIZUK_DATABASE_URL", "postgres://x")], "MINGIZUK_DATABASE_URL"),
            (&[("MINGIZUK_ROOM_STORE", "redis")], "MINGIZUK_REDIS_URL"),
            (&[("MINGIZUK_BCRYPT_COST", "3")], "MINGIZUK_BCRYPT_COST"),
            (&[("MINGIZUK_REDIS_TIMEOUT", "0")], "MINGIZUK_REDIS_TIMEOUT"),
            (&[("MINGIZUK_HEARTBEAT", "0")], "MINGIZUK_HEARTBEAT"),
            (&[("MINGIZUK_QUEUE_FRAMES", "0")], "MINGIZUK_QUEUE_FRAMES"),
            (&[("MINGIZUK_CONNECTIONS", "18446744073709551615")], "MINGIZUK_CONNECTIONS"),
            (
                &[("MINGIZUK_JWT_KEYS", "k:9f3b1c7de24a5860b1f2c3d4e5a69788,k:0f3b1c7de24a5860b1f2c3d4e5a69788")],
                "MINGIZUK_JWT_KEYS",
            ),
            (&[("MINGIZUK_ALLOWED_ORIGINS", "https://a.example,https://b.example/")], "MINGIZUK_ALLOWED_ORIGINS"),
            (&[("MINGIZUK_ALLOWED_ORIGINS", "app.example")], "MINGIZUK_ALLOWED_ORIGINS"),
            (&[("MINGIZUK_JWT_KEYS", "short:secret")], "MINGIZUK_JWT_KEYS"),
            (
                &[("MINGIZUK_ENV", "production"), ("MINGIZUK_JWT_KEYS", "k:development-only-development-only!!")],
                "MINGIZUK_JWT_KEYS",
            ),
            (
                &[("MINGIZUK_ENV", "production"), ("MINGIZUK_JWT_KEYS", STRONG), ("MINGIZUK_BCRYPT_COST", "9")],
                "MINGIZUK_BCRYPT_COST",
            ),
            (
                &[("MINGIZUK_ENV", "production"), ("MINGIZUK_JWT_KEYS", STRONG), ("MINGIZUK_ALLOWED_ORIGINS", "*")],
                "MINGIZUK_ALLOWED_ORIGINS",
            ),
            (
                &[
                    ("MINGIZUK_ENV", "production"),
                    ("MINGIZUK_JWT_KEYS", STRONG),
                    ("MINGIZUK_PUBLIC_URL", "http://a.example"),
                ],
                "MINGIZUK_PUBLIC_URL",
            ),
            (
                &[
                    ("MINGIZUK_ENV", "production"),
                    ("MINGIZUK_JWT_KEYS", STRONG),
                    ("MINGIZUK_KAKAO_BASE_URL", "http://a.example"),
                ],
                "MINGIZUK_KAKAO_BASE_URL",
            ),
            (&[("MINGIZUK_BCRYPT_COST", "16")], "MINGIZUK_BCRYPT_COST"),
        ] {
            let error = load(pairs).expect_err(variable).to_string();
            assert!(error.starts_with(variable), "{error}");
        }
        assert!(load(&[("MINGIZUK_ENV", "production"), ("MINGIZUK_JWT_KEYS", STRONG)]).is_ok());
    }

    #[test]
    fn printing_shows_no_secret() {
        let config = load(&[
            ("MINGIZUK_JWT_KEYS", STRONG),
            ("MINGIZUK_DATABASE_URL", "mysql://mingi:hunter2@db.example/mingizuk?x=1"),
            // As it is, where it should have been escaped.
            ("MINGIZUK_REDIS_URL", "redis://:a/b@hunter2#@cache.example:6379"),
        ])
        .expect("valid");
        let printed = format!("{:?} {config:?}", config.print());
        assert!(!printed.contains("hunter2") && !printed.contains("9f3b1c7d"), "{printed}");
        assert!(printed.contains("mysql://mingi:[redacted]@db.example/mingizuk?x=1"), "{printed}");
    }

    #[test]
    fn the_file_overrides_the_defaults_and_the_environment_the_file() {
        let directory = std::env::temp_dir().join(format!("mingizuk-config-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(directory.join("config")).expect("create");
        std::fs::write(
            directory.join("config/development.toml"),
            "bcrypt_cost = 5\nlog = \"warn\"\nallowed_origins = [\"https://a.example\"]\n",
        )
        .expect("write");
        let environment = [("MINGIZUK_LOG".to_owned(), "debug".to_owned())];
        let config = Config::load(&directory, environment.into_iter()).expect("valid");
        std::fs::remove_dir_all(&directory).expect("remove");
        assert_eq!((config.bcrypt_cost, config.log.as_str(), config.allowed_origins.len()), (5, "debug", 1));
    }
}

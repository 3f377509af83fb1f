//! Clients whose every wait has an end and every buffer a limit, and the scripts they run.

use std::time::Duration;

use fred::{
    clients::{Client, Pool, SubscriberClient, WithOptions},
    interfaces::{ClientLike, LuaInterface},
    types::{
        Builder, ClientState, Value,
        config::{ClusterDiscoveryPolicy, Config, Options, ReconnectPolicy, ServerConfig, UnresponsiveConfig},
        scripts::Script,
    },
};

use super::{RedisSettings, RoomError};

/// Commands waiting for one connection, at most; one more fails at once.
const COMMAND_BUFFER: usize = 10_000;
/// Messages waiting for the pump, at most; beyond that every room is checked against its log.
const MESSAGE_BUFFER: usize = 16_384;
/// The longest that connecting at start may take.
const START_TIMEOUT: Duration = Duration::from_secs(4);

impl From<fred::error::Error> for RoomError {
    fn from(error: fred::error::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// The scripts of every operation that must be atomic.
pub(super) struct Scripts {
    pub(super) append: Script,
    pub(super) read: Script,
    pub(super) trim: Script,
    pub(super) close: Script,
    pub(super) drop: Script,
    pub(super) rewrite: Script,
    pub(super) presence: Script,
    pub(super) mark: Script,
    pub(super) admit: Script,
}

/// The connections for commands.
pub(super) struct Redis {
    pool: Pool,
    options: Options,
    pub(super) scripts: Scripts,
}

/// Connects the commands' connections and the one that subscribes.
pub(super) async fn connect(settings: &RedisSettings) -> Result<(Redis, SubscriberClient), RoomError> {
    let mut builder = builder(settings)?;
    let pool = builder.build_pool(settings.connections.max(1))?;
    // Every client takes memory for as many messages as may wait, and only this one gets any.
    let builder =
        builder.with_performance_config(|performance| performance.broadcast_channel_capacity = MESSAGE_BUFFER);
    let subscriber = builder.build_subscriber_client()?;
    let connect = async {
        pool.init().await?;
        subscriber.init().await
    };
    tokio::time::timeout(START_TIMEOUT, connect)
        .await
        .map_err(|_| RoomError::Unavailable("no answer to connecting".to_owned()))??;
    let options = Options { max_attempts: Some(1), timeout: Some(settings.timeout), ..Options::default() };
    let scripts = Scripts {
        append: Script::from_lua(include_str!("append.lua")),
        read: Script::from_lua(include_str!("read.lua")),
        trim: Script::from_lua(include_str!("trim.lua")),
        close: Script::from_lua(include_str!("close.lua")),
        drop: Script::from_lua(include_str!("drop.lua")),
        rewrite: Script::from_lua(include_str!("rewrite.lua")),
        presence: Script::from_lua(include_str!("presence.lua")),
        mark: Script::from_lua(include_str!("mark.lua")),
        admit: Script::from_lua(include_str!("admit.lua")),
    };
    Ok((Redis { pool, options, scripts }, subscriber))
}

/// What every client of a process shares.
fn builder(settings: &RedisSettings) -> Result<Builder, RoomError> {
    let timeout = settings.timeout;
    let mut config = Config::from_url(settings.url.expose())?;
    if let ServerConfig::Clustered { policy, .. } = &mut config.server {
        // Any node that is known can tell who took over, not only those of the URL, which may be the ones that died.
        *policy = ClusterDiscoveryPolicy::UseCache;
    }
    let mut builder = Builder::from_config(config);
    builder
        .with_connection_config(|connection| {
            connection.connection_timeout = timeout;
            connection.internal_command_timeout = timeout;
            connection.max_command_attempts = 1;
            connection.max_command_buffer_len = COMMAND_BUFFER;
            connection.unresponsive = UnresponsiveConfig { max_timeout: Some(timeout), interval: timeout / 4 };
            connection.tcp.nodelay = Some(true);
        })
        .with_performance_config(|performance| {
            performance.default_command_timeout = timeout;
        })
        // Without end, and never longer than a second: what waits for Redis is people.
        .set_policy(ReconnectPolicy::new_exponential(0, 10, 1_000, 2));
    Ok(builder)
}

impl Redis {
    /// A connection for one command. Without one that works the command fails at once instead of waiting in line.
    pub(super) fn client(&self) -> Result<WithOptions<Client>, RoomError> {
        let client = self.pool.next_connected();
        if client.state() == ClientState::Connected {
            Ok(client.with_options(&self.options))
        } else {
            Err(RoomError::Unavailable("Redis is not connected".to_owned()))
        }
    }

    /// Runs a script.
    pub(super) async fn eval(&self, script: &Script, keys: Vec<String>, args: Vec<Value>) -> Result<Value, RoomError> {
        let client = self.client()?;
        match client.evalsha(script.sha1().clone(), keys.clone(), args.clone()).await {
            // A restarted server has forgotten its scripts; EVAL teaches it again.
            Err(error) if error.details().starts_with("NOSCRIPT") => {
                let source = script.lua().ok_or_else(|| RoomError::corrupt("script without text"))?.clone();
                Ok(client.eval(source, keys, args).await?)
            }
            outcome => Ok(outcome?),
        }
    }

    pub(super) async fn ping(&self) -> Result<(), RoomError> {
        Ok(self.client()?.ping::<()>(None).await?)
    }

    pub(super) async fn close(&self) {
        if let Err(error) = self.pool.quit().await {
            tracing::debug!(%error, "closing the connections to Redis failed");
        }
    }
}

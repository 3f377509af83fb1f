//! Redis clients with command timeouts and bounded buffers; the Lua scripts.

use std::{sync::Arc, time::Duration};

use fred::{
    clients::SubscriberClient,
    interfaces::ClientLike,
    types::{
        Builder,
        config::{ClusterDiscoveryPolicy, Config, ReconnectPolicy, ServerConfig, UnresponsiveConfig},
    },
};

use super::{
    RedisSettings, RoomError,
    client::{Client, Command, Endpoint, FromReply, Script},
};

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

/// The client for commands, and the scripts.
pub(super) struct Redis {
    client: Arc<Client>,
    pub(super) scripts: Scripts,
}

/// Connects for commands, and the one connection that subscribes.
pub(super) async fn connect(settings: &RedisSettings) -> Result<(Redis, SubscriberClient), RoomError> {
    let endpoint = Arc::new(Endpoint::parse(&settings.url)?);
    let mut builder = builder(settings)?;
    let builder =
        builder.with_performance_config(|performance| performance.broadcast_channel_capacity = MESSAGE_BUFFER);
    let subscriber = builder.build_subscriber_client()?;
    let connect = async {
        let client = Client::connect(endpoint, settings.connections, settings.timeout).await?;
        subscriber.init().await?;
        Ok::<_, RoomError>(client)
    };
    let client = tokio::time::timeout(START_TIMEOUT, connect)
        .await
        .map_err(|_| RoomError::Unavailable("no answer to connecting".to_owned()))??;
    let scripts = Scripts {
        append: Script::new(include_str!("append.lua")),
        read: Script::new(include_str!("read.lua")),
        trim: Script::new(include_str!("trim.lua")),
        close: Script::new(include_str!("close.lua")),
        drop: Script::new(include_str!("drop.lua")),
        rewrite: Script::new(include_str!("rewrite.lua")),
        presence: Script::new(include_str!("presence.lua")),
        mark: Script::new(include_str!("mark.lua")),
        admit: Script::new(include_str!("admit.lua")),
    };
    Ok((Redis { client, scripts }, subscriber))
}

/// How the subscriber is set up.
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
    /// Carries out a command.
    pub(super) async fn run<T: FromReply>(&self, command: Command) -> Result<T, RoomError> {
        self.client.run(&command).await
    }

    /// Runs a script.
    pub(super) async fn eval<T: FromReply>(
        &self,
        script: &Script,
        keys: &[String],
        args: &[String],
    ) -> Result<T, RoomError> {
        self.client.eval(script, keys, args).await
    }

    /// Whether a server answers.
    pub(super) async fn ping(&self) -> Result<(), RoomError> {
        self.run(Command::new("EXISTS", "mz:{sessions}")).await
    }

    pub(super) fn close(&self) {
        self.client.close();
    }
}

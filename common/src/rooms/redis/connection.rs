//! The client for commands, and the Lua scripts of every operation that must be atomic.

use std::{sync::Arc, time::Duration};

use super::{
    RedisSettings, RoomError,
    client::{Client, Command, Endpoint, FromReply, Script},
};

/// The longest that connecting at start may take.
const START_TIMEOUT: Duration = Duration::from_secs(4);

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

/// Connects for commands.
///
/// # Errors
/// When no server can be used.
pub(super) async fn connect(settings: &RedisSettings) -> Result<Redis, RoomError> {
    let endpoint = Arc::new(Endpoint::parse(&settings.url)?);
    let client = Client::connect(endpoint, settings.connections, settings.timeout);
    let client = tokio::time::timeout(START_TIMEOUT, client)
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
    Ok(Redis { client, scripts })
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

    pub(super) const fn client(&self) -> &Arc<Client> {
        &self.client
    }

    pub(super) fn close(&self) {
        self.client.close();
    }
}

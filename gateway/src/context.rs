//! What all sessions of this process share: configuration, backends, the hub and the registry.

use std::sync::Arc;

use common::{
    batch::BatchLoader,
    bootstrap::Backends,
    config::Config,
    ids::IdSource,
    membership::{self, Standing},
    rooms::RoomStore,
    time::Clock,
    tokens::AccessTokens,
};
use uuid::Uuid;
use wire::Person;

use crate::{hub::Hub, metrics::Metrics, registry::Registry};

/// What all sessions share.
pub struct Context {
    /// The effective configuration.
    pub config: Arc<Config>,
    /// A user's standing in a meetup, by `(meetup, user)`.
    pub standings: BatchLoader<(Uuid, Uuid), Standing>,
    /// The person of a log-in session, by `(user, session)`; none once it has ended.
    pub sessions: BatchLoader<(Uuid, Uuid), Option<Person>>,
    /// The room log.
    pub rooms: Arc<dyn RoomStore>,
    /// Verifies access tokens.
    pub tokens: AccessTokens,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of connection ids.
    pub ids: Arc<dyn IdSource>,
    /// The open rooms.
    pub hub: Arc<Hub>,
    /// The authenticated connections.
    pub registry: Arc<Registry>,
    /// Counters and gauges.
    pub metrics: Metrics,
}

impl Context {
    /// A context on these backends, without rooms or connections.
    pub fn new(backends: &Backends, metrics: Metrics) -> Arc<Self> {
        let (standings, sessions) = (backends.db.clone(), backends.db.clone());
        Arc::new(Self {
            config: Arc::clone(&backends.config),
            standings: BatchLoader::new(move |keys| {
                let db = standings.clone();
                async move { membership::standings(&db, &keys).await }
            }),
            sessions: BatchLoader::new(move |keys| {
                let db = sessions.clone();
                async move { membership::people_of_sessions(&db, &keys).await }
            }),
            rooms: Arc::clone(&backends.rooms),
            tokens: backends.tokens.clone(),
            clock: Arc::clone(&backends.env.clock),
            ids: Arc::clone(&backends.env.ids),
            hub: Arc::new(Hub::new(Arc::clone(&backends.rooms), metrics.clone(), backends.config.big_room)),
            registry: Arc::new(Registry::new(metrics.connections.clone())),
            metrics,
        })
    }
}

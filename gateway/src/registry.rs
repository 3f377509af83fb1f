//! Index of this process's authenticated connections: in all, and by user.
//!
//! A connection is in it from [`Registry::register`] until its [`Registration`] is dropped. Two facts are recorded before the
//! index is read, so that a connection registered too late to be found sees them: that the process drains (see `drain`), and how
//! many revocations there were (see `revocation`).

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use dashmap::DashMap;
use prometheus::IntGauge;
use uuid::Uuid;

use crate::{connection::Connection, transport::queue::Queue};

/// Index of authenticated connections.
pub struct Registry {
    connections: DashMap<Uuid, Arc<Connection>>,
    /// The connections of each user.
    users: DashMap<Uuid, Vec<Uuid>>,
    draining: AtomicBool,
    revocations: AtomicU64,
    size: IntGauge,
}

/// Keeps a connection in the registry until it is dropped.
pub struct Registration {
    registry: Arc<Registry>,
    connection: Uuid,
    user: Uuid,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Registry { connections, users, size, .. } = &*self.registry;
        connections.remove(&self.connection);
        if let Some(mut connections) = users.get_mut(&self.user) {
            connections.retain(|connection| *connection != self.connection);
        }
        users.remove_if(&self.user, |_, connections| connections.is_empty());
        size.dec();
    }
}

impl Registry {
    /// An empty registry whose size is shown by the gauge `size`.
    pub fn new(size: IntGauge) -> Self {
        Self {
            connections: DashMap::new(),
            users: DashMap::new(),
            draining: AtomicBool::new(false),
            revocations: AtomicU64::new(0),
            size,
        }
    }

    /// Adds a connection.
    pub fn register(self: &Arc<Self>, connection: &Arc<Connection>) -> Registration {
        let (id, user) = (connection.id, connection.person.id);
        self.connections.insert(id, Arc::clone(connection));
        self.users.entry(user).or_default().push(id);
        self.size.inc();
        Registration { registry: Arc::clone(self), connection: id, user }
    }

    /// A connection, if it is registered.
    pub fn connection(&self, id: Uuid) -> Option<Arc<Connection>> {
        self.connections.get(&id).map(|connection| Arc::clone(&connection))
    }

    /// The ids of all connections.
    pub fn ids(&self) -> Vec<Uuid> {
        self.connections.iter().map(|entry| *entry.key()).collect()
    }

    /// The ids of a user's connections.
    pub fn ids_of(&self, user: Uuid) -> Vec<Uuid> {
        self.users.get(&user).map(|connections| connections.clone()).unwrap_or_default()
    }

    /// Begins to drain, and returns the queues of the connections that were registered before. Whoever registers later finds
    /// [`Registry::is_draining`] true.
    pub fn begin_draining(&self) -> Vec<Arc<Queue>> {
        self.draining.store(true, Ordering::SeqCst);
        self.connections.iter().map(|entry| Arc::clone(&entry.queue)).collect()
    }

    /// Whether the process drains.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Counts a revocation: called before the connections that it affects are looked up.
    pub fn count_revocation(&self) {
        self.revocations.fetch_add(1, Ordering::SeqCst);
    }

    /// How many revocations there were. If that grows between a look-up of a session and the registration of its connection, the
    /// session must be looked up again.
    pub fn revocations(&self) -> u64 {
        self.revocations.load(Ordering::SeqCst)
    }
}

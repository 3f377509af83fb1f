//! Hub: the rooms with a subscriber on this gateway. Each is opened once, however many connections join it at the same time, and
//! forgotten when its task ends.

use std::sync::Arc;

use common::rooms::{RoomError, RoomStore};
use dashmap::DashMap;
use tokio::sync::OnceCell;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::{
    metrics::Metrics,
    room::{Room, task},
};

/// A room, or the attempt to open it.
type Slot = Arc<OnceCell<Arc<Room>>>;

/// The open rooms, by id.
pub struct Hub {
    store: Arc<dyn RoomStore>,
    metrics: Metrics,
    big_room: u64,
    rooms: DashMap<Uuid, Slot>,
    tasks: TaskTracker,
}

impl Hub {
    /// A hub without rooms. A room with more than `big_room` people summarises its ephemeral events.
    pub fn new(store: Arc<dyn RoomStore>, metrics: Metrics, big_room: u64) -> Self {
        Self { store, metrics, big_room, rooms: DashMap::new(), tasks: TaskTracker::new() }
    }

    /// The room, opened if it is not open. Concurrent callers wait for one opening.
    ///
    /// # Errors
    /// When its log does not answer.
    pub async fn room(self: &Arc<Self>, id: Uuid) -> Result<Arc<Room>, RoomError> {
        let slot = Arc::clone(&self.rooms.entry(id).or_default());
        let opened = slot.get_or_try_init(|| self.open(id, Arc::clone(&slot))).await.cloned();
        if opened.is_err() {
            self.forget(id, &slot);
        }
        opened
    }

    /// Whether the room is open or being opened.
    pub fn has(&self, id: Uuid) -> bool {
        self.rooms.contains_key(&id)
    }

    async fn open(self: &Arc<Self>, id: Uuid, slot: Slot) -> Result<Arc<Room>, RoomError> {
        let (room, subscription) = Room::open(id, Arc::clone(&self.store), self.metrics.clone(), self.big_room).await?;
        let (hub, running) = (Arc::clone(self), Arc::clone(&room));
        self.metrics.rooms.inc();
        self.tasks.spawn(async move {
            task::run(running, subscription).await;
            hub.metrics.rooms.dec();
            hub.forget(id, &slot);
        });
        Ok(room)
    }

    /// Removes a room, unless it has been opened again since.
    fn forget(&self, id: Uuid, slot: &Slot) {
        self.rooms.remove_if(&id, |_, current| Arc::ptr_eq(current, slot));
    }
}

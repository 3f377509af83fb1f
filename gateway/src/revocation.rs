//! Revocation: closes connections whose log-in session has ended.

use common::rooms::SessionChange;
use futures_util::{StreamExt, stream};
use uuid::Uuid;
use wire::close;

use crate::{context::Context, transport::queue::Closing};

/// Sessions looked up at a time, at most.
const CONCURRENT_CHECKS: usize = 64;

/// Checks the connections of each user whose sessions have ended, in any process. Ends with the room log.
pub async fn watch(cx: &Context) {
    let mut changes = cx.rooms.session_changes();
    while let Some(change) = changes.next().await {
        // Counted first: who registers from now on sees it, who has registered is found below.
        cx.registry.count_revocation();
        let connections = match change {
            SessionChange::Of(user) => cx.registry.ids_of(user),
            SessionChange::Anyone => cx.registry.ids(),
        };
        let checks = connections.into_iter().map(|connection| check(cx, connection));
        stream::iter(checks).buffer_unordered(CONCURRENT_CHECKS).collect::<()>().await;
    }
}

/// Closes a connection with 4403 if its session has ended.
pub async fn check(cx: &Context, id: Uuid) {
    let Some(connection) = cx.registry.connection(id) else { return };
    match cx.sessions.get((connection.person.id, connection.session())).await {
        Ok(Some(_)) => {}
        Ok(None) => connection.queue.close(Closing { code: close::FORBIDDEN, reason: "the session has ended" }),
        // Its token expires soon enough.
        Err(error) => tracing::warn!(%error, connection = %id, "session check failed"),
    }
}

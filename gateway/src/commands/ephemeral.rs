//! `typing` and `read`: commands whose effect on other people is an ephemeral event. They have no reply unless they are refused.

use uuid::Uuid;
use wire::Ephemeral;

use super::access;
use crate::{connection::Connection, context::Context, refusal::Refusal, transport::encoded::Encoded};

/// Publishes that the user is typing.
///
/// # Errors
/// Those of [`access::writable_subscriber`] and of the room log.
pub async fn typing(cx: &Context, connection: &Connection, room: Uuid) -> Result<Vec<Encoded>, Refusal> {
    access::writable_subscriber(cx, connection, room).await?;
    cx.rooms.publish(&Ephemeral::Typing { room, user: connection.person.clone() }).await?;
    Ok(Vec::new())
}

/// Advances the user's read mark to `seq` and publishes it.
///
/// # Errors
/// Those of [`access::subscriber`] and of the room log.
pub async fn read(cx: &Context, connection: &Connection, room: Uuid, seq: u64) -> Result<Vec<Encoded>, Refusal> {
    access::subscriber(connection, room)?;
    cx.rooms.mark_read(room, &connection.person, seq).await?;
    Ok(Vec::new())
}

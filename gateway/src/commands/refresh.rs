//! `refresh`: replaces the connection's access token before it expires.

use wire::{ErrorCode, Frame};

use crate::{
    connection::Connection,
    context::Context,
    refusal::Refusal,
    transport::{encoded::Encoded, frame},
};

/// Replaces the token by a newer one of the same user.
///
/// # Errors
/// [`ErrorCode::BadToken`] if it is not valid, is another user's, or its session has ended; [`ErrorCode::Unavailable`].
pub async fn refresh(cx: &Context, connection: &Connection, id: u64, token: &str) -> Result<Vec<Encoded>, Refusal> {
    match cx.tokens.verify(token) {
        Ok(access) if access.user == connection.person.id => {
            if cx.sessions.get((access.user, access.session)).await?.is_none() {
                return Err(Refusal::new(id, ErrorCode::BadToken, "the session has ended"));
            }
            connection.set_access(access);
            Ok(vec![frame::encode(&Frame::Ack { id, room: None, seq: None, at: None, duplicate: None })])
        }
        Ok(_) => Err(Refusal::new(id, ErrorCode::BadToken, "the token is another user's")),
        Err(error) => Err(Refusal::new(id, ErrorCode::BadToken, error.to_string())),
    }
}

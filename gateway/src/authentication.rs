//! Authentication of a new connection: the access token of the upgrade request or of the first frame, `hello`, and the limit of
//! connections of a user.

use std::sync::Arc;

use common::tokens::{Access, TokenError};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;
use wire::{Command, close};

use crate::{
    commands::request,
    connection::Connection,
    context::Context,
    transport::{
        queue::{End, Queue, end},
        socket::{Socket, end_of},
    },
};

/// Verifies the token that came with the upgrade, or waits `hello_timeout` for one in the first frame.
///
/// # Errors
/// How the session ends: 4401, 4408, 4400, or without a close frame.
pub async fn verify(cx: &Context, socket: &mut Socket, queue: &Queue, token: Option<String>) -> Result<Access, End> {
    let verified = async {
        let token = match token {
            Some(token) => token,
            None => hello(socket, queue).await?,
        };
        cx.tokens.verify(&token).map_err(|error| match error {
            TokenError::Invalid => end(close::UNAUTHENTICATED, "the token is not valid"),
            TokenError::Expired => end(close::UNAUTHENTICATED, "the token has expired"),
        })
    };
    match tokio::time::timeout(cx.config.hello_timeout, Box::pin(verified)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(end(close::NO_HELLO, "no hello in time")),
    }
}

/// Waits for `hello`.
async fn hello(socket: &mut Socket, queue: &Queue) -> Result<String, End> {
    loop {
        if queue.blocked().is_some() {
            // It has been sent nothing but answers to its pings.
            return Err(None);
        }
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                return match request::decode(&text) {
                    Ok(Command::Hello { token }) => Ok(token),
                    Ok(_) => Err(end(close::UNAUTHENTICATED, "the first frame must be hello")),
                    Err(_) => Err(end(close::BAD_FRAME, "the first frame is not a command")),
                };
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Binary(_) | Message::Frame(_))) => return Err(end(close::BAD_FRAME, "not a text frame")),
            Some(Ok(Message::Close(_))) | None => return Err(None),
            Some(Err(error)) => return Err(end_of(&error)),
        }
    }
}

/// Looks up the session of a token, and counts the connection as one of its user, in all processes, until [`dismiss`].
///
/// # Errors
/// How the session ends: 4403, 4429 or 1013. The connection is not counted then.
pub async fn admit(cx: &Context, id: Uuid, access: Access, queue: &Arc<Queue>) -> Result<Connection, End> {
    let user = access.user;
    let admit = cx.rooms.admit(user, id, cx.config.connections_per_user);
    let (person, admitted) = tokio::join!(cx.sessions.get((user, access.session)), admit);
    let reason = match (person, admitted) {
        (Ok(Some(person)), Ok(true)) => return Ok(Connection::new(id, person, access, Arc::clone(queue))),
        (Ok(Some(_)), Ok(false)) => return Err(end(close::TOO_MANY, "too many connections of this user")),
        (Ok(None), _) => end(close::FORBIDDEN, "the session has ended"),
        (Err(error), _) => {
            tracing::warn!(%error, "authentication failed");
            end(close::TRY_AGAIN, "the database does not answer")
        }
        (_, Err(error)) => {
            tracing::warn!(%error, "counting the connections of a user failed");
            end(close::TRY_AGAIN, "the room log does not answer")
        }
    };
    dismiss(cx, user, id).await;
    Err(reason)
}

/// Counts the connection no longer.
pub async fn dismiss(cx: &Context, user: Uuid, id: Uuid) {
    if let Err(error) = cx.rooms.dismiss(user, id).await {
        // The count expires by itself.
        tracing::debug!(%error, "dismissing a connection failed");
    }
}

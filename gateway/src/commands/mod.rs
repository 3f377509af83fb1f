//! Commands: decoding, dispatch and execution. One function a command, which takes the shared [`Context`] and the [`Connection`]
//! and returns the frames that answer it.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`request`] | decoding, and what is read but not executed yet |
//! | [`access`] | checks that commands share: joined, member, writable |
//! | [`join`] | `join`, `leave` |
//! | [`append`] | `send`, `edit`, `delete`, `notice` |
//! | [`ephemeral`] | `typing`, `read` |
//! | [`refresh`] | `refresh` |

pub mod access;
pub mod append;
pub mod ephemeral;
pub mod join;
pub mod refresh;
pub mod request;

use std::sync::Arc;

use wire::{Command, ErrorCode};

use self::request::{NewMessage, Request};
use crate::{
    connection::Connection,
    context::Context,
    refusal::Refusal,
    transport::{encoded::Encoded, frame},
};

/// Executes a request. Returns the frames to write, in order; a refusal is one of them.
pub async fn execute(cx: Arc<Context>, connection: Arc<Connection>, request: Request) -> Vec<Encoded> {
    let (cx, connection) = (&*cx, &*connection);
    let command = match request {
        Request::Refused(refusal) => return vec![refuse(cx, refusal)],
        Request::Messages(room, messages) => return send(cx, connection, room, messages).await,
        Request::Command(command) => command,
    };
    let id = command.id();
    let outcome = match command {
        Command::Join { id, room, since } => join::join(cx, connection, id, room, since).await,
        Command::Send { id, room, nonce, text } => {
            Ok(send(cx, connection, room, vec![NewMessage { id, nonce, text }]).await)
        }
        Command::Edit { id, room, seq, text } => append::edit(cx, connection, id, room, seq, &text).await,
        Command::Delete { id, room, seq } => append::delete(cx, connection, id, room, seq).await,
        Command::Notice { id, room, text } => append::notice(cx, connection, id, room, text.as_deref()).await,
        Command::Read { room, seq } => ephemeral::read(cx, connection, room, seq).await,
        Command::Typing { room } => ephemeral::typing(cx, connection, room).await,
        Command::Refresh { id, token } => refresh::refresh(cx, connection, id, &token).await,
        Command::Leave { id, room } => Ok(join::leave(cx, connection, id, room).await),
        Command::Hello { .. } => Err(Refusal::new(None, ErrorCode::BadRequest, "already authenticated")),
    };
    outcome.unwrap_or_else(|refusal| vec![refuse(cx, Refusal { id, ..refusal })])
}

async fn send(cx: &Context, connection: &Connection, room: uuid::Uuid, messages: Vec<NewMessage>) -> Vec<Encoded> {
    let outcomes = append::send(cx, connection, room, messages).await;
    outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|refusal| refuse(cx, refusal))).collect()
}

/// The `error` frame of a refusal, counted.
fn refuse(cx: &Context, refusal: Refusal) -> Encoded {
    cx.metrics.errors.with_label_values(&[refusal.code.as_str()]).inc();
    frame::encode(&refusal.into_frame())
}

//! `send`, `edit`, `delete` and `notice`: commands that append an entry to a room's log. Each is acknowledged once its entry is
//! stored.

use common::{
    rooms::{Appended, Draft, RoomError},
    text,
};
use uuid::Uuid;
use wire::{Body, ErrorCode, Frame, NONCE_CHARS, NOTICE_CHARS, Role};

use super::{access::writable_subscriber, request::NewMessage};
use crate::{
    connection::Connection,
    context::Context,
    refusal::Refusal,
    transport::{encoded::Encoded, frame},
};

/// Appends messages together. One acknowledgement or refusal for each, in their order.
pub async fn send(
    cx: &Context,
    connection: &Connection,
    room: Uuid,
    messages: Vec<NewMessage>,
) -> Vec<Result<Encoded, Refusal>> {
    let subscriber = writable_subscriber(cx, connection, room).await;
    let mut drafts = Vec::with_capacity(messages.len());
    let mut checked = Vec::with_capacity(messages.len());
    for message in messages {
        let id = message.id;
        let role = subscriber.as_ref().map(|subscriber| subscriber.role()).map_err(Clone::clone);
        let draft = role.and_then(|role| draft_message(cx, connection, role, message));
        checked.push((id, draft.map(|draft| drafts.push(draft))));
    }
    let mut outcomes = append_all(cx, room, drafts).await.into_iter();
    let none = || Err(RoomError::Corrupt("an append without an outcome".to_owned()).into());
    let answer =
        |(id, checked): (u64, Result<(), Refusal>)| match checked.and_then(|()| outcomes.next().unwrap_or_else(none)) {
            Ok(appended) => {
                cx.metrics.sends.inc();
                Ok(ack(id, room, appended))
            }
            Err(refusal) => Err(Refusal { id: Some(id), ..refusal }),
        };
    checked.into_iter().map(answer).collect()
}

/// Replaces the text of a message.
///
/// # Errors
/// Those of [`writable_subscriber`] and of the room log; [`ErrorCode::BadText`].
pub async fn edit(
    cx: &Context,
    connection: &Connection,
    id: u64,
    room: Uuid,
    target: u64,
    text: &str,
) -> Result<Vec<Encoded>, Refusal> {
    let role = writable_subscriber(cx, connection, room).await?.role();
    let text = clean(text, cx.config.message_chars)?;
    append(cx, connection, id, room, role, Body::Edited { user: connection.person.clone(), target, text }).await
}

/// Deletes a message.
///
/// # Errors
/// Those of [`writable_subscriber`] and of the room log.
pub async fn delete(
    cx: &Context,
    connection: &Connection,
    id: u64,
    room: Uuid,
    target: u64,
) -> Result<Vec<Encoded>, Refusal> {
    let role = writable_subscriber(cx, connection, room).await?.role();
    append(cx, connection, id, room, role, Body::Deleted { user: connection.person.clone(), target }).await
}

/// Sets the notice, or clears it without a text.
///
/// # Errors
/// Those of [`writable_subscriber`] and of the room log; [`ErrorCode::NotTheHost`]; [`ErrorCode::BadText`].
pub async fn notice(
    cx: &Context,
    connection: &Connection,
    id: u64,
    room: Uuid,
    text: Option<&str>,
) -> Result<Vec<Encoded>, Refusal> {
    if writable_subscriber(cx, connection, room).await?.role() != Role::Host {
        return Err(Refusal::new(id, ErrorCode::NotTheHost, "only the host sets the notice"));
    }
    let text = text.map(|text| clean(text, NOTICE_CHARS)).transpose()?;
    append(cx, connection, id, room, Role::Host, Body::Notice { user: connection.person.clone(), text }).await
}

/// The draft of a message, if its nonce and its text are valid.
fn draft_message(cx: &Context, connection: &Connection, role: Role, message: NewMessage) -> Result<Draft, Refusal> {
    let NewMessage { nonce, text, .. } = message;
    if nonce.is_empty() || nonce.chars().count() > NONCE_CHARS {
        return Err(Refusal::new(None, ErrorCode::BadNonce, format!("a nonce has 1 to {NONCE_CHARS} characters")));
    }
    let text = Some(clean(&text, cx.config.message_chars)?);
    let user = connection.person.clone();
    let body = Body::Message { user, nonce: nonce.clone(), text, edited_at: None, deleted_at: None };
    Ok(Draft { author: connection.person.id, role, nonce: Some(nonce), at: cx.clock.now(), body })
}

/// One outcome for each draft.
async fn append_all(cx: &Context, room: Uuid, drafts: Vec<Draft>) -> Vec<Result<Appended, Refusal>> {
    let count = drafts.len();
    if count == 0 {
        return Vec::new();
    }
    match cx.rooms.append_all(room, drafts).await {
        Ok(outcomes) => outcomes.into_iter().map(|outcome| outcome.map_err(Refusal::from)).collect(),
        Err(error) => vec![Err(error.into()); count],
    }
}

async fn append(
    cx: &Context,
    connection: &Connection,
    id: u64,
    room: Uuid,
    role: Role,
    body: Body,
) -> Result<Vec<Encoded>, Refusal> {
    let draft = Draft { author: connection.person.id, role, nonce: None, at: cx.clock.now(), body };
    Ok(vec![ack(id, room, cx.rooms.append(room, draft).await?)])
}

fn ack(id: u64, room: Uuid, appended: Appended) -> Encoded {
    let Appended { position, at, duplicate } = appended;
    let (seq, at, duplicate) = (Some(position.seq), Some(at), Some(duplicate));
    frame::encode(&Frame::Ack { id, room: Some(room), seq, at, duplicate })
}

fn clean(text: &str, max: usize) -> Result<String, Refusal> {
    text::clean(text, max).map_err(|error| Refusal::new(None, ErrorCode::BadText, format!("the text {error}")))
}

//! Export of a user's personal data as one streamed JSON document.
//!
//! Each section is read in pages by id, so an export of any size needs the memory of one page. Concurrent exports are
//! limited, and a reader that stalls ends its export. `sections.rs` has the queries, `model.rs` the schema.

pub mod model;
mod sections;

use std::{sync::Arc, time::Duration};

use common::{
    db::DbError,
    rooms::{MAX_PAGE, Range, RoomError},
};
use futures_util::{Stream, StreamExt, stream};
use poem_openapi::types::ToJSON;
use tokio::sync::mpsc;
use uuid::Uuid;
use wire::{Body, Entry};

use self::{
    model::{
        ExportedAward, ExportedComment, ExportedLike, ExportedMeetup, ExportedMembership, ExportedMessage,
        ExportedReadMark, ExportedSession,
    },
    sections::Section,
};
use super::model::Profile;
use crate::{
    auth::store::User,
    context::Context,
    meetups::members,
    monsters::{self, model::Monster},
    problem::{Code, Failure},
    routines::model::Routine,
    workouts::model::Workout,
};

/// Rooms of one page.
const ROOMS: usize = 100;
/// Pieces buffered for the reader; when it is full, the writer waits.
const PIECES: usize = 2;
/// Timeout for a reader that stalls.
const READER_TIMEOUT: Duration = Duration::from_secs(60);

/// Timeout for a permit.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why an export ends early.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Rooms(#[from] RoomError),
    #[error("the client went away")]
    Gone,
}

/// The document in pieces. It holds one of the permits for exports until it is written.
///
/// # Errors
/// [`Code::Unavailable`] when there is no place for long.
pub async fn stream(
    cx: Context,
    user: User,
) -> Result<impl Stream<Item = std::io::Result<String>> + Send + 'static, Failure> {
    let place = tokio::time::timeout(PERMIT_TIMEOUT, Arc::clone(&cx.exports).acquire_owned()).await;
    let place = place
        .ok()
        .and_then(Result::ok)
        .ok_or(Failure { retry_after: Some(PERMIT_TIMEOUT), ..Code::Unavailable.into() })?;
    let (pieces, reader) = mpsc::channel(PIECES);
    tokio::spawn(async move {
        let _place = place;
        let mut writer = Writer { cx, user: user.id, pieces };
        match writer.write(user).await {
            Ok(()) | Err(ExportError::Gone) => {}
            Err(error) => {
                tracing::error!(%error, user = %writer.user, "export failed");
                drop(writer.pieces.send(Err(std::io::Error::other("the export broke off"))).await);
            }
        }
    });
    Ok(stream::unfold(reader, |mut reader| async { Some((reader.recv().await?, reader)) }).fuse())
}

struct Writer {
    cx: Context,
    user: Uuid,
    pieces: mpsc::Sender<std::io::Result<String>>,
}

impl Writer {
    async fn write(&mut self, user: User) -> Result<(), ExportError> {
        let exported_at = self.cx.env.clock.now().to_json_string();
        let profile = Profile::from(user).to_json_string();
        self.send(format!(r#"{{"exported_at":{exported_at},"profile":{profile}"#)).await?;
        let kept = monsters::store::kept(&self.cx.db, self.user).await?;
        self.send(format!(r#","kept_experience":{kept}"#)).await?;
        self.section::<ExportedSession>().await?;
        self.section::<ExportedMeetup>().await?;
        self.section::<ExportedMembership>().await?;
        self.section::<ExportedLike>().await?;
        self.section::<ExportedComment>().await?;
        self.section::<Routine>().await?;
        self.section::<Workout>().await?;
        self.section::<ExportedAward>().await?;
        self.section::<Monster>().await?;
        self.read_marks().await?;
        self.messages().await?;
        self.send("}".to_owned()).await
    }

    async fn send(&self, piece: String) -> Result<(), ExportError> {
        self.pieces.send_timeout(Ok(piece), READER_TIMEOUT).await.map_err(|_| ExportError::Gone)
    }

    async fn section<T: Section>(&self) -> Result<(), ExportError> {
        self.send(format!(r#","{}":["#, T::NAME)).await?;
        let (mut after, mut separator) = (T::Key::default(), "");
        loop {
            let things = T::page(&self.cx.db, self.user, after).await?;
            let Some(last) = things.last() else { break };
            after = last.key();
            separator = self.rows(separator, &things).await?;
        }
        self.send("]".to_owned()).await
    }

    async fn read_marks(&self) -> Result<(), ExportError> {
        self.send(r#","read_marks":["#.to_owned()).await?;
        let (mut after, mut separator) = (Uuid::nil(), "");
        loop {
            let memberships = ExportedMembership::page(&self.cx.db, self.user, after).await?;
            let Some(last) = memberships.last() else { break };
            after = last.key();
            let marks = self.marks_of(memberships.into_iter().map(|membership| membership.meetup_id)).await?;
            separator = self.rows(separator, &marks).await?;
        }
        // And of rooms that the user has left.
        let mut after = Uuid::nil();
        loop {
            let rooms = self.cx.rooms.rooms_of(self.user, after, ROOMS).await?;
            let Some(last) = rooms.last() else { break };
            after = *last;
            let known = members::with_row(&self.cx.db, self.user, &rooms).await?;
            let left = rooms.into_iter().filter(|room| !known.contains(room));
            let marks = self.marks_of(left).await?;
            separator = self.rows(separator, &marks).await?;
        }
        self.send("]".to_owned()).await
    }

    async fn marks_of(&self, rooms: impl Iterator<Item = Uuid>) -> Result<Vec<ExportedReadMark>, ExportError> {
        let mut marks = Vec::new();
        for room in rooms {
            match self.cx.rooms.read_mark(room, self.user).await? {
                0 => {}
                seq => marks.push(ExportedReadMark { room, seq }),
            }
        }
        Ok(marks)
    }

    /// Writes rows of a list. Returns the separator before the next row.
    async fn rows<T: ToJSON>(&self, separator: &'static str, rows: &[T]) -> Result<&'static str, ExportError> {
        if rows.is_empty() {
            return Ok(separator);
        }
        self.send(list(separator, rows)).await?;
        Ok(",")
    }

    async fn messages(&self) -> Result<(), ExportError> {
        self.send(r#","messages":["#.to_owned()).await?;
        let (mut after, mut separator) = (Uuid::nil(), "");
        loop {
            let rooms = self.cx.rooms.rooms_of(self.user, after, ROOMS).await?;
            let Some(last) = rooms.last() else { break };
            after = *last;
            for room in rooms {
                separator = self.messages_of(room, separator).await?;
            }
        }
        self.send("]".to_owned()).await
    }

    /// Writes the user's messages of a room. Returns the separator before the next row.
    async fn messages_of(&self, room: Uuid, mut separator: &'static str) -> Result<&'static str, ExportError> {
        let mut after = 0;
        loop {
            let page = self.cx.rooms.read(room, Range::After(after), MAX_PAGE).await?;
            let Some(last) = page.entries.last() else { return Ok(separator) };
            after = last.seq;
            let entries = page.entries.iter().map(|raw| raw.parse()).collect::<Result<Vec<_>, _>>()?;
            let mine: Vec<ExportedMessage> = entries.into_iter().filter_map(|entry| self.message(entry)).collect();
            separator = self.rows(separator, &mine).await?;
        }
    }

    fn message(&self, entry: Entry) -> Option<ExportedMessage> {
        let (user, text, edited_at, deleted_at, notice) = match entry.body {
            Body::Message { user, text, edited_at, deleted_at, .. } => (user, text, edited_at, deleted_at, false),
            Body::Notice { user, text } => (user, text, None, None, true),
            _ => return None,
        };
        let Entry { room, seq, at, .. } = entry;
        (user.id == self.user).then_some(ExportedMessage { room, seq, notice, at, text, edited_at, deleted_at })
    }
}

/// The rows without the brackets of their list, after a separator.
fn list<T: ToJSON>(separator: &str, rows: &[T]) -> String {
    let rows: Vec<String> = rows.iter().map(ToJSON::to_json_string).collect();
    format!("{separator}{}", rows.join(","))
}

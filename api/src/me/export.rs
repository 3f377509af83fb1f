//! Everything about a user as one JSON document, written while it is read.
//!
//! A section is one table's rows of the user, read page by page in the order of an id, so that an export of any size
//! needs the memory of one page.

macro_rules! sections {
    ($($row:ident $name:literal by $key:ident: $select:literal;)*) => {$(
        impl Section for $row {
            const NAME: &'static str = $name;
            const SELECT: &'static str = $select;
            fn key(&self) -> Vec<Value> {
                vec![self.$key.into()]
            }
        }
    )*};
}

mod fitness;

use common::{
    db::{DbError, Row, Value, sql},
    membership::MemberState,
    rooms::{MAX_PAGE, Range, RoomError},
    time::Timestamp,
    wire::Body,
};
use futures_util::{Stream, StreamExt, stream};
use poem_openapi::{
    Object,
    types::{Example, ToJSON},
};
use tokio::sync::mpsc;
use uuid::Uuid;

use self::fitness::{AwardRow, MonsterRow, ProgressRow, RoutineRow, WorkoutRow};
use super::model::Profile;
use crate::{auth::store::User, context::Context};

/// Rows read together.
const PAGE: u32 = 500;
/// Pieces that wait for the reader, at most; then the writer waits.
const PIECES: usize = 2;

/// Everything about a user.
#[derive(Debug, Object)]
#[oai(example)]
pub struct Export {
    /// When the export was made.
    pub exported_at: Timestamp,
    /// The account.
    pub profile: Profile,
    /// The main routine, and the experience that waits for the next monster.
    pub progress: ProgressRow,
    /// Routines.
    pub routines: Vec<RoutineRow>,
    /// Workouts, each with the routine as it was then.
    pub workouts: Vec<WorkoutRow>,
    /// Experience that was awarded, and for what.
    pub awards: Vec<AwardRow>,
    /// Monsters.
    pub monsters: Vec<MonsterRow>,
    /// Log-in sessions.
    pub sessions: Vec<SessionRow>,
    /// Meetups hosted.
    pub hosted_meetups: Vec<HostedRow>,
    /// Meetups joined, waited for, or been removed from.
    pub memberships: Vec<MembershipRow>,
    /// Chat messages in the rooms of those meetups, in their present state.
    pub messages: Vec<MessageRow>,
}

impl Example for Export {
    fn example() -> Self {
        let profile = Profile::example();
        let at = profile.created_at;
        let id = Uuid::from_u128(0x0197_a3c2_7b1e_7c5a_9d53_3f1d_2b8f_6a10);
        let session =
            SessionRow { id, device: "Mozilla/5.0".to_owned(), created_at: at, last_used_at: at, revoked_at: None };
        let hosted = HostedRow {
            id,
            title: "점심 스트레칭".to_owned(),
            description: "점심 먹고 서울숲에서 30분만 같이 움직여요.".to_owned(),
            place_name: "서울숲".to_owned(),
            starts_at: at,
            ends_at: at,
            cancelled_at: None,
            created_at: at,
        };
        let membership =
            MembershipRow { meetup_id: id, title: hosted.title.clone(), state: "member".to_owned(), since: at };
        let message =
            MessageRow {
                room: id, seq: 1, at, text: Some("안녕하세요".to_owned()), edited_at: None, deleted_at: None
            };
        Self {
            exported_at: at,
            profile,
            progress: ProgressRow::example(),
            routines: vec![RoutineRow::example()],
            workouts: vec![WorkoutRow::example()],
            awards: vec![AwardRow::example()],
            monsters: vec![MonsterRow::example()],
            sessions: vec![session],
            hosted_meetups: vec![hosted],
            memberships: vec![membership],
            messages: vec![message],
        }
    }
}

/// A log-in session.
#[derive(Debug, Object, sqlx::FromRow)]
pub struct SessionRow {
    /// Its id.
    pub id: Uuid,
    /// What the client said it is.
    pub device: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When its tokens were last refreshed.
    pub last_used_at: Timestamp,
    /// When it was ended.
    pub revoked_at: Option<Timestamp>,
}

/// A meetup that the user hosts.
#[derive(Debug, Object, sqlx::FromRow)]
pub struct HostedRow {
    /// Its id.
    pub id: Uuid,
    /// Its title.
    pub title: String,
    /// Its description.
    pub description: String,
    /// Where it takes place.
    pub place_name: String,
    /// When it begins.
    pub starts_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
    /// When it was called off.
    pub cancelled_at: Option<Timestamp>,
    /// When it was opened.
    pub created_at: Timestamp,
}

/// A meetup that the user has to do with.
#[derive(Debug, Object, sqlx::FromRow)]
pub struct MembershipRow {
    /// The meetup.
    pub meetup_id: Uuid,
    /// Its title.
    pub title: String,
    /// `member`, `waiting` or `removed`.
    pub state: String,
    /// Since when.
    pub since: Timestamp,
}

/// A chat message of the user.
#[derive(Debug, Object)]
pub struct MessageRow {
    /// The room: its meetup's id.
    pub room: Uuid,
    /// Its number in the room.
    pub seq: u64,
    /// When it was accepted.
    pub at: Timestamp,
    /// The text; absent once deleted.
    pub text: Option<String>,
    /// When it was last edited.
    pub edited_at: Option<Timestamp>,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
}

/// Rows of one table.
trait Section: Row + ToJSON + 'static {
    /// The member of the document.
    const NAME: &'static str;
    /// Selects the rows of a user after a key, in the order of the key, with a limit.
    const SELECT: &'static str;
    /// The key before every row, as its placeholders take it.
    fn first() -> Vec<Value> {
        vec![Uuid::nil().into()]
    }
    /// The row's key.
    fn key(&self) -> Vec<Value>;
}

sections! {
    SessionRow "sessions" by id: "SELECT id, device, created_at, last_used_at, revoked_at FROM sessions \
        WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?";
    HostedRow "hosted_meetups" by id: "SELECT id, title, description, place_name, starts_at, ends_at, cancelled_at, created_at \
        FROM meetups WHERE host_id = ? AND id > ? ORDER BY id LIMIT ?";
    MembershipRow "memberships" by meetup_id: "SELECT mm.meetup_id, m.title, mm.state, mm.since FROM meetup_members mm \
        JOIN meetups m ON m.id = mm.meetup_id WHERE mm.user_id = ? AND mm.meetup_id > ? ORDER BY mm.meetup_id LIMIT ?";
}

/// Why an export breaks off.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Rooms(#[from] RoomError),
    #[error("the client went away")]
    Gone,
}

/// The document in pieces.
pub fn stream(cx: Context, user: User) -> impl Stream<Item = std::io::Result<String>> + Send + 'static {
    let (pieces, reader) = mpsc::channel(PIECES);
    tokio::spawn(async move {
        let mut writer = Writer { cx, user: user.id, pieces };
        match writer.write(user).await {
            Ok(()) | Err(ExportError::Gone) => {}
            Err(error) => {
                tracing::error!(%error, "an export broke off");
                drop(writer.pieces.send(Err(std::io::Error::other("the export broke off"))).await);
            }
        }
    });
    stream::unfold(reader, |mut reader| async { Some((reader.recv().await?, reader)) }).fuse()
}

struct Writer {
    cx: Context,
    user: Uuid,
    pieces: mpsc::Sender<std::io::Result<String>>,
}

impl Writer {
    async fn write(&mut self, user: User) -> Result<(), ExportError> {
        let exported_at = self.cx.around.clock.now().to_json_string();
        let profile = Profile::from(user).to_json_string();
        self.send(format!(r#"{{"exported_at":{exported_at},"profile":{profile}"#)).await?;
        let progress = ProgressRow::read(&self.cx.db, self.user).await?.to_json_string();
        self.send(format!(r#","progress":{progress}"#)).await?;
        self.section::<RoutineRow>().await?;
        self.section::<WorkoutRow>().await?;
        self.section::<AwardRow>().await?;
        self.section::<MonsterRow>().await?;
        self.section::<SessionRow>().await?;
        self.section::<HostedRow>().await?;
        self.section::<MembershipRow>().await?;
        self.messages().await?;
        self.send("}".to_owned()).await
    }

    async fn send(&self, piece: String) -> Result<(), ExportError> {
        self.pieces.send(Ok(piece)).await.map_err(|_| ExportError::Gone)
    }

    async fn section<T: Section>(&self) -> Result<(), ExportError> {
        self.send(format!(r#","{}":["#, T::NAME)).await?;
        let (mut after, mut separator) = (T::first(), "");
        loop {
            let rows: Vec<T> = sql(T::SELECT).bind(self.user).bind_all(after).bind(PAGE).all(&self.cx.db).await?;
            let Some(last) = rows.last() else { break };
            after = last.key();
            self.send(list(separator, &rows)).await?;
            separator = ",";
        }
        self.send("]".to_owned()).await
    }

    async fn messages(&self) -> Result<(), ExportError> {
        self.send(r#","messages":["#.to_owned()).await?;
        let (mut after, mut separator) = (Uuid::nil(), "");
        loop {
            let rooms: Vec<(Uuid,)> = sql("SELECT meetup_id FROM meetup_members WHERE user_id = ? AND state <> ? \
                 AND meetup_id > ? ORDER BY meetup_id LIMIT ?")
            .bind(self.user)
            .bind(MemberState::Waiting.as_str())
            .bind(after)
            .bind(PAGE)
            .all(&self.cx.db)
            .await?;
            let Some((last,)) = rooms.last() else { break };
            after = *last;
            for (room,) in rooms {
                separator = self.messages_of(room, separator).await?;
            }
        }
        self.send("]".to_owned()).await
    }

    /// Writes the user's messages in a room. Returns what goes before the next.
    async fn messages_of(&self, room: Uuid, mut separator: &'static str) -> Result<&'static str, ExportError> {
        let mut after = 0;
        loop {
            let page = self.cx.rooms.read(room, Range::After(after), MAX_PAGE).await?;
            let Some(last) = page.entries.last() else { return Ok(separator) };
            after = last.seq;
            let entries = page.entries.iter().map(|raw| raw.parse()).collect::<Result<Vec<_>, _>>()?;
            let mine: Vec<MessageRow> = entries.into_iter().filter_map(|entry| self.message(entry)).collect();
            if !mine.is_empty() {
                self.send(list(separator, &mine)).await?;
                separator = ",";
            }
        }
    }

    fn message(&self, entry: common::wire::Entry) -> Option<MessageRow> {
        match entry.body {
            Body::Message { user, text, edited_at, deleted_at, .. } if user.id == self.user => {
                Some(MessageRow { room: entry.room, seq: entry.seq, at: entry.at, text, edited_at, deleted_at })
            }
            _ => None,
        }
    }
}

/// The rows without the brackets of their list, after a separator.
fn list<T: ToJSON>(separator: &str, rows: &[T]) -> String {
    let rows: Vec<String> = rows.iter().map(ToJSON::to_json_string).collect();
    format!("{separator}{}", rows.join(","))
}

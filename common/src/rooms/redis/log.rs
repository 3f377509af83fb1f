//! Operations on a room's log: append, edit and read. Entries that have left the list are read from the SQL archive.

use uuid::Uuid;
use wire::Position;

use super::{Inner, client::Command, keys};
use crate::{
    db::Tx,
    rooms::{
        AppendError, Appended, Draft, NONCE_WINDOW, Page, Range, RawEntry, RoomError, SYSTEM,
        amend::{amend_raw, anonymise_notice, anonymise_raw},
        archive::{self, RoomRow},
        decode, encode, encode_tail, notice_of,
    },
    time::Timestamp,
    transaction,
};

/// How often an edit is tried again because its target was changed in between, at most.
const AMEND_ATTEMPTS: u32 = 8;
/// Entries of one script, at most: while it runs, Redis does nothing else.
const SCRIPT_DRAFTS: usize = 64;
/// More entries than a list ever has.
const WHOLE_LIST: usize = 1 << 31;
/// Open rooms looked at in one go when a person is to be forgotten.
const ROOMS_AT_ONCE: usize = 500;

/// The part of a page that is in the list.
pub(super) struct ListPage {
    pub(super) head: Position,
    /// Entries that have left the list: those up to this number are in SQL.
    pub(super) base: u64,
    /// How often entries in the list were rewritten.
    pub(super) changes: u64,
    /// As JSON; empty if there is none.
    pub(super) notice: String,
    pub(super) entries: Vec<RawEntry>,
}

/// The change of an older entry by an edit or a deletion.
struct Change {
    target: u64,
    before: RawEntry,
    after: String,
}

enum Outcome {
    Absent,
    Moved,
    Done(Appended),
    Refused(AppendError),
}

impl Inner {
    pub(super) async fn append_all(
        &self,
        room: Uuid,
        drafts: &[Draft],
    ) -> Result<Vec<Result<Appended, AppendError>>, RoomError> {
        let mut outcomes = Vec::with_capacity(drafts.len());
        // One script appends what one author adds; what changes an older entry needs that entry first.
        let together = |a: &Draft, b: &Draft| [a, b].iter().all(|draft| is_new(draft)) && a.author == b.author;
        for drafts in drafts.chunk_by(together).flat_map(|drafts| drafts.chunks(SCRIPT_DRAFTS)) {
            match drafts {
                [draft] if !is_new(draft) => outcomes.push(match self.amend(room, draft).await {
                    Err(RoomError::Refused(refusal)) => Err(refusal),
                    outcome => Ok(outcome?),
                }),
                _ => outcomes.extend(self.add(room, drafts).await?),
            }
        }
        Ok(outcomes)
    }

    /// Appends what changes nothing older, all by one author.
    async fn add(&self, room: Uuid, drafts: &[Draft]) -> Result<Vec<Result<Appended, AppendError>>, RoomError> {
        let outcomes = self.try_append(room, drafts, None).await?;
        outcomes
            .into_iter()
            .map(|outcome| match outcome {
                Outcome::Done(appended) => Ok(Ok(appended)),
                Outcome::Refused(refusal) => Ok(Err(refusal)),
                Outcome::Absent | Outcome::Moved => Err(RoomError::corrupt("an append that did not happen")),
            })
            .collect()
    }

    /// Appends an edit or a deletion.
    async fn amend(&self, room: Uuid, draft: &Draft) -> Result<Appended, RoomError> {
        for _ in 0..AMEND_ATTEMPTS {
            let change = match draft.body.target() {
                Some(target) => self.change(room, target, draft).await?,
                None => None,
            };
            match self.try_append(room, std::slice::from_ref(draft), change.as_ref()).await?.pop() {
                Some(Outcome::Done(appended)) => return Ok(appended),
                Some(Outcome::Refused(refusal)) => return Err(refusal.into()),
                Some(Outcome::Moved | Outcome::Absent) | None => {}
            }
        }
        Err(RoomError::Unavailable("the message is being changed by others".to_owned()))
    }

    /// Runs the script, and once more if the room's log must begin. One outcome for each draft.
    async fn try_append(
        &self,
        room: Uuid,
        drafts: &[Draft],
        change: Option<&Change>,
    ) -> Result<Vec<Outcome>, RoomError> {
        let outcomes = self.run_append(room, drafts, change, None).await?;
        if !matches!(outcomes.first(), Some(Outcome::Absent)) {
            return Ok(outcomes);
        }
        match self.begin(room).await {
            Ok(epoch) => self.run_append(room, drafts, change, Some(epoch)).await,
            Err(RoomError::Refused(refusal)) => Ok(drafts.iter().map(|_| Outcome::Refused(refusal)).collect()),
            Err(error) => Err(error),
        }
    }

    async fn run_append(
        &self,
        room: Uuid,
        drafts: &[Draft],
        change: Option<&Change>,
        epoch: Option<Uuid>,
    ) -> Result<Vec<Outcome>, RoomError> {
        let author = drafts.first().map_or(SYSTEM, |draft| draft.author);
        let window = if author == SYSTEM { 0 } else { NONCE_WINDOW.as_secs() };
        let (target, before, after) = change.map_or_else(Default::default, |change| {
            (change.target.to_string(), change.before.json.to_string(), change.after.clone())
        });
        let epoch = epoch.map_or_else(String::new, |epoch| epoch.to_string());
        let mut args = vec![epoch, window.to_string(), keys::channel(room), target, before, after];
        for draft in drafts {
            args.push(draft.nonce.clone().unwrap_or_default());
            args.push(encode_tail(room, draft)?);
            args.push(draft.at.millis().to_string());
            args.push(match notice_of(draft) {
                None => String::new(),
                Some(None) => "-".to_owned(),
                Some(Some(notice)) => encode(&notice)?,
            });
            args.push(draft.body.person().map_or_else(String::new, |person| person.id.to_string()));
        }
        let keys = [keys::log(room), keys::meta(room), keys::nonces(room, author), keys::people(room)];
        let outcomes: Vec<(String, String, u64, i64, usize)> =
            self.redis.eval(&self.redis.scripts.append, &keys, &args).await?;
        if outcomes.len() != drafts.len() {
            return Err(RoomError::corrupt("a reply to another append"));
        }
        outcomes
            .into_iter()
            .map(|(status, epoch, seq, at, length)| match status.as_str() {
                "absent" => Ok(Outcome::Absent),
                "moved" => Ok(Outcome::Moved),
                "closing" => Ok(Outcome::Refused(AppendError::RoomClosed)),
                _ => {
                    self.archiver.note_length(room, length);
                    let position = Position { epoch: parse_epoch(&epoch)?, seq };
                    Ok(Outcome::Done(Appended { position, at: Timestamp(at), duplicate: status == "known" }))
                }
            })
            .collect()
    }

    /// The epoch for the log of a room that has none in Redis.
    async fn begin(&self, room: Uuid) -> Result<Uuid, RoomError> {
        match self.closed(room).await? {
            Some(_) => Err(AppendError::RoomClosed.into()),
            None => Ok(self.ids.next_id()),
        }
    }

    /// The room's row if it is closed for good, so that all of its log is in SQL.
    pub(super) async fn closed(&self, room: Uuid) -> Result<Option<RoomRow>, RoomError> {
        Ok(archive::room(&self.db, room).await?.filter(RoomRow::is_closed))
    }

    /// What an edit or a deletion does to its target in the list; `None` once it has been done in the archive.
    async fn change(&self, room: Uuid, target: u64, draft: &Draft) -> Result<Option<Change>, RoomError> {
        let after = Range::After(target.saturating_sub(1));
        let Some(page) = self.read_list(room, after, 1, None).await? else {
            // Its log, if there is one, is closed.
            return Err(self.begin(room).await.err().unwrap_or_else(|| AppendError::NoSuchMessage.into()));
        };
        match page.entries.into_iter().next().filter(|entry| entry.seq == target) {
            Some(before) => Ok(Some(Change { target, after: amend_raw(&before, draft)?, before })),
            None if target <= page.base => {
                let amend = async |tx: &mut Tx| {
                    archive::lock_room(tx, room, page.head.epoch).await?;
                    archive::amend(tx, room, page.head.epoch, target, draft).await
                };
                transaction!(self.db, |tx| amend(tx)).map_err(RoomError::from)?;
                Ok(None)
            }
            None => Err(AppendError::NoSuchMessage.into()),
        }
    }

    pub(super) async fn read(&self, room: Uuid, range: Range, limit: usize) -> Result<Page, RoomError> {
        let page = match self.read_list(room, range, limit, None).await? {
            Some(page) => page,
            None => match self.closed(room).await? {
                Some(row) => return archive::whole_page(&self.db, room, &row, range, limit).await,
                None => self
                    .read_list(room, range, limit, Some(self.ids.next_id()))
                    .await?
                    .ok_or_else(|| RoomError::corrupt("a log that does not begin"))?,
            },
        };
        self.complete(room, range, limit, page).await
    }

    /// Adds what the archive has of a page.
    async fn complete(&self, room: Uuid, range: Range, limit: usize, page: ListPage) -> Result<Page, RoomError> {
        let ListPage { head, base, notice, entries, .. } = page;
        let notice = if notice.is_empty() { None } else { Some(decode(&notice)?) };
        let first = entries.first().map(|entry| entry.seq);
        let (older, missing) = match range {
            Range::After(seq) => (Range::After(seq), if seq < base { limit } else { 0 }),
            Range::Before(seq) => (Range::Before(first.unwrap_or(seq).min(base + 1)), limit - entries.len()),
            Range::Latest => (Range::Before(first.unwrap_or(base + 1)), limit - entries.len()),
        };
        if base == 0 || missing == 0 {
            return Ok(Page { head, notice, entries });
        }
        let mut all = archive::page(&self.db, room, head.epoch, older, missing).await?;
        // What is archived may still be in the list: the list is trimmed after.
        all.retain(|entry| entry.seq <= base);
        all.extend(entries);
        all.truncate(limit);
        if all.windows(2).any(|pair| pair[0].seq + 1 != pair[1].seq) {
            return Err(RoomError::corrupt("entries are missing between the archive and the list"));
        }
        Ok(Page { head, notice, entries: all })
    }

    /// The part of a page that is in the list; `None` if there is no log and none may begin.
    pub(super) async fn read_list(
        &self,
        room: Uuid,
        range: Range,
        limit: usize,
        epoch: Option<Uuid>,
    ) -> Result<Option<ListPage>, RoomError> {
        let (kind, seq) = match range {
            Range::Latest => ("latest", 0),
            Range::After(seq) => ("after", seq),
            Range::Before(seq) => ("before", seq),
        };
        let epoch = epoch.map_or_else(String::new, |epoch| epoch.to_string());
        let args = [epoch, kind.to_owned(), seq.to_string(), limit.to_string()];
        type Reply = (String, u64, u64, u64, u64, Vec<String>, String);
        let (epoch, head, base, changes, first, entries, notice): Reply =
            self.redis.eval(&self.redis.scripts.read, &[keys::log(room), keys::meta(room)], &args).await?;
        if epoch.is_empty() {
            return Ok(None);
        }
        let entries = (first..).zip(entries).map(|(seq, json)| RawEntry::new(seq, json)).collect();
        let head = Position { epoch: parse_epoch(&epoch)?, seq: head };
        Ok(Some(ListPage { head, base, changes, notice, entries }))
    }

    /// Rooms after `after`, in order, with entries in a list or in SQL from or about a person.
    pub(super) async fn rooms_of(&self, user: Uuid, after: Uuid, limit: usize) -> Result<Vec<Uuid>, RoomError> {
        let mut found = archive::rooms_of(&self.db, user, after, limit).await?;
        // Both are in order: the first `limit` of each have the first `limit` of both among them.
        let (wanted, mut at) = (found.len() + limit, after);
        while found.len() < wanted {
            let open = archive::open_rooms(&self.db, at, ROOMS_AT_ONCE).await?;
            let Some(last) = open.last() else { break };
            at = *last;
            found.extend(self.rooms_with(user, &open).await?);
        }
        found.sort_unstable();
        found.dedup();
        found.truncate(limit);
        Ok(found)
    }

    /// Replaces a person in the lists and notices of every open room, and forgets what they have read there.
    pub(super) async fn anonymise(&self, user: Uuid) -> Result<(), RoomError> {
        let mut after = Uuid::nil();
        loop {
            let rooms = archive::open_rooms(&self.db, after, ROOMS_AT_ONCE).await?;
            let Some(last) = rooms.last() else { return Ok(()) };
            after = *last;
            self.forget_reads(user, &rooms).await?;
            for room in self.rooms_with(user, &rooms).await? {
                while !self.anonymise_room(room, user).await? {}
            }
        }
    }

    /// Which of `rooms` have entries from or about `user`.
    async fn rooms_with(&self, user: Uuid, rooms: &[Uuid]) -> Result<Vec<Uuid>, RoomError> {
        let ask = rooms.iter().map(|room| async move {
            let ask = Command::new("SISMEMBER", &keys::people(*room)).arg(user.to_string());
            let known: bool = self.redis.run(ask).await?;
            Ok::<_, RoomError>(known.then_some(*room))
        });
        Ok(futures_util::future::try_join_all(ask).await?.into_iter().flatten().collect())
    }

    async fn forget_reads(&self, user: Uuid, rooms: &[Uuid]) -> Result<(), RoomError> {
        let forget = rooms.iter().map(|room| {
            let forget = Command::new("HDEL", &keys::reads(*room)).arg(user.to_string());
            self.redis.run::<()>(forget)
        });
        futures_util::future::try_join_all(forget).await.map(drop)
    }

    /// Returns whether nothing had changed in between, so that the person is gone.
    async fn anonymise_room(&self, room: Uuid, user: Uuid) -> Result<bool, RoomError> {
        let notice: Option<String> = self.redis.run(Command::new("HGET", &keys::meta(room)).arg("notice")).await?;
        let notice = notice.unwrap_or_default();
        let renamed = if notice.is_empty() { None } else { anonymise_notice(&notice, user)? };
        let mut args = vec![user.to_string()];
        args.extend(renamed.map_or_else(|| [String::new(), String::new()], |renamed| [notice, renamed]));
        let page = self.read_list(room, Range::Latest, WHOLE_LIST, None).await?;
        for entry in page.map(|page| page.entries).unwrap_or_default() {
            if let Some(renamed) = anonymise_raw(&entry.json, user)? {
                args.extend([entry.seq.to_string(), entry.json.to_string(), renamed]);
            }
        }
        let keys = [keys::log(room), keys::meta(room), keys::people(room)];
        self.redis.eval(&self.redis.scripts.rewrite, &keys, &args).await
    }
}

/// Whether a draft changes no older entry.
fn is_new(draft: &Draft) -> bool {
    draft.body.target().is_none()
}

fn parse_epoch(text: &str) -> Result<Uuid, RoomError> {
    text.parse().map_err(|_| RoomError::corrupt("an epoch that is no id"))
}

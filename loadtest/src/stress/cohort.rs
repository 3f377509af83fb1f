//! A room full of people who talk, and what must hold of what they saw.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::{Body, Entry};

use crate::{
    client::{Client, CommandError, Options},
    ensure,
    failure::{Failure, Outcome, within},
    rest::{Rest, User},
    system::Room,
};

/// How long people may take to get in, or to see what is in the log.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Between two messages of one person.
const BREATH: Duration = Duration::from_millis(20);

/// A room and a client for each of its people.
#[derive(Debug)]
pub struct Cohort {
    /// The room.
    pub room: Room,
    /// A client for each member, in the same order.
    pub clients: Vec<Arc<Client>>,
    rest: Rest,
    said: BTreeMap<u64, String>,
}

/// People talking in the background.
#[derive(Debug)]
pub struct Talk {
    stop: CancellationToken,
    speakers: JoinSet<Result<Vec<(u64, String)>, CommandError>>,
}

impl Cohort {
    /// Lets a client in for each of `options` and waits until all are there.
    ///
    /// # Errors
    /// When somebody cannot get in.
    pub async fn start(rest: Rest, room: Room, options: Vec<Options>) -> Outcome<Self> {
        let clients: Vec<Arc<Client>> = options.into_iter().map(|options| Arc::new(Client::start(options))).collect();
        let cohort = Self { room, clients, rest, said: BTreeMap::new() };
        cohort.all_live(PATIENCE).await?;
        Ok(cohort)
    }

    /// Lets every member of `room` in, spread over `gateways`.
    ///
    /// # Errors
    /// When somebody cannot get in.
    pub async fn start_at(rest: Rest, room: Room, gateways: &[String]) -> Outcome<Self> {
        let options = |(number, user): (usize, &User)| {
            let mut gateways = gateways.to_vec();
            let first = number % gateways.len().max(1);
            gateways.rotate_left(first);
            Options { gateways, rooms: vec![room.id], ..Options::new("", &user.token) }
        };
        let all = room.members.iter().enumerate().map(options).collect();
        Self::start(rest, room, all).await
    }

    /// Everybody begins to talk, and does not stop for anything.
    pub fn talk(&self) -> Talk {
        self.talk_of(self.clients.len())
    }

    /// The first `speakers` begin to talk.
    pub fn talk_of(&self, speakers: usize) -> Talk {
        let stop = CancellationToken::new();
        let mark = Uuid::new_v4().as_fields().0;
        let mut talk = JoinSet::new();
        for (number, client) in self.clients.iter().take(speakers).enumerate() {
            let (client, room, stop) = (Arc::clone(client), self.room.id, stop.clone());
            talk.spawn(async move {
                let mut said = Vec::new();
                while !stop.is_cancelled() {
                    let text = format!("{number}번의 {}번째 말 🐢 {mark:x}", said.len());
                    said.push((client.send(room, &text).await?.seq, text));
                    tokio::time::sleep(BREATH).await;
                }
                Ok(said)
            });
        }
        Talk { stop, speakers: talk }
    }

    /// Waits until everybody has said what they were about to say, and notes what was acknowledged.
    ///
    /// # Errors
    /// When a message was refused, never answered, or acknowledged with a number that another has.
    pub async fn quiet(&mut self, mut talk: Talk) -> Outcome {
        talk.stop.cancel();
        let deadline = Instant::now() + PATIENCE;
        while let Some(speaker) = tokio::time::timeout_at(deadline, talk.speakers.join_next())
            .await
            .map_err(|_| Failure::new("a message was not acknowledged in time"))?
        {
            for (seq, text) in speaker?? {
                self.note(seq, text)?;
            }
        }
        Ok(())
    }

    /// Notes an acknowledged message.
    ///
    /// # Errors
    /// When another one has its number.
    pub fn note(&mut self, seq: u64, text: String) -> Outcome {
        let before = self.said.insert(seq, text.clone());
        ensure!(before.is_none(), "{seq} was acknowledged for two messages: {before:?} and {text}");
        Ok(())
    }

    /// Waits until every client is connected and joined.
    ///
    /// # Errors
    /// When one is not within `limit`.
    pub async fn all_live(&self, limit: Duration) -> Outcome {
        for client in &self.clients {
            client.wait_live(limit).await?;
        }
        Ok(())
    }

    /// How long it takes until everybody is back and a message of the first one has reached everybody.
    ///
    /// # Errors
    /// When it takes longer than `limit`.
    pub async fn recovery(&mut self, limit: Duration) -> Outcome<Duration> {
        let began = Instant::now();
        self.all_live(limit).await?;
        let text = format!("다 왔나요? {}", self.said.len());
        let sent = within(limit, "an acknowledgement", self.clients[0].send(self.room.id, &text)).await??;
        self.note(sent.seq, text)?;
        for client in &self.clients {
            client.wait_seq(limit, self.room.id, sent.seq).await?;
        }
        ensure!(began.elapsed() <= limit, "recovered after {:?}, not within {limit:?}", began.elapsed());
        Ok(began.elapsed())
    }

    /// What must always hold, once everybody is quiet: every acknowledged message is in the history exactly once, at
    /// its number; every client saw the log in order, without a gap or a duplicate. Says how much was checked.
    ///
    /// # Errors
    /// What does not hold.
    pub async fn check(&self) -> Outcome<String> {
        let history = self.rest.by(&self.room.members[0]).history(self.room.id).await?;
        check_history(&history, &self.said)?;
        for (number, client) in self.clients.iter().enumerate() {
            let head = history.last().map_or(0, |entry| entry.seq);
            client.wait_seq(PATIENCE, self.room.id, head).await?;
            let view = client.room(self.room.id);
            ensure!(view.gaps == 0, "client {number} was sent {} entries too early", view.gaps);
            ensure!(view.duplicates == 0, "client {number} was sent {} entries again", view.duplicates);
            ensure!(view.resets == 0, "client {number} could not go on where it was, {} times", view.resets);
            check_seen(&history, view.entries.iter())
                .map_err(|failure| Failure::new(format!("client {number}: {failure}")))?;
        }
        Ok(format!(
            "{} acknowledged, {} clients, none lost, none twice, all in order",
            self.said.len(),
            self.clients.len()
        ))
    }

    /// Ends the clients, waits for the quiet of the gateways, and checks first.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub async fn finish(self) -> Outcome<String> {
        let checked = self.check().await?;
        for client in self.clients {
            if let Some(client) = Arc::into_inner(client) {
                client.close().await;
            }
        }
        Ok(checked)
    }
}

/// Whether `history` is a log without a gap in which everything `said` is exactly once.
fn check_history(history: &[Entry], said: &BTreeMap<u64, String>) -> Outcome {
    let mut texts: BTreeMap<&str, u64> = BTreeMap::new();
    for (index, entry) in history.iter().enumerate() {
        ensure!(entry.seq == index as u64 + 1, "entry {} stands at {}", entry.seq, index + 1);
        if let Body::Message { text: Some(text), user, .. } = &entry.body {
            let twice = texts.insert(text, entry.seq).is_some_and(|_| said.values().any(|said| said == text));
            ensure!(!twice, "{text} of {} is in the history twice", user.nickname);
        }
    }
    for (seq, text) in said {
        let found = texts.get(text.as_str());
        ensure!(found == Some(seq), "{text} was acknowledged as {seq} and is at {found:?}");
    }
    Ok(())
}

/// Whether what was seen is the end of the log, entry for entry.
fn check_seen<'a>(history: &[Entry], seen: impl ExactSizeIterator<Item = &'a Entry>) -> Outcome {
    let start = history.len().checked_sub(seen.len()).ok_or_else(|| Failure::new("saw more than there is"))?;
    for (entry, seen) in history[start..].iter().zip(seen) {
        ensure!(same(entry, seen), "saw {seen:?}, the log has {entry:?}");
    }
    Ok(())
}

/// Whether two entries are the same; history shows messages as they are now, a client as they were.
fn same(entry: &Entry, seen: &Entry) -> bool {
    match (&entry.body, &seen.body) {
        (Body::Message { nonce: a, user: x, .. }, Body::Message { nonce: b, user: y, .. }) => {
            (entry.seq, a, &x.id) == (seen.seq, b, &y.id)
        }
        _ => entry == seen,
    }
}

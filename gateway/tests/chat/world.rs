//! Test fixture: gateways on fresh backends, and users and meetups inserted into the database directly.

use std::{sync::Arc, time::Duration};

use common::{
    bootstrap::{Backends, Shape},
    config::Config,
    db::sql,
    ids::Env,
    rooms::{Appended, Draft},
    time::Timestamp,
};
use loadtest::client::{Connection, Greeting, Incoming};
use testing::Database;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::{Body, Change, Frame, Person, Position};

/// The backends of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shapes {
    /// One gateway on SQLite.
    Embedded,
    /// Two gateways on MariaDB and Redis, each with database and Redis connections of its own.
    Shared,
}

/// Makes a test for each of [`Shapes`] of each function named: `embedded::name` and `shared::name`.
macro_rules! on_each_shape {
    ($($test:ident),+ $(,)?) => {
        testing::tests_on!(embedded, $crate::world::Shapes::Embedded, $($test),+);
        testing::tests_on!(shared, $crate::world::Shapes::Shared, $($test),+);
    };
}
pub(crate) use on_each_shape;

/// Running gateways and their backends. Dropping it stops them.
pub(crate) struct World {
    pub(crate) backends: Vec<Backends>,
    pub(crate) urls: Vec<String>,
    pub(crate) stop: CancellationToken,
    pub(crate) running: Vec<JoinHandle<std::io::Result<()>>>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A user with a log-in session.
#[derive(Clone, Debug)]
pub(crate) struct Someone {
    pub(crate) person: Person,
    pub(crate) session: Uuid,
    pub(crate) token: String,
}

impl World {
    pub(crate) async fn start(shape: Shapes) -> Self {
        Self::start_with(shape, |_| {}).await
    }

    pub(crate) async fn start_with(shape: Shapes, configure: impl Fn(&mut Config)) -> Self {
        let (database, gateways) = match shape {
            Shapes::Embedded => (Database::Sqlite, 1),
            Shapes::Shared => (Database::MySql, 2),
        };
        let mut config = testing::config();
        config.database_url = database.fresh_url().await;
        if shape == Shapes::Shared {
            config.redis_url = Some(testing::redis_url());
        }
        configure(&mut config);
        let stop = CancellationToken::new();
        let mut world = Self { backends: Vec::new(), urls: Vec::new(), stop, running: Vec::new() };
        for _ in 0..gateways {
            let backends = Backends::connect(config.clone(), Shape::AllInOne, Env::default()).await.expect("backends");
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let ops = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            world.urls.push(format!("ws://{}/ws", listener.local_addr().expect("an address")));
            world.running.push(tokio::spawn(gateway::launch(backends.clone(), listener, ops, world.stop.clone())));
            world.backends.push(backends);
        }
        world
    }

    pub(crate) fn first(&self) -> &Backends {
        &self.backends[0]
    }

    /// The URL of the last gateway: where there are two, not the first.
    pub(crate) fn last_url(&self) -> &str {
        self.urls.last().expect("a gateway")
    }

    pub(crate) async fn someone(&self, nickname: &str) -> Someone {
        let backends = self.first();
        let (id, session, now) = (Uuid::now_v7(), Uuid::now_v7(), backends.env.clock.now());
        sql("INSERT INTO users (id, nickname, nickname_key, time_zone, week_start, created_at) VALUES (?, ?, ?, 'Asia/Seoul', 'monday', ?)")
            .bind(id)
            .bind(nickname)
            .bind(id.to_string())
            .bind(now)
            .run(&backends.db)
            .await
            .expect("a user");
        sql("INSERT INTO sessions (id, user_id, device, created_at, last_used_at) VALUES (?, ?, '', ?, ?)")
            .bind(session)
            .bind(id)
            .bind(now)
            .bind(now)
            .run(&backends.db)
            .await
            .expect("a session");
        let token = backends.tokens.issue(id, session, Duration::from_secs(900)).expect("a token");
        Someone { person: Person { id, nickname: nickname.to_owned() }, session, token }
    }

    /// A meetup that goes on for an hour; the first of `people` is its host.
    pub(crate) async fn meetup(&self, people: &[&Someone]) -> Uuid {
        let now = self.first().env.clock.now();
        self.meetup_until(people, now + Duration::from_secs(3600)).await
    }

    pub(crate) async fn meetup_until(&self, people: &[&Someone], ends_at: Timestamp) -> Uuid {
        let (db, id) = (&self.first().db, Uuid::now_v7());
        sql("INSERT INTO meetups (id, host_id, title, description, place_name, road_address, lot_address, latitude, longitude, \
             sido, sigungu, region_code, starts_at, ends_at, member_count, waiting_count, like_count, comment_count, created_at, updated_at) \
             VALUES (?, ?, 't', 'd', 'p', '', '', 0.0, 0.0, '', '', '', 0, ?, ?, 0, 0, 0, 0, 0)")
            .bind(id)
            .bind(people[0].person.id)
            .bind(ends_at)
            .bind(people.len())
            .run(db)
            .await
            .expect("a meetup");
        for someone in people {
            sql("INSERT INTO meetup_members (meetup_id, user_id, state, since) VALUES (?, ?, 'member', 0)")
                .bind(id)
                .bind(someone.person.id)
                .run(db)
                .await
                .expect("a member");
        }
        id
    }

    /// Ends a membership in the database, as a removal commits it before its entry is appended.
    pub(crate) async fn end_membership(&self, room: Uuid, someone: &Someone) {
        sql("UPDATE meetup_members SET state = 'removed' WHERE meetup_id = ? AND user_id = ?")
            .bind(room)
            .bind(someone.person.id)
            .run(&self.first().db)
            .await
            .expect("removed");
    }

    /// Appends a change of membership to the room's log, as the outbox relay does.
    pub(crate) async fn change_membership(&self, room: Uuid, someone: &Someone, change: Change) -> Appended {
        let body = Body::Member { user: someone.person.clone(), change };
        let draft =
            Draft { author: common::rooms::SYSTEM, role: wire::Role::Host, nonce: None, at: Timestamp(0), body };
        self.first().rooms.append(room, draft).await.expect("appended")
    }
}

/// Connects and joins a room. Returns the connection and its `joined` frame.
pub(crate) async fn enter(url: &str, someone: &Someone, room: Uuid) -> (Connection, Frame) {
    let (mut connection, _) = Connection::greet(url, Greeting::Header(&someone.token)).await.expect("a welcome");
    let joined = connection.join(room).await.expect("a reply");
    assert!(matches!(joined, Frame::Joined { .. }), "{joined:?}");
    (connection, joined)
}

/// The position of a `joined` frame.
pub(crate) fn position_of(joined: &Frame) -> Position {
    match joined {
        Frame::Joined { epoch, seq, .. } => Position { epoch: *epoch, seq: *seq },
        other => panic!("not joined: {other:?}"),
    }
}

/// The next entry; other frames before it are skipped.
pub(crate) async fn next_entry(connection: &mut Connection) -> wire::Entry {
    let entry = |incoming| match incoming {
        Incoming::Entry(entry) => Some(*entry),
        _ => None,
    };
    connection.expect(entry).await.expect("an entry")
}

/// The text of the next entry, which must be a message.
pub(crate) async fn next_text(connection: &mut Connection) -> (u64, String) {
    let entry = next_entry(connection).await;
    match entry.body {
        Body::Message { text: Some(text), .. } => (entry.seq, text),
        other => panic!("not a message: {other:?}"),
    }
}

/// Sends a message and returns its acknowledgement.
pub(crate) async fn send_message(connection: &mut Connection, id: u64, room: Uuid, nonce: &str, text: &str) -> Frame {
    let command = wire::Command::Send { id, room, nonce: nonce.to_owned(), text: text.to_owned() };
    connection.request(id, &command).await.expect("a reply")
}

/// Sends a message and waits for its acknowledgement and its entry, in either order. Returns the `seq` that both must have.
pub(crate) async fn send_and_receive(connection: &mut Connection, room: Uuid, text: &str) -> u64 {
    let nonce = Uuid::now_v7().to_string();
    let command = wire::Command::Send { id: 99, room, nonce, text: text.to_owned() };
    connection.send(&command).await.expect("sent");
    let (mut acknowledged, mut received) = (None, None);
    while acknowledged.is_none() || received.is_none() {
        match connection.next().await.expect("a frame") {
            Incoming::Frame(frame) => {
                if let Frame::Ack { id: 99, seq, .. } = *frame {
                    acknowledged = seq;
                }
            }
            Incoming::Entry(entry) => {
                if matches!(&entry.body, Body::Message { text: Some(said), .. } if said == text) {
                    received = Some(entry.seq);
                }
            }
            _ => {}
        }
    }
    assert_eq!(acknowledged, received);
    received.unwrap_or_default()
}

/// The draft of a message.
pub(crate) fn message(someone: &Someone, nonce: &str, text: &str) -> Draft {
    let body = Body::Message {
        user: someone.person.clone(),
        nonce: nonce.to_owned(),
        text: Some(text.to_owned()),
        edited_at: None,
        deleted_at: None,
    };
    Draft { author: someone.person.id, role: wire::Role::Member, nonce: Some(nonce.to_owned()), at: Timestamp(0), body }
}

/// The room log of the first gateway.
pub(crate) fn log(world: &World) -> Arc<dyn common::rooms::RoomStore> {
    Arc::clone(&world.first().rooms)
}

//! The story of the README, over real sockets against the real program: once on the embedded database in one process,
//! once as separate services on MariaDB and Redis with the two people on different gateways.

#![expect(clippy::expect_used, reason = "tests")]

use std::time::Duration;

use loadtest::{
    client::{Client, CommandError, Connection, ConnectionError, Greeting, Options, View},
    rest::{Rest, User},
    servers::{Mingizuk, Role, Setup},
};
use reqwest::{Method, StatusCode};
use serde_json::json;
use testing::{Database, redis_url};
use uuid::Uuid;
use wire::{Body, Change, Command, Entry, ErrorCode, Frame, close};

const BINARY: &str = env!("CARGO_BIN_EXE_mingizuk");
const PATIENCE: Duration = Duration::from_secs(10);

/// A running system in one of its shapes.
struct System {
    processes: Vec<Mingizuk>,
    _folder: tempfile::TempDir,
}

impl System {
    async fn start(folder: tempfile::TempDir, setup: Setup, roles: &[Role]) -> Self {
        let mut processes = Vec::new();
        for role in roles {
            processes.push(setup.start(*role).await.expect("ready"));
        }
        Self { processes, _folder: folder }
    }

    async fn embedded() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let setup = Setup::embedded(BINARY, folder.path());
        Self::start(folder, setup, &[Role::AllInOne]).await
    }

    async fn production() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::MySql.empty_url().await;
        let setup = Setup::shared(BINARY, folder.path(), database.expose(), redis_url().expose());
        setup.migrate().await.expect("the schema");
        Self::start(folder, setup, &[Role::Api, Role::Gateway, Role::Gateway]).await
    }

    fn api(&self) -> Rest {
        let base = self.processes.iter().find_map(|process| process.api().ok()).expect("an api");
        Rest::new(base).expect("a client")
    }

    /// The gateways, first and last: in one process they are the same.
    fn gateways(&self) -> [String; 2] {
        let mut urls = self.processes.iter().filter_map(|process| process.gateway().ok());
        let first = urls.next().expect("a gateway").to_owned();
        let last = urls.next_back().map_or_else(|| first.clone(), str::to_owned);
        [first, last]
    }

    async fn restart(&mut self) {
        for process in &mut self.processes {
            let status = process.program().terminate().await.expect("an end");
            assert!(status.success(), "{status:?} {}", process.program().log());
        }
        for process in &mut self.processes {
            process.start_again().await.expect("ready again");
        }
    }
}

async fn enter(gateway: &str, user: &User, room: Uuid) -> Client {
    let client = Client::start(Options { rooms: vec![room], ..Options::new(gateway, &user.token) });
    client.wait_live(PATIENCE).await.expect("joined");
    client
}

fn nickname(prefix: &str) -> String {
    format!("{prefix}{}", &Uuid::new_v4().simple().to_string()[..8])
}

async fn tell_the_story(mut system: System) {
    let api = system.api();
    let minseo = api.sign_up(&nickname("민서")).await.expect("signed up");
    let jiho = api.sign_up(&nickname("지호")).await.expect("signed up");
    let stranger = api.sign_up(&nickname("낯선이")).await.expect("signed up");
    let room = api.by(&minseo).open_meetup("점심 스트레칭").await.expect("a meetup");
    api.by(&jiho).join(room).await.expect("joined");

    let [gateway_a, gateway_b] = system.gateways();
    let (a, b) = (enter(&gateway_a, &minseo, room).await, enter(&gateway_b, &jiho, room).await);
    let said = chat(&a, &b, room).await;
    notice_appears_on_both(&a, &b, room).await;
    let posted = format!("/meetups/{room}/messages");
    let posted =
        api.by(&jiho).post(&posted, json!({"text": "REST로도 보내요 📮", "nonce": "rest-1"})).await.expect("posted");
    let head = posted["seq"].as_u64().expect("a seq");
    for client in [&a, &b] {
        client.wait_seq(PATIENCE, room, head).await.expect("the posted message");
        let seen = client.room(room);
        let texts: Vec<String> = seen.messages().into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts[..said.len()], said, "what was said, once and in order");
        assert_eq!(texts.last().map(String::as_str), Some("REST로도 보내요 📮"));
        assert_eq!((seen.gaps, seen.duplicates, seen.resets), (0, 0, 0));
    }
    history_is_what_was_seen(&api.by(&jiho), &b, room).await;
    a_stranger_is_refused(&api, &gateway_b, &stranger, room).await;

    let before = api.by(&minseo).history(room).await.expect("history");
    system.restart().await;
    for client in [&a, &b] {
        client
            .wait_for(PATIENCE, "back after the restart", |view| view.welcomes == 2 && view.live())
            .await
            .expect("back");
    }
    let last = b.send(room, "다시 만나요 👋🏽").await.expect("acknowledged");
    a.wait_seq(PATIENCE, room, last.seq).await.expect("the new message");
    let after = system.api().by(&minseo).history(room).await.expect("history");
    assert_eq!(after[..before.len()], before, "everything is still there");
    assert_eq!(a.room(room).notice.map(|notice| notice.text), Some("준비물: 수건 🧘".to_owned()));
    assert_eq!((a.room(room).resets, b.room(room).resets), (0, 0), "both went on where they were");
    a.close().await;
    b.close().await;
}

/// Both talk at once; what was said, in the order of the log.
async fn chat(a: &Client, b: &Client, room: Uuid) -> Vec<String> {
    let talk = async |client: &Client, who: &str| {
        let mut sent = Vec::new();
        for number in 0..10 {
            let text = format!("{who} {number}: 안녕하세요 😀👨‍👩‍👧‍👦 \"따옴표\" \\ 🇰🇷");
            sent.push((client.send(room, &text).await.expect("acknowledged").seq, text));
        }
        sent
    };
    let (mut said, others) = tokio::join!(talk(a, "민서"), talk(b, "지호"));
    said.extend(others);
    said.sort();
    said.into_iter().map(|(_, text)| text).collect()
}

async fn notice_appears_on_both(a: &Client, b: &Client, room: Uuid) {
    let set =
        a.request(move |id| Command::Notice { id, room, text: Some("준비물: 수건 🧘".into()) }).await.expect("a reply");
    assert!(matches!(set, Frame::Ack { .. }), "{set:?}");
    for client in [a, b] {
        let shown = |text: &str| text == "준비물: 수건 🧘";
        client
            .wait_for(PATIENCE, "the notice", |view| {
                view.rooms[&room].notice.as_ref().is_some_and(|notice| shown(&notice.text))
            })
            .await
            .expect("the notice");
    }
    let refused = b.request(move |id| Command::Notice { id, room, text: None }).await.expect("a reply");
    assert!(matches!(refused, Frame::Error { code: ErrorCode::NotTheHost, .. }), "{refused:?}");
}

async fn history_is_what_was_seen(api: &Rest, client: &Client, room: Uuid) {
    let history = api.history(room).await.expect("history");
    let seen = Vec::from(client.room(room).entries);
    assert_eq!(history, seen, "the log from its first entry, as the socket delivered it");
    assert!(history.iter().any(|entry| matches!(entry.body, Body::Member { .. })), "the log tells who joined");
}

async fn a_stranger_is_refused(api: &Rest, gateway: &str, stranger: &User, room: Uuid) {
    let (mut connection, welcome) =
        Connection::greet(gateway, Greeting::Hello(&stranger.token)).await.expect("a welcome");
    assert_eq!(welcome.user.id, stranger.id);
    let refused = connection.join(room).await.expect("a reply");
    assert!(matches!(refused, Frame::Error { code: ErrorCode::NotAMember, temporary: false, .. }), "{refused:?}");
    let (status, problem) =
        api.by(stranger).call(Method::GET, &format!("/meetups/{room}/messages"), None).await.expect("an answer");
    assert_eq!((status, problem["code"].as_str()), (StatusCode::FORBIDDEN, Some("not_a_member")), "{problem}");
    let nobody = Connection::greet(gateway, Greeting::Hello("not a token")).await.map(drop);
    assert!(matches!(nobody, Err(ConnectionError::Closed(close::UNAUTHENTICATED))), "{nobody:?}");
}

#[tokio::test]
async fn the_story_on_the_embedded_database() {
    tell_the_story(System::embedded().await).await;
}

#[tokio::test]
async fn the_story_on_mariadb_and_redis_with_two_gateways() {
    tell_the_story(System::production().await).await;
}

#[tokio::test]
async fn leaving_the_meetup_ends_the_chat_on_every_gateway() {
    let system = System::production().await;
    let api = system.api();
    let host = api.sign_up(&nickname("방장")).await.expect("signed up");
    let guest = api.sign_up(&nickname("손님")).await.expect("signed up");
    let room = api.by(&host).open_meetup("저녁 산책").await.expect("a meetup");
    api.by(&guest).join(room).await.expect("joined");
    let [gateway_a, gateway_b] = system.gateways();
    let (a, b) = (enter(&gateway_a, &host, room).await, enter(&gateway_b, &guest, room).await);
    api.by(&guest).delete(&format!("/meetups/{room}/membership")).await.expect("left");
    let left =
        |entry: &Entry| matches!(&entry.body, Body::Member { user, change: Change::Left } if user.id == guest.id);
    for client in [&a, &b] {
        let seen = |view: &View| view.rooms[&room].entries.iter().filter(|entry| left(entry)).count() >= 1;
        client.wait_for(PATIENCE, "the entry that tells of leaving", seen).await.expect("told");
    }
    let refused = b.send(room, "아직 있나요?").await.expect_err("no longer a member");
    assert!(matches!(refused, CommandError::Code(ErrorCode::NotJoined | ErrorCode::NotAMember)), "{refused}");
    a.send(room, "잘 가요").await.expect("acknowledged");
}

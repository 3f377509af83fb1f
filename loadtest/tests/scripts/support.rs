//! Runs scripts of tests, and targets that answer over real sockets and misbehave on purpose.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use loadtest::{
    metrics::Report,
    runner::{self, Settings, Stop},
    script::{Options, load},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc::{UnboundedSender, unbounded_channel},
    time::{Instant, sleep, sleep_until},
};
use tokio_tungstenite::{accept_async, tungstenite::Message};

/// Runs a script and returns its report.
pub(crate) async fn run(script: &str, settings: Settings) -> Report {
    run_with(script, settings, Options::default()).await
}

/// The same with options of the command line.
pub(crate) async fn run_with(script: &str, settings: Settings, options: Options) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("script.yml");
    std::fs::write(&path, script).unwrap();
    std::fs::write(folder.path().join("rows.csv"), "one\ntwo\nthree\n").unwrap();
    let loaded = load(&Options { scripts: vec![path], ..options }).unwrap_or_else(|error| panic!("{error}"));
    runner::run(Arc::new(loaded.plan), &settings, Arc::new(|_| {}), Stop::default()).await.unwrap()
}

/// An HTTP server that answers every request with 200, and remembers what was asked for.
pub(crate) struct HttpTarget {
    pub port: u16,
    pub paths: Arc<Mutex<Vec<String>>>,
}

impl HttpTarget {
    /// A server that stalls for `stall` before its answer number `stalled`, counted from 1.
    pub(crate) async fn start(stalled: u64, stall: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (paths, count) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU64::new(0)));
        let target = Self { port, paths: paths.clone() };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, paths.clone(), count.clone(), stalled, stall));
            }
        });
        target
    }
}

async fn answer(
    mut stream: TcpStream,
    paths: Arc<Mutex<Vec<String>>>,
    count: Arc<AtomicU64>,
    stalled: u64,
    stall: Duration,
) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = Vec::new();
    loop {
        while !buffer.windows(4).any(|window| window == b"\r\n\r\n") {
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let head = String::from_utf8(std::mem::take(&mut buffer)).unwrap();
        paths.lock().unwrap().push(head.split(' ').nth(1).unwrap().to_owned());
        if count.fetch_add(1, Ordering::Relaxed) + 1 == stalled {
            sleep(stall).await;
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n\r\nok";
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

/// What a chat server does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Every tenth delivery does not happen.
    Loss,
    /// Every tenth delivery happens twice.
    Duplicates,
    /// The third message of each sender comes after its fourth.
    Reordering,
    /// Every delivery is this late.
    Delay(Duration),
    /// After fifty deliveries nothing is delivered for this long.
    Stall(Duration),
}

/// A chat server with one room, whose messages everybody receives.
pub(crate) struct ChatTarget {
    pub port: u16,
    /// Faults that were made.
    pub faults: Arc<AtomicU64>,
}

struct Room {
    fault: Fault,
    faults: Arc<AtomicU64>,
    deliveries: u64,
    resumes: Option<Instant>,
    members: Vec<UnboundedSender<(Instant, Message)>>,
    /// Messages of each sender, and the one that is held back.
    senders: Vec<(u64, Option<Message>)>,
}

impl ChatTarget {
    pub(crate) async fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let faults = Arc::new(AtomicU64::new(0));
        let room = Room {
            fault,
            faults: faults.clone(),
            deliveries: 0,
            resumes: None,
            members: Vec::new(),
            senders: Vec::new(),
        };
        let room = Arc::new(Mutex::new(room));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(member(stream, room.clone()));
            }
        });
        Self { port, faults }
    }
}

async fn member(stream: TcpStream, room: Arc<Mutex<Room>>) {
    stream.set_nodelay(true).unwrap();
    let (mut sink, mut stream) = accept_async(stream).await.unwrap().split();
    let (sender, mut queue) = unbounded_channel();
    let index = {
        let mut room = room.lock().unwrap();
        room.members.push(sender);
        room.senders.push((0, None));
        room.members.len() - 1
    };
    tokio::spawn(async move {
        while let Some((at, message)) = queue.recv().await {
            sleep_until(at).await;
            if sink.send(message).await.is_err() {
                return;
            }
        }
    });
    while let Some(Ok(message)) = stream.next().await {
        match message {
            Message::Text(_) => room.lock().unwrap().take(index, message),
            Message::Close(_) => {}
            _ => continue,
        }
    }
}

impl Room {
    fn take(&mut self, sender: usize, message: Message) {
        let (count, held) = &mut self.senders[sender];
        *count += 1;
        if self.fault == Fault::Reordering && *count == 3 {
            *held = Some(message);
            return;
        }
        let held = held.take();
        self.deliver(&message);
        if let Some(held) = held {
            self.faults.fetch_add(self.members.len() as u64, Ordering::Relaxed);
            self.deliver(&held);
        }
    }

    fn deliver(&mut self, message: &Message) {
        for member in &self.members {
            self.deliveries += 1;
            let is_tenth = self.deliveries.is_multiple_of(10);
            let mut at = Instant::now();
            let mut copies = 1;
            match self.fault {
                Fault::Loss if is_tenth => copies = 0,
                Fault::Duplicates if is_tenth => copies = 2,
                Fault::Delay(delay) => at += delay,
                Fault::Stall(stall) => {
                    if self.deliveries == 50 {
                        self.resumes = Some(at + stall);
                    }
                    at = self.resumes.map_or(at, |resumes| at.max(resumes));
                }
                _ => {}
            }
            if copies != 1 {
                self.faults.fetch_add(1, Ordering::Relaxed);
            }
            for _ in 0..copies {
                // A member that has gone receives nothing.
                member.send((at, message.clone())).unwrap_or_default();
            }
        }
    }
}

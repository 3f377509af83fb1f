//! A TCP proxy that can cut, freeze and refuse: what networks do, on purpose.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

/// Which of the connections to Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// Those on which something was subscribed to.
    Subscribers,
    /// The others.
    Commands,
}

impl Which {
    const fn takes(self, subscriber: bool) -> bool {
        match self {
            Self::All => true,
            Self::Subscribers => subscriber,
            Self::Commands => !subscriber,
        }
    }
}

/// What happens to the connections: a number that changes means "cut".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Weather {
    cuts: [u64; 2],
    frozen: [bool; 2],
    /// Connections up to this number forward nothing any more.
    stranded: [u64; 2],
}

impl Weather {
    const fn stops(&self, kind: usize, number: u64) -> bool {
        self.frozen[kind] || number <= self.stranded[kind]
    }
}

/// A proxy on a free port of 127.0.0.1. It ends, with every connection, when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    refusing: Arc<AtomicBool>,
    accepted: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Starts one before `target`.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (weather, forecast) = watch::channel(Weather::default());
        let refusing = Arc::new(AtomicBool::new(false));
        let accepted = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, target, forecast, Arc::clone(&refusing), Arc::clone(&accepted)));
        Ok(Self { address, weather, refusing, accepted, _tasks: tasks })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Cuts connections; new ones are taken.
    pub fn cut(&self, which: Which) {
        self.change(which, |weather, kind| weather.cuts[kind] += 1);
    }

    /// Stops or goes on forwarding; connections stay open and silent meanwhile.
    pub fn freeze(&self, which: Which, frozen: bool) {
        self.change(which, |weather, kind| weather.frozen[kind] = frozen);
    }

    /// Stops forwarding for good on the connections that are open now; new ones work.
    pub fn strand(&self, which: Which) {
        let newest = self.accepted();
        self.change(which, |weather, kind| weather.stranded[kind] = newest);
    }

    /// Closes new connections at once, or takes them again.
    pub fn refuse(&self, refusing: bool) {
        self.refusing.store(refusing, Ordering::SeqCst);
    }

    fn change(&self, which: Which, mut change: impl FnMut(&mut Weather, usize)) {
        self.weather.send_modify(|weather| {
            for subscriber in [false, true].into_iter().filter(|subscriber| which.takes(*subscriber)) {
                change(weather, usize::from(subscriber));
            }
        });
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    weather: watch::Receiver<Weather>,
    refusing: Arc<AtomicBool>,
    accepted: Arc<AtomicU64>,
) {
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let number = accepted.fetch_add(1, Ordering::SeqCst) + 1;
        if !refusing.load(Ordering::SeqCst) {
            connections.spawn(carry(number, client, target, weather.clone()));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn carry(number: u64, client: TcpStream, target: SocketAddr, weather: watch::Receiver<Weather>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    // The proxy must not add delays of its own; where it cannot be switched off, it only adds some.
    drop((client.set_nodelay(true), server.set_nodelay(true)));
    let subscriber = Arc::new(AtomicBool::new(false));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let there = forward(number, from_client, to_server, weather.clone(), Arc::clone(&subscriber), true);
    let back = forward(number, from_server, to_client, weather.clone(), Arc::clone(&subscriber), false);
    tokio::select! {
        _ = there => {}
        _ = back => {}
        () = until_cut(weather, subscriber) => {}
    }
}

async fn forward(
    number: u64,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
    subscriber: Arc<AtomicBool>,
    watching: bool,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        if watching && buffer[..length].windows(9).any(|word| word.eq_ignore_ascii_case(b"SUBSCRIBE")) {
            subscriber.store(true, Ordering::SeqCst);
        }
        let frozen = |weather: &Weather| weather.stops(usize::from(subscriber.load(Ordering::SeqCst)), number);
        drop(weather.wait_for(|weather| !frozen(weather)).await);
        to.write_all(&buffer[..length]).await?;
    }
}

async fn until_cut(mut weather: watch::Receiver<Weather>, subscriber: Arc<AtomicBool>) {
    let before = weather.borrow().cuts;
    let kind = || usize::from(subscriber.load(Ordering::SeqCst));
    drop(weather.wait_for(|weather| weather.cuts[kind()] != before[kind()]).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_forwards_until_it_is_told_to_cut() {
        let echo = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let target = echo.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((socket, _)) = echo.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = socket.into_split();
                    tokio::io::copy(&mut read, &mut write).await
                });
            }
        });
        let proxy = Proxy::start(target).await.expect("a proxy");
        let mut answer = [0; 9];
        let mut commands = TcpStream::connect(proxy.address()).await.expect("connected");
        commands.write_all(b"PING PING").await.expect("sent");
        commands.read_exact(&mut answer).await.expect("echoed");
        let mut subscriber = TcpStream::connect(proxy.address()).await.expect("connected");
        subscriber.write_all(b"subscribe").await.expect("sent");
        subscriber.read_exact(&mut answer).await.expect("echoed");
        proxy.cut(Which::Subscribers);
        assert_eq!(subscriber.read(&mut answer).await.unwrap_or(0), 0, "cut");
        commands.write_all(b"still up!").await.expect("sent");
        commands.read_exact(&mut answer).await.expect("echoed");
        assert_eq!(&answer, b"still up!");
    }
}

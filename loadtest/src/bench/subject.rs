//! Subject of a measurement: the floor, this service, or a peer, started for it and ended with it.

use std::{path::PathBuf, sync::Arc};

use tokio::{net::TcpStream, process::Command};

use crate::{
    chat::{Member, Room, arrivals::Arrivals, load::Scene, protocol::Protocol, strangers},
    failure::{Failure, Outcome},
    process::Meter,
    servers::{Peer, Program, Redis, Sync, free_port},
    system::{self, System},
};

/// Settings under which a measurement is not stopped by a limit that is meant for people.
pub const UNLIMITED: [(&str, &str); 4] = [
    ("COMMANDS_PER_SECOND", "1000000"),
    ("COMMAND_BURST", "1000000"),
    ("HANDSHAKES_PER_SECOND", "1000000"),
    ("ACCESS_TOKEN_TTL", "86400000"),
];

/// What is measured.
#[derive(Clone, Debug)]
pub enum Subject {
    /// Raw writes at these arrivals.
    Floor(Arrivals),
    /// This service: a gateway, the REST service, MariaDB and Redis.
    Mingizuk,
    /// Another chat server.
    Peer(Arc<Peer>),
}

/// The size of what is measured.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Rooms.
    pub rooms: usize,
    /// Members of each.
    pub members: usize,
    /// Messages a second in each room: the floor writes by itself.
    pub rate: f64,
    /// Seed of the times.
    pub seed: u64,
}

/// How subjects are started.
#[derive(Clone, Debug)]
pub struct Starter {
    /// The program `mingizuk`.
    pub mingizuk: PathBuf,
    /// Gateways to start.
    pub gateways: usize,
    /// Settings of the services, without the prefix.
    pub settings: Vec<(String, String)>,
}

/// A running subject. Its processes end with it.
#[derive(Debug)]
pub struct Running {
    /// How it is reached.
    pub scene: Scene,
    /// Its processes, in the groups `server`, `redis` and `database`.
    pub meter: Meter,
    /// The rooms as the service knows them; empty for the floor and peers.
    pub people: Vec<system::Room>,
    /// This service, if it was started for this.
    pub system: Option<System>,
    _programs: Vec<Program>,
    _redis: Option<Redis>,
    _folder: Option<tempfile::TempDir>,
}

impl Subject {
    /// What reports call it.
    pub fn name(&self) -> &str {
        match self {
            Self::Floor(Arrivals::Together) => "raw writes, together",
            Self::Floor(_) => "raw writes, independent",
            Self::Mingizuk => "mingizuk",
            Self::Peer(peer) => &peer.description.name,
        }
    }

    /// Whether figures are given as a ratio to it.
    pub const fn is_floor(&self) -> bool {
        matches!(self, Self::Floor(_))
    }
}

impl Starter {
    /// Starts a subject for rooms of this shape.
    ///
    /// # Errors
    /// When a part does not become ready.
    pub async fn start(&self, subject: &Subject, shape: Shape) -> Outcome<Running> {
        match subject {
            Subject::Floor(arrivals) => floor(*arrivals, shape).await,
            Subject::Peer(peer) => start_peer(peer, shape).await,
            Subject::Mingizuk => {
                let settings = UNLIMITED.iter().copied();
                let more = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                let settings: Vec<(&str, &str)> = settings.chain(more).collect();
                let system = System::start(&self.mingizuk, self.gateways, Sync::EverySecond, &settings).await?;
                let rooms = system.populate(shape.rooms, shape.members).await?;
                of_system(system, rooms)
            }
        }
    }
}

/// A running system and the rooms that it has.
///
/// # Errors
/// When a process has ended.
pub fn of_system(mut system: System, people: Vec<system::Room>) -> Outcome<Running> {
    let addresses = system.gateway_urls()?.iter().map(|url| address(url)).collect();
    let mut meter =
        Meter::default().with("redis", system.redis.pid()?).with("database", system.mariadb.program().pid()?);
    for gateway in &mut system.gateways {
        meter = meter.with("server", gateway.program().pid()?);
    }
    let protocol = Arc::new(Protocol::mingizuk());
    let scene = Scene { protocol, addresses, rooms: people.iter().map(seats).collect() };
    Ok(Running { scene, meter, people, system: Some(system), _programs: Vec::new(), _redis: None, _folder: None })
}

/// The `host:port` of a gateway's URL.
pub fn address(url: &str) -> String {
    url.replace("ws://", "").replace("/ws", "")
}

/// A room as the load generator knows it.
pub fn seats(room: &system::Room) -> Room {
    let member = |user: &crate::rest::User| Member { name: user.nickname.clone(), token: user.token.clone() };
    Room { id: room.id.to_string(), members: room.members.iter().map(member).collect() }
}

async fn floor(arrivals: Arrivals, shape: Shape) -> Outcome<Running> {
    let folder = tempfile::Builder::new().prefix("mingizuk-floor-").tempdir()?;
    let port = free_port()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("floor");
    for (name, value) in [
        ("--port", port.to_string()),
        ("--rooms", shape.rooms.to_string()),
        ("--connections", (shape.rooms * shape.members).to_string()),
        ("--rate", shape.rate.to_string()),
        ("--seed", shape.seed.to_string()),
        ("--arrivals", if arrivals == Arrivals::Together { "together" } else { "poisson" }.to_owned()),
    ] {
        command.arg(name).arg(value);
    }
    let mut program = Program::start(command, "floor", folder.path())?;
    program.until_ready(async || TcpStream::connect(("127.0.0.1", port)).await.map(drop)).await?;
    let protocol: Protocol = toml::from_str("path = '/{room}'")?;
    let mut rooms = strangers(shape.rooms, shape.members);
    for (index, room) in rooms.iter_mut().enumerate() {
        room.id = index.to_string();
    }
    let scene = Scene { protocol: Arc::new(protocol), addresses: vec![format!("127.0.0.1:{port}")], rooms };
    let meter = Meter::default().with("server", program.pid()?);
    Ok(Running {
        scene,
        meter,
        people: Vec::new(),
        system: None,
        _programs: vec![program],
        _redis: None,
        _folder: Some(folder),
    })
}

async fn start_peer(peer: &Peer, shape: Shape) -> Outcome<Running> {
    peer.install().await?;
    let folder = tempfile::Builder::new().prefix("mingizuk-peer-").tempdir()?;
    let redis = Redis::start(Sync::EverySecond).await?;
    let (program, port) = peer.start(&redis.url(), folder.path()).await?;
    let scene = Scene {
        protocol: Arc::new(peer.description.protocol.clone()),
        addresses: vec![format!("127.0.0.1:{port}")],
        rooms: strangers(shape.rooms, shape.members),
    };
    let meter = Meter::default().with("server", program.pid()?).with("redis", redis.pid()?);
    Ok(Running {
        scene,
        meter,
        people: Vec::new(),
        system: None,
        _programs: vec![program],
        _redis: Some(redis),
        _folder: Some(folder),
    })
}

impl Running {
    /// Servers that were started elsewhere and go on running.
    pub const fn elsewhere(scene: Scene, people: Vec<system::Room>, meter: Meter) -> Self {
        Self { scene, meter, people, system: None, _programs: Vec::new(), _redis: None, _folder: None }
    }

    /// The service.
    ///
    /// # Errors
    /// When this is a floor or a peer.
    pub fn system(&mut self) -> Outcome<&mut System> {
        self.system.as_mut().ok_or_else(|| Failure::new("this is not the service"))
    }
}

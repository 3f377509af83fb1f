//! Accepting connections, what they share, and stopping.

use std::{
    io,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use common::{
    batch::BatchLoader,
    bootstrap::Backends,
    config::Config,
    ids::IdSource,
    membership::{self, Standing},
    ops::Ops,
    rooms::{RoomStore, SessionChange},
    time::Clock,
    tokens::AccessTokens,
};
use dashmap::DashMap;
use futures_util::{StreamExt, stream};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_tungstenite::tungstenite::{
    handshake::server::{ErrorResponse, Request, Response},
    http::{HeaderValue, StatusCode, header},
    protocol::WebSocketConfig,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;
use wire::{ErrorCode, Frame, Limits, Person, SUBPROTOCOL, close};

use crate::{
    connection::Connection,
    frame,
    hub::Hub,
    metrics::Metrics,
    queue::{Closing, Queue},
    session,
    socket::Socket,
};

/// The path of the socket.
const PATH: &str = "/ws";
/// How long the upgrade may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes that the kernel holds for a connection and cannot send yet, at most.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 128 * 1024;
/// Allocated for each connection, and read at a time; most commands are smaller.
const READ_BUFFER: usize = 1024;
/// Sessions checked at a time, at most.
const CHECKS: usize = 64;
/// Into how many stages a stopping process divides its connections, and the time between two of them.
const STAGES: u32 = 20;
const STAGE: Duration = Duration::from_millis(100);
/// Clients told to reconnect spread over this time.
const RECONNECT_SPREAD_MS: u64 = 3_000;

/// What the connections of a process share.
pub struct Gateway {
    /// The effective configuration.
    pub config: Arc<Config>,
    /// How a user stands to a meetup: asked for with both.
    pub standings: BatchLoader<(Uuid, Uuid), Standing>,
    /// The person of a session, while it may be used: asked for with its user and itself.
    pub sessions: BatchLoader<(Uuid, Uuid), Option<Person>>,
    /// The room log.
    pub rooms: Arc<dyn RoomStore>,
    /// Verifies access tokens.
    pub tokens: AccessTokens,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Names connections.
    pub ids: Arc<dyn IdSource>,
    /// The open rooms.
    pub hub: Arc<Hub>,
    /// What is counted.
    pub metrics: Metrics,
    connections: DashMap<Uuid, Arc<Connection>>,
    /// How often sessions have ended.
    session_changes: AtomicU64,
    /// Whether the process stops.
    stopping: AtomicBool,
    /// The connections of each user.
    users: DashMap<Uuid, Vec<Uuid>>,
}

/// A connection that is known until this is dropped.
pub struct Registered {
    gateway: Arc<Gateway>,
    connection: Uuid,
    user: Uuid,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.gateway.connections.remove(&self.connection);
        if let Some(mut connections) = self.gateway.users.get_mut(&self.user) {
            connections.retain(|connection| *connection != self.connection);
        }
        self.gateway.users.remove_if(&self.user, |_, connections| connections.is_empty());
        self.gateway.metrics.connections.dec();
    }
}

impl Gateway {
    fn new(backends: &Backends, metrics: Metrics) -> Arc<Self> {
        let (standings, sessions) = (backends.db.clone(), backends.db.clone());
        Arc::new(Self {
            config: Arc::clone(&backends.config),
            standings: BatchLoader::new(move |keys| {
                let db = standings.clone();
                async move { membership::standings(&db, &keys).await }
            }),
            sessions: BatchLoader::new(move |keys| {
                let db = sessions.clone();
                async move { membership::people_of_sessions(&db, &keys).await }
            }),
            rooms: Arc::clone(&backends.rooms),
            tokens: backends.tokens.clone(),
            clock: Arc::clone(&backends.env.clock),
            ids: Arc::clone(&backends.env.ids),
            hub: Arc::new(Hub::new(Arc::clone(&backends.rooms), metrics.clone(), backends.config.big_room)),
            metrics,
            connections: DashMap::new(),
            session_changes: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            users: DashMap::new(),
        })
    }

    /// Makes a connection known, so that it can be told to go.
    pub fn register(self: &Arc<Self>, connection: &Arc<Connection>) -> Registered {
        let (id, user) = (connection.id, connection.person.id);
        self.connections.insert(id, Arc::clone(connection));
        self.users.entry(user).or_default().push(id);
        self.metrics.connections.inc();
        Registered { gateway: Arc::clone(self), connection: id, user }
    }

    /// How often sessions have ended: if that is more than before a session was looked up, its connection, once registered, must
    /// be checked again.
    pub fn session_changes(&self) -> u64 {
        self.session_changes.load(Ordering::SeqCst)
    }

    /// Closes the connections whose session has ended, whenever sessions end.
    async fn watch_sessions(&self) {
        let mut changes = self.rooms.session_changes();
        while let Some(change) = changes.next().await {
            // Counted first: who registers from now on sees it, who has registered is found below.
            self.session_changes.fetch_add(1, Ordering::SeqCst);
            let connections: Vec<Uuid> = match change {
                SessionChange::Of(user) => {
                    self.users.get(&user).map(|connections| connections.clone()).unwrap_or_default()
                }
                SessionChange::Anyone => self.connections.iter().map(|entry| *entry.key()).collect(),
            };
            let checks = connections.into_iter().map(|connection| self.check_session(connection));
            stream::iter(checks).buffer_unordered(CHECKS).collect::<()>().await;
        }
    }

    /// Closes a connection if its session has ended.
    pub async fn check_session(&self, id: Uuid) {
        let Some(connection) = self.connections.get(&id).map(|connection| Arc::clone(&connection)) else { return };
        match self.sessions.get((connection.person.id, connection.session())).await {
            Ok(Some(_)) => {}
            Ok(None) => connection.queue.close(Closing { code: close::FORBIDDEN, reason: "the session has ended" }),
            // Its token expires soon enough.
            Err(error) => tracing::warn!(%error, connection = %id, "a session could not be checked"),
        }
    }

    /// The first frame of an authenticated connection.
    pub fn welcome(&self, connection: &Connection) -> Frame {
        let config = &self.config;
        Frame::Welcome {
            connection: connection.id,
            user: connection.person.clone(),
            heartbeat_ms: u64::try_from(config.heartbeat.as_millis()).unwrap_or(u64::MAX),
            token_expires_at: connection.token_expires_at(),
            limits: Limits {
                text_chars: config.message_chars,
                frame_bytes: config.frame_bytes,
                commands_per_second: config.commands_per_second,
                command_burst: config.command_burst,
                connections_per_user: config.connections_per_user,
                rooms_per_connection: config.rooms_per_connection,
                queue_bytes: config.queue_bytes,
                queue_frames: config.queue_frames,
            },
        }
    }

    /// Sends a connection away that was registered too late to be sent away with the others.
    pub fn send_away_if_stopping(&self, queue: &Queue) {
        if self.stopping.load(Ordering::SeqCst) {
            send_one_away(queue);
        }
    }

    /// Counts an error that was answered.
    pub fn count_error(&self, code: ErrorCode) {
        self.metrics.errors.with_label_values(&[code.as_str()]).inc();
    }

    /// Tells every connection to reconnect, each at its own time, and closes them stage by stage, so that neither this
    /// process nor the next one meets all of them at once.
    async fn send_away(&self) {
        // Whoever registers from now on is sent away at once.
        self.stopping.store(true, Ordering::SeqCst);
        let queues: Vec<Arc<Queue>> = self.connections.iter().map(|entry| Arc::clone(&entry.queue)).collect();
        let stage_size = queues.len().div_ceil(STAGES as usize).max(1);
        for stage in queues.chunks(stage_size) {
            stage.iter().for_each(|queue| send_one_away(queue));
            if queues.len() > stage_size {
                tokio::time::sleep(STAGE).await;
            }
        }
    }
}

/// Tells a connection to reconnect at a time of its own, and closes it.
fn send_one_away(queue: &Queue) {
    let after_ms = rand::random_range(0..=RECONNECT_SPREAD_MS);
    queue.reply(frame::encode(&Frame::Reconnect { after_ms }));
    queue.close(Closing { code: close::RESTART, reason: "restarting" });
}

/// Serves chat on `listener` and operations on `ops_listener` until `stop`, then sends every connection away and waits until
/// what is under way is finished, at most `shutdown_timeout`.
///
/// # Errors
/// When a listener breaks or a metric cannot be registered.
pub async fn launch(
    backends: Backends,
    listener: TcpListener,
    ops_listener: TcpListener,
    stop: CancellationToken,
) -> io::Result<()> {
    let ops = Ops::new(backends.db.clone(), Arc::clone(&backends.rooms));
    let gateway = Gateway::new(&backends, Metrics::register(ops.registry()).map_err(io::Error::other)?);
    let ops_stop = CancellationToken::new();
    let ops_server = tokio::spawn(ops.clone().serve(ops_listener, ops_stop.clone()));
    let sessions = TaskTracker::new();
    tokio::select! {
        () = stop.cancelled() => {}
        () = accept(&gateway, &listener, &sessions) => {}
        () = gateway.watch_sessions() => {}
    }
    ops.drain();
    drop(listener);
    let drained = async {
        gateway.send_away().await;
        sessions.close();
        sessions.wait().await;
    };
    if tokio::time::timeout(gateway.config.shutdown_timeout, drained).await.is_err() {
        tracing::warn!(left = sessions.len(), "some connections did not end in time");
    }
    ops_stop.cancel();
    ops_server.await.map_err(io::Error::other)?
}

async fn accept(gateway: &Arc<Gateway>, listener: &TcpListener, sessions: &TaskTracker) {
    let places = Arc::new(Semaphore::new(gateway.config.connections));
    let rate = NonZeroU32::new(gateway.config.handshakes_per_second).unwrap_or(NonZeroU32::MIN);
    let handshakes = RateLimiter::direct(Quota::per_second(rate));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => admit(gateway, stream, &places, &handshakes, sessions),
            Err(error) => {
                // Most likely too many open files: those that are open will end.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn admit(
    gateway: &Arc<Gateway>,
    stream: TcpStream,
    places: &Arc<Semaphore>,
    handshakes: &DefaultDirectRateLimiter,
    sessions: &TaskTracker,
) {
    let place = Arc::clone(places).try_acquire_owned();
    match place {
        Ok(place) if handshakes.check().is_ok() => {
            sessions.spawn(serve(Arc::clone(gateway), stream, place));
        }
        _ => {
            sessions.spawn(turn_away(stream));
        }
    }
}

/// Over a limit of the process: an answer that load balancers and clients understand, without reading the request.
async fn turn_away(mut stream: TcpStream) {
    const BUSY: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    drop(tokio::time::timeout(HANDSHAKE_TIMEOUT, stream.write_all(BUSY)).await);
}

/// Sets what makes a connection quick, and what keeps a slow one small; a connection works without, too.
fn tune(stream: &TcpStream) {
    drop(stream.set_nodelay(true));
    // Otherwise the kernel takes megabytes for each reader that has stopped reading, before its queue begins to fill.
    #[cfg(target_os = "linux")]
    drop(socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES));
}

async fn serve(gateway: Arc<Gateway>, stream: TcpStream, _place: OwnedSemaphorePermit) {
    tune(&stream);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(gateway.config.frame_bytes))
        .max_frame_size(Some(gateway.config.frame_bytes));
    let mut token = None;
    #[expect(clippy::result_large_err, reason = "the type is tungstenite's")]
    let check = |request: &Request, mut response: Response| match check_upgrade(request, &mut response, &mut token) {
        Ok(()) => Ok(response),
        Err((status, reason)) => {
            let mut refusal = ErrorResponse::new(Some(reason.to_owned()));
            *refusal.status_mut() = status;
            Err(refusal)
        }
    };
    let (reads, writes) = stream.into_split();
    let queue = Arc::new(Queue::new(writes, gateway.config.queue_frames, gateway.config.queue_bytes));
    let upgrade = Socket::accept(reads, Arc::clone(&queue), check, config);
    if let Ok(Ok(socket)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, Box::pin(upgrade)).await {
        session::run(gateway, socket, queue, token).await;
    }
}

/// Why an upgrade is refused: a status and a sentence.
type Refused = (StatusCode, &'static str);

fn check_upgrade(request: &Request, response: &mut Response, token: &mut Option<String>) -> Result<(), Refused> {
    if request.uri().path() != PATH {
        return Err((StatusCode::NOT_FOUND, "the socket is at /ws"));
    }
    let header = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if let Some(offered) = header(header::SEC_WEBSOCKET_PROTOCOL) {
        if !offered.split(',').any(|protocol| protocol.trim() == SUBPROTOCOL) {
            return Err((StatusCode::BAD_REQUEST, "the subprotocol is mingizuk.v1"));
        }
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    if let Some(authorization) = header(header::AUTHORIZATION) {
        // Schemes have no case: RFC 9110, section 11.1.
        let bearer = authorization.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let Some((_, bearer)) = bearer else {
            return Err((StatusCode::UNAUTHORIZED, "the authorization must be a bearer token"));
        };
        *token = Some(bearer.trim().to_owned());
    }
    Ok(())
}

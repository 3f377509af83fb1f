//! Life of a service process: bind, connect, report readiness, stop gracefully.

use std::{io, net::SocketAddr, time::Duration};

use common::{
    bootstrap::{Backends, Shape, StartError},
    config::{Config, ConfigError},
    ids::Env,
    telemetry,
};
use tokio::{
    net::{TcpListener, TcpSocket},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    limits,
    lock::{self, LockError},
    output::print,
    signals,
};

/// Time that services get beyond their own stop timeout before the process ends.
const GRACE: Duration = Duration::from_secs(5);

/// Listen backlog: all clients may reconnect at once. The kernel may allow fewer (`net.core.somaxconn`); when it is
/// full, clients retransmit after 1, 2, 4 s.
const BACKLOG: u32 = 4_096;

/// Which services a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Services {
    Both,
    Api,
    Gateway,
}

/// Why services did not start, or ended without being asked to: one sentence.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot listen on {address} ({variable}): {error}")]
    Listen { variable: &'static str, address: SocketAddr, error: io::Error },
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("a listener broke: {0}")]
    Broken(io::Error),
    #[error("cannot watch for signals: {0}")]
    Signals(io::Error),
    #[error("a service ended unexpectedly: {0}")]
    Panicked(String),
    #[error("the services did not stop within {} s", .0.as_secs())]
    Stuck(Duration),
}

impl From<ConfigError> for ServeError {
    fn from(error: ConfigError) -> Self {
        Self::Start(error.into())
    }
}

/// The public listener of a service and the one for operations.
struct Listeners {
    public: TcpListener,
    ops: TcpListener,
}

impl Listeners {
    fn bind(public: (&'static str, SocketAddr), ops: (&'static str, SocketAddr)) -> Result<Self, ServeError> {
        Ok(Self { public: bind(public)?, ops: bind(ops)? })
    }

    fn addresses(&self) -> Result<(SocketAddr, SocketAddr), ServeError> {
        let address = |listener: &TcpListener| listener.local_addr().map_err(ServeError::Broken);
        Ok((address(&self.public)?, address(&self.ops)?))
    }
}

fn bind((variable, address): (&'static str, SocketAddr)) -> Result<TcpListener, ServeError> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A restart must not wait for connections of the previous process in TIME_WAIT.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|error| ServeError::Listen { variable, address, error })
}

/// Runs `services` until a signal asks to stop and everything under way is finished.
///
/// # Errors
/// [`ServeError`]; one that concerns the start comes within 5 s.
pub(crate) async fn serve(config: Config, services: Services) -> Result<(), ServeError> {
    telemetry::init(&config)?;
    limits::raise_open_files();
    let stop = signals::stop_token().map_err(ServeError::Signals)?;
    // Ports first: a second instance must fail on them before it touches the database.
    let api = match services {
        Services::Gateway => None,
        _ => Some(Listeners::bind(
            ("MINGIZUK_API_ADDR", config.api_addr),
            ("MINGIZUK_API_OPS_ADDR", config.api_ops_addr),
        )?),
    };
    let gateway = match services {
        Services::Api => None,
        _ => Some(Listeners::bind(
            ("MINGIZUK_GATEWAY_ADDR", config.gateway_addr),
            ("MINGIZUK_GATEWAY_OPS_ADDR", config.gateway_ops_addr),
        )?),
    };
    let shape = if services == Services::Both { Shape::AllInOne } else { Shape::Separate };
    let stop_timeout = config.shutdown_timeout + GRACE;
    let _locked = lock::database(&config.database_url)?;
    let backends = tokio::select! {
        backends = Backends::connect(config, shape, Env::default()) => backends?,
        () = stop.cancelled() => return Ok(()),
    };
    let ready = ready_line(api.as_ref(), gateway.as_ref())?;
    let mut running = JoinSet::new();
    if let Some(Listeners { public, ops }) = api {
        running.spawn(api::launch(backends.clone(), public, ops, stop.clone()));
    }
    if let Some(Listeners { public, ops }) = gateway {
        running.spawn(gateway::launch(backends.clone(), public, ops, stop.clone()));
    }
    print(&ready);
    let outcome = finish(running, stop, stop_timeout).await;
    if tokio::time::timeout(GRACE, backends.close()).await.is_err() {
        tracing::warn!("closing the backends timed out");
    }
    outcome
}

/// Waits for every service. If one fails, the others are stopped gracefully.
async fn finish(
    mut running: JoinSet<io::Result<()>>,
    stop: CancellationToken,
    stop_timeout: Duration,
) -> Result<(), ServeError> {
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(stop_timeout).await;
    };
    tokio::pin!(overdue);
    let mut outcome = Ok(());
    loop {
        let ended = tokio::select! {
            ended = running.join_next() => ended,
            () = &mut overdue => return Err(ServeError::Stuck(stop_timeout)),
        };
        let failed = match ended {
            None => return outcome,
            Some(Ok(Ok(()))) => continue,
            Some(Ok(Err(error))) => ServeError::Broken(error),
            Some(Err(error)) => ServeError::Panicked(error.to_string()),
        };
        stop.cancel();
        outcome = outcome.and(Err(failed));
    }
}

/// Line printed once the process accepts connections. Programs may parse it.
fn ready_line(api: Option<&Listeners>, gateway: Option<&Listeners>) -> Result<String, ServeError> {
    let (mut parts, mut operations) = (Vec::new(), Vec::new());
    if let Some(api) = api {
        let (public, ops) = api.addresses()?;
        parts.push(format!("api http://{public} (docs http://{public}/docs)"));
        operations.push(format!("api operations http://{ops}"));
    }
    if let Some(gateway) = gateway {
        let (public, ops) = gateway.addresses()?;
        parts.push(format!("gateway ws://{public}/ws"));
        operations.push(format!("gateway operations http://{ops}"));
    }
    parts.append(&mut operations);
    Ok(format!("mingizuk ready: {}", parts.join(", ")))
}

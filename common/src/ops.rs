//! Operations listener: liveness, readiness and Prometheus metrics, on a port that is not exposed to the public.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use poem::{
    EndpointExt, IntoResponse, Response, Route, Server, get, handler, http::StatusCode, listener::TcpAcceptor,
    web::Data,
};
use prometheus::{IntGauge, Registry, TextEncoder};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    db::Db,
    rooms::{Health, RoomStore},
};

/// A check that takes longer counts as failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// What the operations listener tells about a service. Cheap to clone.
#[derive(Clone)]
pub struct Ops {
    db: Db,
    rooms: Arc<dyn RoomStore>,
    registry: Registry,
    tasks: Option<IntGauge>,
    draining: Arc<AtomicBool>,
}

/// The answer of `/readyz`: `ok`, or what is wrong, for each thing the service needs. A service whose room log is only
/// degraded is ready: it serves the other rooms.
#[derive(Clone, Debug, Serialize)]
pub struct Readiness {
    /// Whether the service should get traffic.
    pub ready: bool,
    /// The relational database.
    pub database: String,
    /// The room log and its live stream; begins with `degraded` when some rooms can be used.
    pub rooms: String,
    /// Whether the service is stopping.
    pub draining: bool,
}

impl Ops {
    /// Watches over `db` and `rooms`.
    pub fn new(db: Db, rooms: Arc<dyn RoomStore>) -> Self {
        let registry = Registry::new();
        let tasks = IntGauge::new("mingizuk_tasks", "Tasks of the process now").ok();
        let tasks = tasks.filter(|tasks| registry.register(Box::new(tasks.clone())).is_ok());
        Self { db, rooms, registry, tasks, draining: Arc::default() }
    }

    /// What is counted, as Prometheus reads it.
    fn metrics(&self) -> Result<String, prometheus::Error> {
        if let Some(tasks) = &self.tasks {
            let alive = tokio::runtime::Handle::current().metrics().num_alive_tasks();
            tasks.set(i64::try_from(alive).unwrap_or(i64::MAX));
        }
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// Where the service registers its metrics.
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Turns readiness red for good: the service is stopping.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Asks everything the service needs to do what it does for a request: the database writes, the room log answers.
    pub async fn readiness(&self) -> Readiness {
        let (database, rooms) = tokio::join!(
            tokio::time::timeout(CHECK_TIMEOUT, self.db.try_write()),
            tokio::time::timeout(CHECK_TIMEOUT, self.rooms.health()),
        );
        let late = || format!("no answer within {} s", CHECK_TIMEOUT.as_secs());
        let database = match database {
            Ok(Ok(())) => "ok".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => late(),
        };
        let (usable, rooms) = match rooms.unwrap_or_else(|_| Health::Down(late())) {
            Health::Ok => (true, "ok".to_owned()),
            Health::Degraded(why) => (true, format!("degraded: {why}")),
            Health::Down(why) => (false, why),
        };
        let draining = self.draining.load(Ordering::SeqCst);
        Readiness { ready: database == "ok" && usable && !draining, database, rooms, draining }
    }

    /// Serves `/healthz`, `/readyz` and `/metrics` on `listener` until `stop`.
    ///
    /// # Errors
    /// When the listener breaks.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> std::io::Result<()> {
        let app = Route::new()
            .at("/healthz", get(healthz))
            .at("/readyz", get(readyz))
            .at("/metrics", get(metrics))
            .data(self);
        let acceptor = TcpAcceptor::from_tokio(listener)?;
        Server::new_with_acceptor(acceptor)
            .run_with_graceful_shutdown(app, stop.cancelled_owned(), Some(CHECK_TIMEOUT))
            .await
    }
}

#[handler]
fn healthz() -> &'static str {
    "ok"
}

#[handler]
async fn readyz(ops: Data<&Ops>) -> Response {
    let readiness = ops.readiness().await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    poem::web::Json(readiness).with_status(status).into_response()
}

#[handler]
fn metrics(ops: Data<&Ops>) -> Response {
    match ops.metrics() {
        Ok(text) => Response::builder().content_type("text/plain; version=0.0.4; charset=utf-8").body(text),
        Err(error) => Response::builder().status(StatusCode::INTERNAL_SERVER_ERROR).body(error.to_string()),
    }
}

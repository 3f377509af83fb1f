//! HTTP server of the REST service: routes, middleware, start and graceful stop.

use std::{collections::HashSet, io, sync::Arc, time::Instant};

use common::{bootstrap::Backends, ops::Ops};
use poem::{
    Endpoint, EndpointExt, IntoEndpoint, IntoResponse, Request, Response, Route, Server,
    error::{MethodNotAllowedError, NotFoundError},
    http::{HeaderName, HeaderValue, StatusCode, header},
    listener::TcpAcceptor,
};
use poem_openapi::{
    OpenApi, OpenApiService, OperationId,
    error::{AuthorizationError, ContentTypeError, ParseParamError, ParsePathError},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    actions, auth, comments,
    context::Context,
    cors::{self, Origins},
    docs, feeds, history,
    idle_timeout::IdleTimeout,
    jobs, likes, me, meetups,
    metrics::Metrics,
    monsters, page, places,
    problem::{Code, Failure, Language},
    room, routines,
    tags::BASE,
    today, workouts,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Characters of a request id that a client may choose, at most.
const MAX_REQUEST_ID: usize = 64;

fn service() -> OpenApiService<impl OpenApi, ()> {
    let api = (
        auth::endpoints::Endpoints,
        me::endpoints::Endpoints,
        (
            meetups::endpoints::Endpoints,
            meetups::mine::endpoints::Endpoints,
            likes::endpoints::Endpoints,
            comments::endpoints::Endpoints,
        ),
        room::endpoints::Endpoints,
        (feeds::endpoints::Endpoints, places::endpoints::Endpoints),
        (actions::endpoints::Endpoints, routines::endpoints::Endpoints, today::endpoints::Endpoints),
        (workouts::endpoints::Endpoints, monsters::endpoints::Endpoints, history::endpoints::Endpoints),
    );
    OpenApiService::new(api, "Mingizuk", env!("CARGO_PKG_VERSION"))
        .description("Small exercises, a monster that grows with you, and meetups with a realtime room. Errors are RFC 9457 problems with a stable `code`.")
        .url_prefix(BASE)
}

/// The OpenAPI document, without touching a database.
pub fn openapi_document() -> String {
    service().spec()
}

/// The whole application.
fn app(context: &Context, metrics: Metrics) -> impl Endpoint<Output = Response> + 'static {
    let service = service();
    let routes = Route::new()
        .nest("/docs", docs::page(&service.swagger_ui_html()))
        .at(format!("{BASE}/openapi.json"), service.spec_endpoint())
        .nest(BASE, service)
        .data(context.tokens.clone())
        .data(context.clone())
        .around(refuse_repeated_parameters);
    let origins = Arc::new(Origins::new(&context.config.allowed_origins));
    // Outer layers: any failure below becomes a problem, and every response gets its headers.
    routes
        .around(move |next, request| finish(metrics.clone(), next, request))
        .around(move |next, request| cors::share(Arc::clone(&origins), next, request))
}

/// Middleware: refuses a query parameter that occurs twice.
async fn refuse_repeated_parameters<E: Endpoint>(next: Arc<E>, request: Request) -> poem::Result<Response> {
    let mut seen = HashSet::new();
    // As the operations will read it; one that cannot be read is theirs to refuse.
    for (name, _) in request.params::<Vec<(String, String)>>().unwrap_or_default() {
        if !seen.insert(name.clone()) {
            return Err(page::invalid(&name, "repeated").into());
        }
    }
    next.call(request).await.map(IntoResponse::into_response)
}

/// The path for the log, without secrets.
fn loggable(path: &str) -> &str {
    // The address of a feed is a secret.
    match path.find("/calendar-feeds/") {
        Some(start) => &path[..start + "/calendar-feeds".len()],
        None => path,
    }
}

/// Gives the request an id, turns errors into problems, logs what failed on our side, sets the headers of every answer, and
/// counts it.
async fn finish<E: Endpoint>(metrics: Metrics, next: Arc<E>, request: Request) -> poem::Result<Response> {
    let begun = Instant::now();
    let id = request_id(&request);
    let language = Language::preferred(request.header(header::ACCEPT_LANGUAGE));
    let secret = request.uri().path().starts_with(BASE);
    let span = tracing::info_span!("request", %id, method = %request.method(), path = loggable(request.uri().path()));
    let outcome = next.call(request).instrument(span.clone()).await;
    let (operation, mut response) = match outcome {
        Ok(response) => {
            let response = response.into_response();
            (response.data::<OperationId>().copied(), response)
        }
        Err(error) => {
            let operation = error.data::<OperationId>().copied();
            let failure = failure_of(error);
            // Missing place search is a matter of configuration, not a failure.
            if failure.code.status().is_server_error() && failure.code != Code::PlacesNotConfigured {
                span.in_scope(|| tracing::error!(%failure, "request failed"));
            }
            (operation, failure.into_response(language, &id))
        }
    };
    metrics.count(operation.map(|operation| operation.0), response.status().as_u16(), begun.elapsed());
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if secret && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    Ok(response)
}

fn request_id(request: &Request) -> String {
    let good = |id: &&str| {
        !id.is_empty()
            && id.len() <= MAX_REQUEST_ID
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    request.header(&REQUEST_ID).filter(good).map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// Maps a refusal by the framework to a code.
fn failure_of(error: poem::Error) -> Failure {
    let error = match error.downcast::<Failure>() {
        Ok(failure) => return failure,
        Err(error) => error,
    };
    if let Some(bad) = error.downcast_ref::<ParseParamError>() {
        return page::invalid(bad.name, "malformed");
    }
    if error.is::<AuthorizationError>() {
        return Code::Unauthenticated.into();
    }
    // A malformed id in a path is an unknown one.
    if error.is::<NotFoundError>() || error.is::<ParsePathError>() {
        return Code::NotFound.into();
    }
    if error.is::<MethodNotAllowedError>() {
        return Code::MethodNotAllowed.into();
    }
    if error.is::<ContentTypeError>() {
        return Code::UnsupportedMediaType.into();
    }
    let code = match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Code::TooLarge,
        status if status.is_client_error() => Code::BadRequest,
        _ => Code::Internal,
    };
    Failure { cause: Some(error.to_string()), ..code.into() }
}

/// Serves the REST API on `listener` and operations on `ops_listener` until `stop`, then finishes what is under way.
///
/// # Errors
/// When a listener breaks or a metric cannot be registered.
pub async fn launch(
    backends: Backends,
    listener: TcpListener,
    ops_listener: TcpListener,
    stop: CancellationToken,
) -> io::Result<()> {
    let ops = Ops::new(backends.db.clone(), backends.rooms.clone());
    let metrics = Metrics::register(ops.registry()).map_err(io::Error::other)?;
    let context = Context::new(backends);
    let ops_stop = CancellationToken::new();
    let ops_server = tokio::spawn(ops.clone().serve(ops_listener, ops_stop.clone()));
    let relay = tokio::spawn(context.relay.clone().run(stop.clone()));
    let jobs = tokio::spawn(jobs::run_configured(context.clone(), stop.clone()));
    let patience = context.config.shutdown_timeout;
    let acceptor = IdleTimeout::new(TcpAcceptor::from_tokio(listener)?, context.config.connections);
    let stopped = async move {
        stop.cancelled().await;
        ops.drain();
    };
    let outcome = Server::new_with_acceptor(acceptor)
        .run_with_graceful_shutdown(app(&context, metrics).into_endpoint(), stopped, Some(patience))
        .await;
    ops_stop.cancel();
    drop(relay.await);
    drop(jobs.await);
    drop(ops_server.await);
    outcome
}

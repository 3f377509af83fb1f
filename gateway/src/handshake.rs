//! WebSocket handshake: the checks of an upgrade request and its HTTP answers.

use std::{sync::Arc, time::Duration};

use common::config::Config;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_tungstenite::tungstenite::{
    handshake::server::{ErrorResponse, Request, Response},
    http::{HeaderValue, StatusCode, header},
    protocol::WebSocketConfig,
};
use wire::SUBPROTOCOL;

use crate::transport::{queue::Queue, socket::Socket};

/// The path of the WebSocket.
const PATH: &str = "/ws";
/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes that the kernel accepts for a connection and cannot send yet, at most.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 128 * 1024;
/// Allocated for each connection, and read at a time; most commands are smaller.
const READ_BUFFER: usize = 1024;

/// A connection that has been upgraded.
pub struct Upgraded {
    /// The WebSocket.
    pub socket: Socket,
    /// Its outbound queue.
    pub queue: Arc<Queue>,
    /// The access token of the request's `Authorization` header, not verified.
    pub token: Option<String>,
}

/// Why an upgrade is rejected: the status and the body of the answer.
type Rejection = (StatusCode, &'static str);

/// Answers an upgrade request. `None` when it was rejected, came too slowly, or the connection is broken.
pub async fn upgrade(config: &Config, stream: TcpStream) -> Option<Upgraded> {
    set_options(&stream);
    let protocol = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(config.frame_bytes))
        .max_frame_size(Some(config.frame_bytes));
    let mut token = None;
    #[expect(clippy::result_large_err, reason = "the type is tungstenite's")]
    let check = |request: &Request, mut response: Response| match check_request(request, &mut response, &mut token) {
        Ok(()) => Ok(response),
        Err((status, reason)) => {
            let mut rejection = ErrorResponse::new(Some(reason.to_owned()));
            *rejection.status_mut() = status;
            Err(rejection)
        }
    };
    let (reads, writes) = stream.into_split();
    let queue = Arc::new(Queue::new(writes, config.queue_frames, config.queue_bytes));
    let upgrade = Socket::accept(reads, Arc::clone(&queue), check, protocol);
    let socket = tokio::time::timeout(HANDSHAKE_TIMEOUT, Box::pin(upgrade)).await.ok()?.ok()?;
    Some(Upgraded { socket, queue, token })
}

/// Answers 503 without reading the request, when a limit of the process is reached: load balancers and clients try elsewhere.
pub async fn reject_busy(mut stream: TcpStream) {
    const BUSY: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    drop(tokio::time::timeout(HANDSHAKE_TIMEOUT, stream.write_all(BUSY)).await);
}

/// Sets socket options that improve latency and memory use. A connection works without them, so errors are ignored.
fn set_options(stream: &TcpStream) {
    drop(stream.set_nodelay(true));
    // Otherwise the kernel takes megabytes for each reader that has stopped reading, before its queue begins to fill.
    #[cfg(target_os = "linux")]
    drop(socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES));
}

fn check_request(request: &Request, response: &mut Response, token: &mut Option<String>) -> Result<(), Rejection> {
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

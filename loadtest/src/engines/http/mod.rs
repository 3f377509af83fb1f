//! HTTP/1.1 requests of a user: kept-alive connections, redirects, cookies, compression, timings.

pub mod client;
pub mod cookies;
pub mod wire;

use std::{
    io::Read,
    time::{Duration, Instant},
};

use http_body_util::Full;
use hyper::{HeaderMap, StatusCode, header};

pub use self::client::Client;
use self::{
    client::{KEPT_BYTES, read},
    wire::{Wire, is_redirect, redirect, wire},
};
use super::{answer::Received, connect::Timings, error::UserError, user::User};
use crate::{
    metrics::Window,
    script::{
        Plan,
        plan::{Expectation, ExpectationKind, Request},
        request::endpoint_name,
        template::{Path, Scope, text_of},
    },
};

/// Most redirects that are followed.
const REDIRECTS: usize = 10;

/// An answer with its body.
struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    first_byte: Duration,
    total: Duration,
    sent: Instant,
}

/// Sends the request of a step and carries out what the step says about its answer. `by_endpoint`: whether plugins see
/// it, which they do only in scenarios of the engine http.
///
/// # Errors
/// When the user fails.
pub async fn request(user: &mut User, request: &Request, by_endpoint: bool) -> Result<(), UserError> {
    if !is_due(user, request) {
        return Ok(());
    }
    let plan = user.shared.plan.clone();
    let wire = wire(user, &plan, request)?;
    let endpoint = if by_endpoint { endpoint(user, &plan, request, &wire) } else { None };
    let answered = match exchange(user, &plan, request, wire).await {
        Ok(answered) => answered,
        Err(error) => {
            if let Some(endpoint) = &endpoint {
                let name = if error.0.starts_with('E') { &error.0 } else { "Error" };
                let counter = format!("plugins.metrics-by-endpoint.{endpoint}.errors.{name}");
                user.record(|window| window.count(&counter, 1));
            }
            return Err(error);
        }
    };
    record_endpoint(user, &plan, request, endpoint.as_deref(), &answered);
    let needs_text = !request.answer.is_empty() || (by_endpoint && plan.expect.is_some());
    if !needs_text {
        return Ok(());
    }
    let bytes = decoded(request, &answered);
    let text = String::from_utf8_lossy(&bytes);
    let mut received = Received::response(answered.status.as_u16(), &answered.headers, &text);
    let satisfied = received.satisfies(&request.answer, user);
    if by_endpoint {
        expect(user, &plan, request, &mut received)?;
    }
    if satisfied { Ok(()) } else { Err(UserError::CAPTURE_OR_MATCH) }
}

fn is_due(user: &mut User, request: &Request) -> bool {
    if let Some(percent) = request.probability {
        let drawn = f64::from(user.random().next_u32()) / f64::from(u32::MAX) * 100.0;
        if drawn >= percent && percent < 100.0 {
            return false;
        }
    }
    match &request.condition {
        Some(condition) => condition.holds(&|name| Path::new(name).find(user).map(|found| found.into_owned())),
        None => true,
    }
}

fn endpoint(user: &mut User, plan: &Plan, request: &Request, wire: &Wire) -> Option<String> {
    if plan.endpoints.ignore_unnamed && request.name.is_none() {
        return None;
    }
    Some(match &request.endpoint {
        Some(endpoint) => endpoint.clone(),
        None => {
            let url = wire.url.uri.path_and_query().map_or("/", |path| path.as_str());
            let name = request.name.as_ref().map(|name| name.text(user));
            endpoint_name(url, name.as_deref(), plan.endpoints.strip_query, &plan.target)
        }
    })
}

/// Sends a request and follows redirects.
async fn exchange(user: &mut User, plan: &Plan, request: &Request, mut wire: Wire) -> Result<Answered, UserError> {
    let keep = !request.answer.is_empty() || plan.expect.is_some();
    for _ in 0..=REDIRECTS {
        if let Some(cookies) = user.jar.header(|| wire.url.full()) {
            wire.headers.insert(header::COOKIE, cookies);
        }
        let answered = send(user, plan, &wire, keep).await?;
        user.jar.keep(&answered.headers, || wire.url.full());
        let location =
            answered.headers.get(header::LOCATION).filter(|_| request.follow && is_redirect(answered.status));
        let Some(location) = location.and_then(|location| location.to_str().ok()) else { return Ok(answered) };
        redirect(&mut wire, answered.status, location)?;
    }
    Err(UserError::known("ERR_TOO_MANY_REDIRECTS"))
}

/// Sends one request and reads its answer.
async fn send(user: &mut User, plan: &Plan, wire: &Wire, keep: bool) -> Result<Answered, UserError> {
    let limit = plan.http.timeout;
    let client = user.client.clone();
    let _permit = client.permit().await;
    user.record(|window| {
        window.count("http.requests", 1);
        window.tick("http.request_rate");
    });
    let (mut sender, timings) = client.open(&user.shared.connector, &wire.url.origin, limit).await?;
    if let Some(timings) = timings.filter(|_| plan.http.extended_metrics) {
        user.record(|window| record_timings(window, timings));
    }
    let mut message = hyper::Request::new(Full::new(wire.body.clone()));
    *message.method_mut() = wire.method.clone();
    *message.uri_mut() = wire.url.uri.clone();
    *message.headers_mut() = wire.headers.clone();
    let sent = Instant::now();
    let response = tokio::time::timeout(limit, sender.send_request(message)).await;
    let response = response.map_err(|_| UserError::TIMED_OUT)?.map_err(|error| UserError::from(&error))?;
    let first_byte = sent.elapsed();
    record_response(user, response.status(), first_byte);
    let (parts, body, size) = tokio::time::timeout(limit, read(response, keep))
        .await
        .map_err(|_| UserError::TIMED_OUT)?
        .map_err(|error| UserError::from(&error))?;
    let total = sent.elapsed();
    user.record(|window| {
        window.count("http.downloaded_bytes", size);
        if plan.http.extended_metrics {
            window.record("http.total", millis(total));
        }
    });
    client.give_back(wire.url.origin.clone(), sender);
    Ok(Answered { status: parts.status, headers: parts.headers, body, first_byte, total, sent })
}

fn record_timings(window: &mut Window, timings: Timings) {
    window.record("http.dns", millis(timings.dns));
    window.record("http.tcp", millis(timings.tcp));
    if let Some(tls) = timings.tls {
        window.record("http.tls", millis(tls));
    }
}

/// A response time as it is reported: Artillery knows whole milliseconds only.
fn shown(user: &User, time: Duration) -> f64 {
    if user.shared.plan.as_artillery { millis(time).round() } else { millis(time) }
}

fn record_response(user: &User, status: StatusCode, first_byte: Duration) {
    let class = match status.as_u16() / 100 {
        1 => "http.response_time.1xx",
        2 => "http.response_time.2xx",
        3 => "http.response_time.3xx",
        4 => "http.response_time.4xx",
        _ => "http.response_time.5xx",
    };
    let code = format!("http.codes.{}", status.as_u16());
    let first_byte = shown(user, first_byte);
    user.record(|window| {
        window.count(&code, 1);
        window.count("http.responses", 1);
        window.record("http.response_time", first_byte);
        window.record(class, first_byte);
    });
}

fn record_endpoint(user: &mut User, plan: &Plan, request: &Request, endpoint: Option<&str>, answered: &Answered) {
    let late = std::mem::take(&mut user.late);
    let key = std::ptr::from_ref(request) as usize;
    let since = user.sent.insert(key, answered.sent).map(|before| answered.sent.duration_since(before));
    let first_byte = shown(user, answered.first_byte);
    let apdex = plan.apdex.map(|limit| apdex(millis(answered.total), limit));
    let server_timing = answered.headers.get("server-timing").and_then(|value| value.to_str().ok());
    user.record(|window| {
        let waited = endpoint.unwrap_or_default();
        window.wait(waited, millis(answered.first_byte + late));
        if let Some(since) = since {
            window.interval(waited, millis(since));
        }
        let Some(endpoint) = endpoint else { return };
        window.count(&format!("plugins.metrics-by-endpoint.{endpoint}.codes.{}", answered.status.as_u16()), 1);
        window.record(&format!("plugins.metrics-by-endpoint.response_time.{endpoint}"), first_byte);
        if let Some(timing) = server_timing {
            window.record(&format!("plugins.metrics-by-endpoint.server-timing.{endpoint}"), total_of(timing));
        }
        if let Some(apdex) = apdex {
            for name in ["apdex.satisfied", "apdex.tolerated", "apdex.frustrated"] {
                window.count(name, u64::from(name == apdex));
            }
        }
    });
}

fn apdex(total: f64, limit: f64) -> &'static str {
    if total <= limit {
        "apdex.satisfied"
    } else if total <= 4.0 * limit {
        "apdex.tolerated"
    } else {
        "apdex.frustrated"
    }
}

/// `total;dur=N` of a `Server-Timing` header.
fn total_of(header: &str) -> f64 {
    let lower = header.to_ascii_lowercase();
    let number = lower.split("total;dur=").nth(1).unwrap_or_default();
    let end = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
    number[..end].parse().unwrap_or(-1.0)
}

/// Carries out the checks of the plugin `expect`.
fn expect(user: &mut User, plan: &Plan, request: &Request, received: &mut Received<'_>) -> Result<(), UserError> {
    let Some(options) = plan.expect else { return Ok(()) };
    let mut failed = Vec::new();
    let mut outcomes: Vec<(String, bool)> = Vec::new();
    for expectation in &request.expectations {
        let met = received.meets(expectation, user);
        outcomes.push((counted_as(user, expectation), met));
        if !met {
            failed.push(expectation.kind.name());
        }
    }
    if request.expectations.is_empty() && options.expect_default_200 {
        outcomes.push(("statusCode".to_owned(), received.status == 200));
        if received.status != 200 {
            failed.push("statusCode");
        }
    }
    user.record(|window| {
        for (name, met) in &outcomes {
            let counter = if *met { "plugins.expect.ok" } else { "plugins.expect.failed" };
            window.count(counter, 1);
            window.count(&format!("{counter}.{name}"), 1);
        }
    });
    if failed.is_empty() {
        return Ok(());
    }
    let name = request.name.as_ref().unwrap_or(&request.url).text(user);
    if !options.silent {
        (user.shared.print)(&format!("expect: {} {name}: {} ({})", request.method, failed.join(", "), received.status));
    }
    if options.report_failures_as_errors {
        return Err(UserError::new(format!("Failed expectations for request {name}")));
    }
    Ok(())
}

/// Name of the counter of an expectation: that of its kind, but for one.
fn counted_as(user: &mut User, expectation: &Expectation) -> String {
    match (expectation.kind, expectation.value.value(user)) {
        (ExpectationKind::HeaderEquals, Some(serde_json::Value::Array(pair))) if !pair.is_empty() => {
            format!("header {} values equals", text_of(&pair[0]))
        }
        (kind, _) => kind.name().to_owned(),
    }
}

/// The body as it was before compression.
fn decoded(request: &Request, answered: &Answered) -> Vec<u8> {
    let encoding = answered.headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    let mut plain = Vec::new();
    let limit = KEPT_BYTES as u64;
    let outcome = match encoding.filter(|_| request.gzip) {
        Some("gzip") => flate2::read::MultiGzDecoder::new(&answered.body[..]).take(limit).read_to_end(&mut plain),
        Some("deflate") => flate2::read::ZlibDecoder::new(&answered.body[..]).take(limit).read_to_end(&mut plain),
        _ => return answered.body.clone(),
    };
    // What is no valid compression is taken as it is.
    if outcome.is_ok() { plain } else { answered.body.clone() }
}

/// A duration as metrics have it.
#[must_use]
pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

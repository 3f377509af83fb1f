//! A request as it goes over the wire: rendered for one user, and changed by redirects.

use bytes::Bytes;
use hyper::{
    HeaderMap, Method, StatusCode, Uri,
    header::{self, HeaderName, HeaderValue},
};
use url::Url;

use crate::{
    engines::{connect::Origin, error::UserError, user::User},
    script::{
        Plan,
        plan::{Body, PartContent, Request},
        template::{JsonTemplate, Scope, text_of},
    },
};

/// One request as it goes over the wire, without its connection.
pub struct Wire {
    /// Method.
    pub method: Method,
    /// Where it goes.
    pub url: Target,
    /// Headers.
    pub headers: HeaderMap,
    /// Body; empty without one.
    pub body: Bytes,
}

/// Where a request goes.
#[derive(Clone)]
pub struct Target {
    /// Server.
    pub origin: Origin,
    /// Path and query.
    pub uri: Uri,
}

/// Renders a request.
///
/// # Errors
/// When the URL or a header is not valid.
pub fn wire(user: &mut User, plan: &Plan, request: &Request) -> Result<Wire, UserError> {
    let text = request.url.text(user);
    let url = locate(plan, &text).ok_or_else(|| UserError::new(format!("Invalid URL - {text}")))?;
    let url = if request.query.is_empty() { url } else { with_query(user, url, &request.query)? };
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::HOST, host(&url.origin));
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    if request.gzip {
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate"));
    }
    let body = body(user, &request.body, &mut headers);
    for (name, template) in &request.headers {
        let value = template.text(user);
        let invalid = |_| UserError::new(format!("Invalid character in header content [\"{name}\"]"));
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(invalid)?;
        // Checked when the script was read.
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
            headers.insert(name, value);
        }
    }
    if let Some((name, password)) = &request.auth {
        use base64::Engine;
        let pair = format!("{}:{}", name.text(user), password.text(user));
        let value = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
        headers.extend(HeaderValue::try_from(value).ok().map(|value| (header::AUTHORIZATION, value)));
    }
    if plan.http.tracing {
        let (one, two, three) = (user.random().next_u64(), user.random().next_u64(), user.random().next_u64());
        let value = HeaderValue::try_from(format!("00-{one:016x}{two:016x}-{three:016x}-01"));
        headers.extend(value.ok().map(|value| (HeaderName::from_static("traceparent"), value)));
    }
    if !request.cookies.is_empty() {
        let cookies = request.cookies.iter();
        let rendered: Vec<String> = cookies.map(|(name, template)| format!("{name}={}", template.text(user))).collect();
        if let Some(url) = url.full() {
            user.jar.add(&rendered, &url);
        }
    }
    Ok(Wire { method: request.method.clone(), url, headers, body })
}

fn with_query(user: &mut User, url: Target, query: &[(String, JsonTemplate)]) -> Result<Target, UserError> {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, template) in query {
        match template.value(user) {
            Some(serde_json::Value::Array(items)) => {
                form.extend_pairs(items.iter().map(|item| (name.as_str(), text_of(item))));
            }
            Some(value) => {
                form.append_pair(name, &text_of(&value));
            }
            // As Node's `querystring` writes it.
            None => {
                form.append_pair(name, "");
            }
        }
    }
    let text = format!("{}?{}", url.uri.path(), form.finish());
    let uri = text.parse().map_err(|_| UserError::new(format!("Invalid URL - {text}")))?;
    Ok(Target { uri, ..url })
}

/// Renders a body and sets its headers.
fn body(user: &mut User, body: &Body, headers: &mut HeaderMap) -> Bytes {
    let mut set = |value: &str| {
        headers.extend(HeaderValue::from_str(value).ok().map(|value| (header::CONTENT_TYPE, value)));
    };
    match body {
        Body::Empty => Bytes::new(),
        Body::Json(template) => {
            let mut text = String::new();
            if !template.write(user, &mut text) {
                return Bytes::new();
            }
            set("application/json");
            text.into()
        }
        Body::Text(template) => template.text(user).into(),
        Body::Form(fields) => {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            for (name, template) in fields {
                if let Some(value) = template.value(user) {
                    form.append_pair(name, &text_of(&value));
                }
            }
            set("application/x-www-form-urlencoded");
            form.finish().into()
        }
        Body::Multipart(parts) => {
            let boundary = format!("----loadtest{:016x}", user.random().next_u64());
            let mut bytes = Vec::new();
            for part in parts {
                let (file, content): (Option<&str>, Vec<u8>) = match &part.content {
                    PartContent::Text(template) => {
                        (None, template.value(user).as_ref().map(text_of).unwrap_or_default().into_bytes())
                    }
                    PartContent::File { name, bytes } => (Some(name), bytes.to_vec()),
                };
                let file_name = file.map(|name| format!("; filename=\"{}\"", quoted(name))).unwrap_or_default();
                let kind = part.content_type.as_deref().or(file.map(|_| "application/octet-stream"));
                let kind = kind.map(|kind| format!("Content-Type: {kind}\r\n")).unwrap_or_default();
                let name = quoted(&part.name);
                bytes.extend_from_slice(
                    format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"{file_name}\r\n{kind}\r\n")
                        .as_bytes(),
                );
                bytes.extend_from_slice(&content);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
            set(&format!("multipart/form-data; boundary={boundary}"));
            bytes.into()
        }
    }
}

fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace(['\r', '\n'], " ")
}

/// Where a rendered URL goes: a path is appended to the target.
fn locate(plan: &Plan, text: &str) -> Option<Target> {
    if !text.starts_with('/') {
        return Url::parse(text).ok().and_then(|url| target_of(&url));
    }
    target_of(&Url::parse(&format!("{}{text}", plan.target)).ok()?)
}

fn target_of(url: &Url) -> Option<Target> {
    let origin = Origin::of(url).filter(|_| matches!(url.scheme(), "http" | "https"))?;
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    Some(Target { origin, uri: path.parse().ok()? })
}

impl Target {
    /// The whole URL.
    #[must_use]
    pub fn full(&self) -> Option<Url> {
        let scheme = if self.origin.tls { "https" } else { "http" };
        Url::parse(&format!("{scheme}://{}{}", self.origin.authority(), self.uri)).ok()
    }
}

fn host(origin: &Origin) -> HeaderValue {
    HeaderValue::try_from(origin.authority()).unwrap_or_else(|_| HeaderValue::from_static("localhost"))
}

/// Whether an answer names another URL.
#[must_use]
pub fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 300..=303 | 307 | 308)
}

/// Makes a request that of a redirect.
///
/// # Errors
/// When the location is no URL.
pub fn redirect(wire: &mut Wire, status: StatusCode, location: &str) -> Result<(), UserError> {
    let invalid = || UserError::new(format!("Invalid URL - {location}"));
    let next = wire.url.full().and_then(|url| url.join(location).ok()).ok_or_else(invalid)?;
    let is_get = wire.method == Method::GET || wire.method == Method::HEAD;
    if status == StatusCode::SEE_OTHER && !is_get || (status.as_u16() < 303 && wire.method == Method::POST) {
        wire.method = Method::GET;
        wire.body = Bytes::new();
        wire.headers.remove(header::CONTENT_TYPE);
        wire.headers.remove(header::CONTENT_LENGTH);
    }
    let url = target_of(&next).ok_or_else(invalid)?;
    if url.origin != wire.url.origin {
        // Secrets are for the server that they were written for.
        for name in [header::AUTHORIZATION, header::COOKIE] {
            wire.headers.remove(name);
        }
        wire.headers.insert(header::HOST, host(&url.origin));
    }
    wire.url = url;
    Ok(())
}

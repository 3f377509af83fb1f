//! Which web pages may read answers: cross-origin resource sharing (the Fetch standard, section 3.2).
//!
//! A page of another origin is not refused but left without the headers that would let it read the answer: pages of the
//! service's own origin send `Origin` too. Nothing is at stake, for no cookie speaks for the caller.

use std::{collections::HashSet, sync::Arc};

use poem::{
    Endpoint, IntoResponse, Request, Response,
    http::{HeaderValue, Method, StatusCode, header},
};

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
const REQUEST_HEADERS: HeaderValue =
    HeaderValue::from_static("authorization, content-type, accept-language, x-request-id");
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static("x-request-id, retry-after");
/// Seconds for which a browser remembers the answer to a preflight request.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// The origins whose pages may read answers.
#[derive(Debug)]
pub struct Origins {
    any: bool,
    allowed: HashSet<String>,
}

impl Origins {
    /// Those of a list, or all if it has `*`.
    pub fn new(list: &[String]) -> Self {
        Self { any: list.iter().any(|origin| origin == "*"), allowed: list.iter().cloned().collect() }
    }

    /// The origin that the request comes from, if it may read the answer.
    fn allowed(&self, request: &Request) -> Option<HeaderValue> {
        let origin = request.headers().get(header::ORIGIN)?;
        let allowed = self.any || origin.to_str().is_ok_and(|origin| self.allowed.contains(origin));
        allowed.then(|| origin.clone())
    }
}

/// Answers preflight requests, and lets pages of the allowed origins read every other answer, errors included.
///
/// # Errors
/// Those of `next`.
pub async fn share<E: Endpoint>(origins: Arc<Origins>, next: Arc<E>, request: Request) -> poem::Result<Response> {
    let allowed = origins.allowed(&request);
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if preflight {
        Response::builder().status(StatusCode::NO_CONTENT).finish()
    } else {
        next.call(request).await?.into_response()
    };
    let headers = response.headers_mut();
    // A cache must not give one origin's answer to another.
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
        if preflight {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
    }
    Ok(response)
}

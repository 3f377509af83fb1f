//! Cross-origin resource sharing: which web pages may read responses (Fetch standard, section 3.2).
//!
//! A request from another origin is not refused; its response lacks the headers that let the page read it, because
//! pages of the service's own origin send `Origin` too. That is safe because no cookie authenticates a request.

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

/// Origins whose pages may read responses.
#[derive(Debug)]
pub struct Origins {
    any: bool,
    allowed: HashSet<String>,
}

impl Origins {
    /// The origins of a list, or all origins if it contains `*`.
    pub fn new(list: &[String]) -> Self {
        Self { any: list.iter().any(|origin| origin == "*"), allowed: list.iter().cloned().collect() }
    }

    /// The request's origin, if it may read the response.
    fn allowed(&self, request: &Request) -> Option<HeaderValue> {
        let origin = request.headers().get(header::ORIGIN)?;
        let allowed = self.any || origin.to_str().is_ok_and(|origin| self.allowed.contains(origin));
        allowed.then(|| origin.clone())
    }
}

/// Middleware: answers preflight requests, and adds the headers for allowed origins to every other response, errors
/// included.
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
    // A cache must not serve one origin's response to another.
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

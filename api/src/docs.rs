//! The page on which people read about the operations and try them out.

use bytes::Bytes;
use poem::{Endpoint, Response, endpoint::make_sync, http::header};

/// The page carries its scripts and styles in itself, and calls this server alone (Content Security Policy, level 3).
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
     font-src data:; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// What the page of Swagger UI says, and what it should say.
const CHANGES: [(&str, &str); 3] = [
    ("<html charset=\"UTF-8\">", "<!doctype html>\n<html lang=\"en\">"),
    ("<title>Swagger UI</title>", "<title>Mingizuk API</title>"),
    (
        "filter: false,",
        "filter: true, tryItOutEnabled: true, displayRequestDuration: true, defaultModelsExpandDepth: 0,",
    ),
];

/// Serves the page that Swagger UI makes of the operations.
pub(crate) fn page(swagger_ui: &str) -> impl Endpoint<Output = Response> + use<> {
    // It is megabytes long: the answers share it.
    let html = Bytes::from(CHANGES.iter().fold(swagger_ui.to_owned(), |html, (from, to)| html.replacen(from, to, 1)));
    make_sync(move |_| {
        Response::builder()
            .content_type("text/html; charset=utf-8")
            .header(header::CONTENT_SECURITY_POLICY, POLICY)
            .body(html.clone())
    })
}

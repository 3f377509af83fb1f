//! Documentation page (Swagger UI) of the operations.

use bytes::Bytes;
use poem::{Endpoint, Response, endpoint::make_sync, http::header};

/// Content Security Policy (level 3) of the page: its scripts and styles are inline, and it calls this server only.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
     font-src data:; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// Replacements in the page of Swagger UI.
const CHANGES: [(&str, &str); 3] = [
    ("<html charset=\"UTF-8\">", "<!doctype html>\n<html lang=\"en\">"),
    ("<title>Swagger UI</title>", "<title>Mingizuk API</title>"),
    (
        "filter: false,",
        "filter: true, tryItOutEnabled: true, displayRequestDuration: true, defaultModelsExpandDepth: 0,",
    ),
];

/// Endpoint of the Swagger UI page.
pub(crate) fn page(swagger_ui: &str) -> impl Endpoint<Output = Response> + use<> {
    // It is megabytes long: responses share it.
    let html = Bytes::from(CHANGES.iter().fold(swagger_ui.to_owned(), |html, (from, to)| html.replacen(from, to, 1)));
    make_sync(move |_| {
        Response::builder()
            .content_type("text/html; charset=utf-8")
            .header(header::CONTENT_SECURITY_POLICY, POLICY)
            .body(html.clone())
    })
}

//! Streamed JSON response of a declared schema, with constant memory.

use std::marker::PhantomData;

use futures_util::Stream;
use poem::{Body, IntoResponse, Response};
use poem_openapi::{
    ApiResponse,
    registry::{MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::Type,
};

const CONTENT_TYPE: &str = "application/json";

/// The JSON text of a `T`, in pieces.
pub struct JsonStream<T> {
    body: Body,
    of: PhantomData<fn() -> T>,
}

impl<T> JsonStream<T> {
    /// Response body of concatenated `pieces`. An error aborts it, which the client notices by the missing end.
    pub fn new(pieces: impl Stream<Item = std::io::Result<String>> + Send + 'static) -> Self {
        Self { body: Body::from_bytes_stream(pieces), of: PhantomData }
    }
}

impl<T: Send> IntoResponse for JsonStream<T> {
    fn into_response(self) -> Response {
        Response::builder().content_type(CONTENT_TYPE).body(self.body)
    }
}

impl<T: Type> ApiResponse for JsonStream<T> {
    fn meta() -> MetaResponses {
        let response = MetaResponse {
            description: "The document.",
            status: Some(200),
            status_range: None,
            content: vec![MetaMediaType { content_type: CONTENT_TYPE, schema: T::schema_ref() }],
            headers: Vec::new(),
        };
        MetaResponses { responses: vec![response] }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

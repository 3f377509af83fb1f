//! Strict JSON request bodies, and validation that collects all field errors.

use std::time::Duration;

use common::text::{self, TextError};
use poem::{Body, Request, RequestBody, error::ReadBodyError};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    payload::{Json, Payload},
    registry::{MetaMediaType, MetaRequest, Registry},
    types::{MaybeUndefined, Type},
};
use serde::de::DeserializeOwned;

use crate::problem::{Code, Failure, FieldError};

/// Bytes of a request body, at most.
pub const MAX_BODY: usize = 64 * 1024;
/// Timeout for receiving a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Line breaks and tabs, which a text of one line must not have: it ends up in calendar files and logs.
const BREAKS: [char; 4] = ['\n', '\t', '\u{2028}', '\u{2029}'];

/// JSON body, parsed strictly: a missing, unknown or wrongly typed field is reported with its path.
#[derive(Debug)]
pub struct Input<T>(pub T);

impl<'a, T: Type + DeserializeOwned> ApiExtractor<'a> for Input<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = vec![MetaMediaType { content_type: "application/json", schema: T::schema_ref() }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        if !request.content_type().is_some_and(Json::<T>::check_content_type) {
            return Err(Failure::from(Code::UnsupportedMediaType).into());
        }
        Ok(Self(parse(&read(body.take()?).await?)?))
    }
}

async fn read(body: Body) -> Result<Vec<u8>, Failure> {
    let unread = |cause: String| Failure { cause: Some(cause), ..Code::BadRequest.into() };
    let bytes = tokio::time::timeout(BODY_TIMEOUT, body.into_bytes_limit(MAX_BODY))
        .await
        .map_err(|_| unread("the body did not arrive in time".to_owned()))?
        .map_err(|error| match error {
            ReadBodyError::PayloadTooLarge => Failure::from(Code::TooLarge),
            other => unread(other.to_string()),
        })?;
    Ok(bytes.into())
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let reason = error.into_inner();
        if !reason.is_data() {
            return Failure { cause: Some(reason.to_string()), ..Code::BadRequest.into() };
        }
        Failure { errors: vec![field_error(&path, &reason.to_string())], ..Code::InvalidInput.into() }
    })?;
    json.end().map_err(|error| Failure { cause: Some(error.to_string()), ..Code::BadRequest.into() })?;
    Ok(value)
}

/// Error of one field. serde names a missing or unknown field only in its message, in backquotes.
fn field_error(path: &str, reason: &str) -> FieldError {
    let named = |prefix: &str| reason.strip_prefix(prefix)?.split('`').next();
    let parent = if path == "." { "" } else { path };
    let (name, code) = match (named("missing field `"), named("unknown field `")) {
        (Some(name), _) => (Some(name), "missing"),
        (_, Some(name)) => (Some(name), "unknown"),
        _ => (None, "malformed"),
    };
    let field = match name {
        // The path of an unknown field already ends with it.
        Some(name) if parent.is_empty() || parent == name || parent.ends_with(&format!(".{name}")) => {
            if parent.is_empty() { name.to_owned() } else { parent.to_owned() }
        }
        Some(name) => format!("{parent}.{name}"),
        None => path.to_owned(),
    };
    FieldError { field, code: code.to_owned() }
}

/// Collector of field errors, so that one response reports all of them.
#[derive(Debug, Default)]
pub struct Fields {
    errors: Vec<FieldError>,
}

impl Fields {
    /// Without errors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an error of `field`.
    pub fn wrong(&mut self, field: &str, code: &str) {
        self.errors.push(FieldError { field: field.to_owned(), code: code.to_owned() });
    }

    /// Adds an error of `field` unless `good`.
    pub fn check(&mut self, good: bool, field: &str, code: &str) {
        if !good {
            self.wrong(field, code);
        }
    }

    /// The text as [`text::clean`] returns it; empty if an error was added.
    pub fn text(&mut self, field: &str, value: &str, max: usize) -> String {
        text::clean(value, max).unwrap_or_else(|error| {
            let code = match error {
                TextError::Empty => "empty",
                TextError::TooLong { .. } => "too_long",
                TextError::Control => "control_character",
            };
            self.wrong(field, code);
            String::new()
        })
    }

    /// As [`Self::text`], for one line: line breaks and tabs are errors too.
    pub fn line(&mut self, field: &str, value: &str, max: usize) -> String {
        let line = self.text(field, value, max);
        self.check(!line.contains(BREAKS), field, "control_character");
        line
    }

    /// Checks a latitude in degrees.
    pub fn latitude(&mut self, field: &str, degrees: f64) {
        self.check((-90.0..=90.0).contains(&degrees), field, "out_of_range");
    }

    /// Checks a longitude in degrees.
    pub fn longitude(&mut self, field: &str, degrees: f64) {
        self.check((-180.0..=180.0).contains(&degrees), field, "out_of_range");
    }

    /// The new value of a field that cannot be null; null is an error.
    pub fn given<T>(&mut self, field: &str, value: MaybeUndefined<T>) -> Option<T> {
        self.check(!value.is_null(), field, "missing");
        value.take()
    }

    /// Fails if there are errors.
    ///
    /// # Errors
    /// [`Code::InvalidInput`] with everything that was noted.
    pub fn finish(self) -> Result<(), Failure> {
        if self.errors.is_empty() { Ok(()) } else { Err(Failure { errors: self.errors, ..Code::InvalidInput.into() }) }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "only parsing is tested")]
        inner: Inner,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only parsing is tested")]
        number: u8,
    }

    #[test]
    fn errors_name_the_path() {
        for (json, code, field) in [
            ("{", Code::BadRequest, None),
            (r#"{"inner":{"number":1}} x"#, Code::BadRequest, None),
            ("{}", Code::InvalidInput, Some(("inner", "missing"))),
            (r#"{"inner":{}}"#, Code::InvalidInput, Some(("inner.number", "missing"))),
            (r#"{"inner":{"number":"1"}}"#, Code::InvalidInput, Some(("inner.number", "malformed"))),
            (r#"{"inner":{"number":1,"x":2}}"#, Code::InvalidInput, Some(("inner.x", "unknown"))),
            (r#"{"inner":{"number":1},"y":2}"#, Code::InvalidInput, Some(("y", "unknown"))),
        ] {
            let failure = parse::<Outer>(json.as_bytes()).expect_err(json);
            let first = failure.errors.first().map(|e| (e.field.as_str(), e.code.as_str()));
            assert_eq!((failure.code, first), (code, field), "{json}");
        }
    }

    #[test]
    fn line_must_not_contain_breaks() {
        for (value, wrong) in [
            ("한 줄", None),
            (" 한 줄\n", None),
            ("두\n줄", Some("control_character")),
            ("두\t칸", Some("control_character")),
            ("두\u{2028}줄", Some("control_character")),
            ("두\r줄", Some("control_character")),
            ("세 글자보다 긴", Some("too_long")),
            (" ", Some("empty")),
        ] {
            let mut fields = Fields::new();
            fields.line("name", value, 6);
            let errors = fields.finish().err().map(|failure| failure.errors).unwrap_or_default();
            let errors: Vec<&str> = errors.iter().map(|error| error.code.as_str()).collect();
            assert_eq!(errors, Vec::from_iter(wrong), "{value:?}");
        }
    }

    #[test]
    fn degrees_are_bounded() {
        for (latitude, longitude, wrong) in
            [(90.0, -180.0, 0), (-90.0, 180.0, 0), (90.1, 180.1, 2), (f64::NAN, f64::INFINITY, 2)]
        {
            let mut fields = Fields::new();
            fields.latitude("lat", latitude);
            fields.longitude("lng", longitude);
            assert_eq!(fields.errors.len(), wrong, "{latitude} {longitude}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn endless_body_times_out() {
        let body = Body::from_bytes_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
        assert_eq!(read(body).await.expect_err("no body").code, Code::BadRequest);
    }
}

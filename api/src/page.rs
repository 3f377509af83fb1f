//! Pagination of lists: opaque cursors and page limits.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use poem_openapi::{
    Object,
    types::{Example, ParseFromJSON, ToJSON, Type},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::problem::{Code, Failure, FieldError};

/// Items of a page, at most.
pub const MAX_LIMIT: u32 = 50;
/// Items of a page where the client does not say.
pub const DEFAULT_LIMIT: u32 = 20;

/// One page of a list.
#[derive(Debug, Object)]
#[oai(example)]
pub struct Page<T: Type + ParseFromJSON + ToJSON + Example> {
    /// The items.
    pub items: Vec<T>,
    /// Send it as `cursor` to get the next page; absent on the last one.
    #[oai(skip_serializing_if_is_none)]
    pub next_cursor: Option<String>,
}

impl<T: Type + ParseFromJSON + ToJSON + Example> Example for Page<T> {
    fn example() -> Self {
        Self { items: vec![T::example()], next_cursor: Some(encode_cursor(&"2026-03-01T09:30:00.000Z")) }
    }
}

impl<T: Type + ParseFromJSON + ToJSON + Example> Page<T> {
    /// A page of at most `limit` of the `items`, which were read with a limit of one more. `key` is an item's sort
    /// key.
    pub fn new<R: Into<T>, K: Serialize>(mut rows: Vec<R>, limit: u32, key: impl Fn(&R) -> K) -> Self {
        let limit = limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| more).map(|last| encode_cursor(&key(last)));
        Self { items: rows.into_iter().map(Into::into).collect(), next_cursor }
    }
}

/// The effective page limit.
///
/// # Errors
/// [`Code::InvalidInput`] unless it is 1 to [`MAX_LIMIT`].
pub fn limit(limit: Option<u32>) -> Result<u32, Failure> {
    match limit.unwrap_or(DEFAULT_LIMIT) {
        good @ 1..=MAX_LIMIT => Ok(good),
        _ => Err(invalid("limit", "out_of_range")),
    }
}

/// Encodes a sort key as an opaque cursor.
pub fn encode_cursor(key: &impl Serialize) -> String {
    // A key is made of numbers, texts and ids: nothing that JSON could refuse.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).unwrap_or_default())
}

/// Decodes a cursor.
///
/// # Errors
/// [`Code::InvalidInput`] if it is not one of ours.
pub fn decode_cursor<K: DeserializeOwned>(cursor: Option<&str>) -> Result<Option<K>, Failure> {
    let decode = |text: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
    cursor.map(|text| decode(text).ok_or_else(|| invalid("cursor", "malformed"))).transpose()
}

/// The failure that one parameter is not valid.
pub fn invalid(field: &str, code: &str) -> Failure {
    let error = FieldError { field: field.to_owned(), code: code.to_owned() };
    Failure { errors: vec![error], ..Code::InvalidInput.into() }
}

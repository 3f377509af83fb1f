//! Examples of parameters, for the OpenAPI document. Filters of lists have none, because a page for trying operations
//! out would send them.

use uuid::Uuid;

/// The id of anything.
pub const fn id() -> Uuid {
    Uuid::from_u128(0x0197_a3c2_7b1e_7c5a_9d53_3f1d_2b8f_6a10)
}

/// Someone's id.
pub const fn user_id() -> Uuid {
    Uuid::from_u128(0x0197_a3c2_7b1e_7c5a_9d53_3f1d_2b8f_6a11)
}

/// The place of an action in a workout.
pub const fn position() -> u32 {
    1
}

/// The last part of a calendar feed's address.
pub fn token() -> String {
    "pX0m3cYt8bq5T1oWk7hJ2vR9sL4nZ6aDfGuEiBwQxyM.ics".to_owned()
}

/// Degrees north of 서울숲.
pub const fn lat() -> f64 {
    37.5444
}

/// Degrees east of 서울숲.
pub const fn lng() -> f64 {
    127.0374
}

/// Words to find a place by.
pub fn query() -> String {
    "서울숲".to_owned()
}

/// Items of a page.
pub const fn limit() -> Option<u32> {
    Some(20)
}

/// Weeks of a graph.
pub const fn weeks() -> Option<u32> {
    Some(12)
}

/// A month.
pub fn month() -> Option<String> {
    Some("2026-03".to_owned())
}

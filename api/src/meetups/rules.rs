//! Validation of a meetup's fields. Pure functions: what is wrong is noted in a [`Fields`].

use std::time::Duration;

use common::time::Timestamp;
use poem_openapi::types::MaybeUndefined;

use super::{
    model::{Meetup, MeetupChanges, NewMeetup},
    place::Place,
};
use crate::input::Fields;

const TITLE_CHARS: usize = 30;
const DESCRIPTION_CHARS: usize = 500;
const URL_CHARS: usize = 500;
const NAME_CHARS: usize = 100;
const REGION_CHARS: usize = 30;
const KAKAO_ID_CHARS: usize = 30;
/// Longest duration of a meetup: it must end before the account of a host who withdraws is purged.
const LONGEST: Duration = Duration::from_secs(14 * 24 * 3_600);
/// Range of the capacity.
pub const CAPACITY: std::ops::RangeInclusive<u32> = 2..=500;

/// The new meetup with its texts cleaned.
///
/// Errors are added to `fields`.
pub fn validate_new(fields: &mut Fields, new: NewMeetup, now: Timestamp) -> NewMeetup {
    fields.check(new.starts_at > now, "starts_at", "in_the_past");
    clean(fields, new)
}

/// The changed meetup with its texts cleaned. Once begun, its beginning is fixed; its end must be in the future.
///
/// Errors are added to `fields`.
pub fn apply_changes(fields: &mut Fields, before: &Meetup, changes: MeetupChanges, now: Timestamp) -> NewMeetup {
    let starts_at = fields.given("starts_at", changes.starts_at).unwrap_or(before.starts_at);
    let ends_at = fields.given("ends_at", changes.ends_at).unwrap_or(before.ends_at);
    if starts_at != before.starts_at {
        fields.check(before.starts_at > now, "starts_at", "has_begun");
        fields.check(starts_at > now, "starts_at", "in_the_past");
    }
    fields.check(ends_at > now, "ends_at", "in_the_past");
    let before_capacity = before.capacity.and_then(|capacity| u32::try_from(capacity).ok());
    let after = NewMeetup {
        title: fields.given("title", changes.title).unwrap_or_else(|| before.title.clone()),
        description: fields.given("description", changes.description).unwrap_or_else(|| before.description.clone()),
        image_url: optional(changes.image_url, before.image_url.clone()),
        place: fields.given("place", changes.place).unwrap_or_else(|| before.place.clone()),
        starts_at,
        ends_at,
        capacity: optional(changes.capacity, before_capacity),
    };
    clean(fields, after)
}

fn optional<T>(value: MaybeUndefined<T>, before: Option<T>) -> Option<T> {
    match value {
        MaybeUndefined::Undefined => before,
        MaybeUndefined::Null => None,
        MaybeUndefined::Value(value) => Some(value),
    }
}

fn clean(fields: &mut Fields, new: NewMeetup) -> NewMeetup {
    let title = fields.line("title", &new.title, TITLE_CHARS);
    let description = fields.text("description", &new.description, DESCRIPTION_CHARS);
    let image_url = new.image_url.map(|url| https_url(fields, "image_url", &url));
    fields.check(new.ends_at >= new.starts_at, "ends_at", "before_start");
    fields.check(new.ends_at.since(new.starts_at) <= LONGEST, "ends_at", "out_of_range");
    fields.check(new.capacity.is_none_or(|capacity| CAPACITY.contains(&capacity)), "capacity", "out_of_range");
    NewMeetup { title, description, image_url, place: place(fields, new.place), ..new }
}

/// The place with its texts cleaned.
fn place(fields: &mut Fields, mut place: Place) -> Place {
    place.name = fields.line("place.name", &place.name, NAME_CHARS);
    place.road_address = optional_line(fields, "place.road_address", &place.road_address, NAME_CHARS);
    place.lot_address = optional_line(fields, "place.lot_address", &place.lot_address, NAME_CHARS);
    fields.latitude("place.latitude", place.latitude);
    fields.longitude("place.longitude", place.longitude);
    place.region.sido = fields.line("place.region.sido", &place.region.sido, REGION_CHARS);
    // Sejong has no 시군구.
    place.region.sigungu = optional_line(fields, "place.region.sigungu", &place.region.sigungu, REGION_CHARS);
    let code = &place.region.code;
    fields.check(code.len() == 10 && code.bytes().all(|b| b.is_ascii_digit()), "place.region.code", "malformed");
    // Empty where Kakao gave none.
    let given = |text: &String| !text.trim().is_empty();
    place.kakao_place_id =
        place.kakao_place_id.filter(given).map(|id| fields.line("place.kakao_place_id", &id, KAKAO_ID_CHARS));
    place.kakao_place_url =
        place.kakao_place_url.filter(given).map(|url| web_url(fields, "place.kakao_place_url", &url));
    place
}

/// A line that may be empty: Kakao leaves an address empty where there is none.
fn optional_line(fields: &mut Fields, field: &str, value: &str, max: usize) -> String {
    if value.trim().is_empty() { String::new() } else { fields.line(field, value, max) }
}

fn https_url(fields: &mut Fields, field: &str, value: &str) -> String {
    url(fields, field, value, &["https://"])
}

/// An `http` or `https` URL: Kakao's own pages are `http`.
fn web_url(fields: &mut Fields, field: &str, value: &str) -> String {
    url(fields, field, value, &["https://", "http://"])
}

fn url(fields: &mut Fields, field: &str, value: &str, schemes: &[&str]) -> String {
    let url = fields.text(field, value, URL_CHARS);
    let rest = schemes.iter().find_map(|scheme| url.strip_prefix(scheme));
    let good =
        rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(char::is_whitespace));
    fields.check(url.is_empty() || good, field, "malformed");
    url
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::Example;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    fn wrong(change: impl FnOnce(&mut NewMeetup)) -> Vec<(String, String)> {
        let mut new = NewMeetup { starts_at: Timestamp(2_000), ends_at: Timestamp(3_000), ..NewMeetup::example() };
        change(&mut new);
        let mut fields = Fields::new();
        validate_new(&mut fields, new, NOW);
        let errors = fields.finish().err().map(|failure| failure.errors).unwrap_or_default();
        errors.into_iter().map(|error| (error.field, error.code)).collect()
    }

    #[test]
    fn each_field_has_its_rule() {
        let one = |field: &str, code: &str| vec![(field.to_owned(), code.to_owned())];
        assert_eq!(wrong(|_| ()), []);
        assert_eq!(wrong(|m| m.title = "가".repeat(30)), []);
        assert_eq!(wrong(|m| m.title = "가".repeat(31)), one("title", "too_long"));
        assert_eq!(wrong(|m| m.description = " ".to_owned()), one("description", "empty"));
        assert_eq!(wrong(|m| m.starts_at = NOW), one("starts_at", "in_the_past"));
        assert_eq!(wrong(|m| m.ends_at = m.starts_at), []);
        assert_eq!(wrong(|m| m.ends_at = Timestamp(1_999)), one("ends_at", "before_start"));
        assert_eq!(wrong(|m| m.capacity = Some(1)), one("capacity", "out_of_range"));
        assert_eq!(wrong(|m| m.capacity = Some(501)), one("capacity", "out_of_range"));
        assert_eq!(wrong(|m| m.capacity = None), []);
        assert_eq!(wrong(|m| m.image_url = Some("http://a.example/x.png".to_owned())), one("image_url", "malformed"));
        assert_eq!(wrong(|m| m.image_url = Some("https://a.example/x.png".to_owned())), []);
        assert_eq!(wrong(|m| m.place.latitude = f64::NAN), one("place.latitude", "out_of_range"));
        assert_eq!(wrong(|m| m.place.longitude = 180.5), one("place.longitude", "out_of_range"));
        assert_eq!(wrong(|m| m.place.region.code = "11200".to_owned()), one("place.region.code", "malformed"));
        assert_eq!(wrong(|m| m.place.road_address = String::new()), []);
        let two_lines = || "두\n줄".to_owned();
        assert_eq!(wrong(|m| m.title = two_lines()), one("title", "control_character"));
        assert_eq!(wrong(|m| m.description = two_lines()), []);
        assert_eq!(wrong(|m| m.place.name = two_lines()), one("place.name", "control_character"));
        assert_eq!(wrong(|m| m.place.road_address = two_lines()), one("place.road_address", "control_character"));
        assert_eq!(wrong(|m| m.place.lot_address = two_lines()), one("place.lot_address", "control_character"));
        assert_eq!(wrong(|m| m.place.region.sido = two_lines()), one("place.region.sido", "control_character"));
        assert_eq!(wrong(|m| m.place.region.sigungu = two_lines()), one("place.region.sigungu", "control_character"));
        let id = wrong(|m| m.place.kakao_place_id = Some(two_lines()));
        assert_eq!(id, one("place.kakao_place_id", "control_character"));
    }
}

//! iCalendar files of meetups (RFC 5545).

use common::time::Timestamp;
use icalendar::{Calendar, Component, Event, EventLike, EventStatus};
use poem::{IntoResponse, Response, http::header};
use poem_openapi::{
    ApiResponse,
    registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry},
};

use crate::meetups::model::{Meetup, State};

const CONTENT_TYPE: &str = "text/calendar; charset=utf-8";

/// The text of an iCalendar file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalendarFile(pub String);

impl CalendarFile {
    /// A calendar of meetups, as of `now`.
    pub fn new(name: &str, meetups: &[Meetup], now: Timestamp) -> Self {
        let mut calendar = Calendar::new();
        calendar.name(name);
        for meetup in meetups {
            calendar.push(event(meetup, now));
        }
        Self(calendar.done().to_string())
    }
}

/// The `UID` never changes and `LAST-MODIFIED` advances, so that a program updates the event it has (RFC 5545,
/// sections 3.8.4.7 and 3.8.7.3).
fn event(meetup: &Meetup, now: Timestamp) -> Event {
    let place = &meetup.place;
    let address = if place.road_address.is_empty() { &place.lot_address } else { &place.road_address };
    let location =
        [&*place.name, &**address].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
    let mut event = Event::new();
    event
        .uid(&format!("{}@mingizuk", meetup.id))
        .timestamp(now.to_utc())
        .created(meetup.created_at.to_utc())
        .last_modified(meetup.updated_at.to_utc())
        .summary(&meetup.title)
        .description(&meetup.description)
        .location(&location)
        .add_property("GEO", format!("{};{}", place.latitude, place.longitude))
        .starts(meetup.starts_at.to_utc())
        .status(if meetup.state == State::Cancelled { EventStatus::Cancelled } else { EventStatus::Confirmed });
    // An end must be later than the start (section 3.8.2.2), in whole seconds.
    if meetup.ends_at.seconds() > meetup.starts_at.seconds() {
        event.ends(meetup.ends_at.to_utc());
    }
    event.done()
}

impl IntoResponse for CalendarFile {
    fn into_response(self) -> Response {
        Response::builder()
            .header(header::CONTENT_DISPOSITION, "attachment; filename=\"mingizuk.ics\"")
            .content_type(CONTENT_TYPE)
            .body(self.0)
    }
}

impl ApiResponse for CalendarFile {
    fn meta() -> MetaResponses {
        let example = Some("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n…\r\nEND:VCALENDAR\r\n".into());
        let schema = MetaSchemaRef::Inline(Box::new(MetaSchema { example, ..MetaSchema::new("string") }));
        let response = MetaResponse {
            description: "An iCalendar file (RFC 5545).",
            status: Some(200),
            status_range: None,
            content: vec![MetaMediaType { content_type: CONTENT_TYPE, schema }],
            headers: Vec::new(),
        };
        MetaResponses { responses: vec![response] }
    }

    fn register(_: &mut Registry) {}
}

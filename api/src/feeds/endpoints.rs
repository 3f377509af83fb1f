//! `/meetups/{id}/calendar.ics`, `/me/calendar-feed` and `/calendar-feeds/{token}.ics`.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use common::config::Profile;
use poem::{Request, http::header, web::Data};
use poem_openapi::{Object, OpenApi, param::Path, payload::Json, types::Example};
use rand::Rng;
use uuid::Uuid;

use super::{file::CalendarFile, store};
use crate::{
    caller::Caller,
    context::Context,
    meetups,
    problem::{Code, Problem, SECURED, codes},
    tags::{BASE, Tag},
};

/// How long ended meetups stay in a feed.
const PAST: Duration = Duration::from_secs(30 * 86_400);
/// Suffix of a feed's address.
const SUFFIX: &str = ".ics";

/// The operations.
pub struct Endpoints;

/// Where one's calendar is.
#[derive(Debug, Object)]
#[oai(example)]
pub struct CalendarFeed {
    /// For calendar programs. Whoever knows it can read the calendar.
    pub url: String,
}

impl Example for CalendarFeed {
    fn example() -> Self {
        Self { url: "https://api.example.com/api/v1/calendar-feeds/zYk3…Q.ics".to_owned() }
    }
}

/// Base URL under which clients reach the service.
fn public_url(cx: &Context, request: &Request) -> String {
    // In production a proxy terminates TLS, and the address is a secret.
    let scheme = if cx.config.profile == Profile::Production { "https" } else { "http" };
    let named = || format!("{scheme}://{}", request.header(header::HOST).unwrap_or("127.0.0.1"));
    cx.config.public_url.clone().map_or_else(named, |url| url.trim_end_matches('/').to_owned())
}

fn new_secret() -> String {
    URL_SAFE_NO_PAD.encode(rand::rng().random::<[u8; 32]>())
}

#[OpenApi(tag = "Tag::Calendars")]
impl Endpoints {
    /// A meetup for one's calendar
    ///
    /// Open to everyone.
    #[oai(path = "/meetups/:id/calendar.ics", method = "get", operation_id = "get_meetup_calendar")]
    async fn get_meetup_calendar(
        &self,
        cx: Data<&Context>,
        /// The meetup.
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
    ) -> Result<CalendarFile, Problem<{ codes(&[Code::NotFound]) }>> {
        let now = cx.env.clock.now();
        let meetup = meetups::store::find(&cx.db, id.0).await?.ok_or(Code::NotFound)?.into_meetup(now);
        Ok(CalendarFile::new(&meetup.title.clone(), &[meetup], now))
    }

    /// Your calendar feed
    ///
    /// A secret address to subscribe to. It stays the same until you change your password.
    #[oai(path = "/me/calendar-feed", method = "get", operation_id = "get_calendar_feed")]
    async fn get_calendar_feed(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        request: &Request,
    ) -> Result<Json<CalendarFeed>, Problem<SECURED>> {
        caller.account(&cx).await?;
        let token = store::find_or_create_token(&cx.db, caller.0.user, &new_secret(), cx.env.clock.now()).await?;
        let url = format!("{}{BASE}/calendar-feeds/{token}{SUFFIX}", public_url(&cx, request));
        Ok(Json(CalendarFeed { url }))
    }

    /// A calendar feed
    ///
    /// What its owner takes part in: from 30 days ago on, 200 meetups at most. Its address is the key.
    #[oai(path = "/calendar-feeds/:token", method = "get", operation_id = "read_calendar_feed")]
    async fn read_calendar_feed(
        &self,
        cx: Data<&Context>,
        /// The last part of the feed's address, `.ics` included.
        #[oai(example = "crate::examples::token")]
        token: Path<String>,
    ) -> Result<CalendarFile, Problem<{ codes(&[Code::NotFound]) }>> {
        let token = token.0.strip_suffix(SUFFIX).unwrap_or_default();
        let owner = store::find_owner(&cx.db, token).await?.ok_or(Code::NotFound)?;
        let now = cx.env.clock.now();
        let rows = store::list_meetups(&cx.db, owner, now - PAST).await?;
        let meetups: Vec<_> = rows.into_iter().map(|row| row.into_meetup(now)).collect();
        Ok(CalendarFile::new("밍기적", &meetups, now))
    }
}

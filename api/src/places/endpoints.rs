//! `/places`.

use poem::web::Data;
use poem_openapi::{OpenApi, param::Query, payload::Json};

use super::{
    kakao::{Kakao, KakaoError, PAGE, PAGES, Search},
    model::FoundPlace,
};
use crate::{
    caller::Caller,
    context::Context,
    input::Fields,
    meetups::place::Region,
    page::{self, Page},
    problem::{Code, Failure, Problem, SECURED, codes},
    tags::Tag,
};

/// Characters of a search, at most.
const QUERY_CHARS: usize = 100;
/// What every question to Kakao can end with.
const ASKS: u128 = SECURED | codes(&[Code::InvalidInput, Code::PlacesNotConfigured, Code::PlacesUnavailable]);

/// The operations.
pub struct Endpoints;

impl From<KakaoError> for Failure {
    fn from(error: KakaoError) -> Self {
        Self { cause: Some(error.to_string()), ..Code::PlacesUnavailable.into() }
    }
}

fn kakao(cx: &Context) -> Result<&Kakao, Failure> {
    cx.kakao.as_deref().ok_or_else(|| Code::PlacesNotConfigured.into())
}

#[OpenApi(prefix_path = "/places", tag = "Tag::Places")]
impl Endpoints {
    /// Find places
    ///
    /// By words, the nearest to a point first if one is given.
    #[oai(path = "/", method = "get", operation_id = "find_places")]
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the query")]
    async fn find_places(
        &self,
        cx: Data<&Context>,
        _caller: Caller,
        /// 1–100 characters.
        #[oai(example = "crate::examples::query")]
        query: Query<String>,
        /// WGS 84, degrees north; with `lng`.
        lat: Query<Option<f64>>,
        /// WGS 84, degrees east.
        lng: Query<Option<f64>>,
        /// `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// 1–15 items, 15 if absent; with a `cursor`, as many as on the page before.
        limit: Query<Option<u32>>,
    ) -> Result<Json<Page<FoundPlace>>, Problem<ASKS>> {
        let mut fields = Fields::new();
        let query = fields.text("query", &query.0, QUERY_CHARS);
        if let Some(lat) = lat.0 {
            fields.latitude("lat", lat);
        }
        if let Some(lng) = lng.0 {
            fields.longitude("lng", lng);
        }
        fields.check(lat.0.is_none() || lng.0.is_some(), "lng", "missing");
        fields.check(lng.0.is_none() || lat.0.is_some(), "lat", "missing");
        let limit = limit.0.unwrap_or(PAGE);
        fields.check((1..=PAGE).contains(&limit), "limit", "out_of_range");
        fields.finish()?;
        let (page, limit): (u32, u32) = page::decode_cursor(cursor.0.as_deref())?.unwrap_or((1, limit));
        if !(1..=PAGES).contains(&page) || !(1..=PAGE).contains(&limit) {
            return Err(page::invalid("cursor", "malformed").into());
        }
        let search = Search::new(query, lat.0.zip(lng.0), page, limit);
        let found = kakao(&cx)?.search(search, &*cx.env.clock).await?;
        let next_cursor = found.more.then(|| page::encode_cursor(&(page + 1, limit)));
        Ok(Json(Page { items: found.places, next_cursor }))
    }

    /// The legal region of a point
    ///
    /// Not found at sea and outside Korea.
    #[oai(path = "/region", method = "get", operation_id = "find_region")]
    async fn find_region(
        &self,
        cx: Data<&Context>,
        _caller: Caller,
        /// WGS 84, degrees north.
        #[oai(example = "crate::examples::lat")]
        lat: Query<f64>,
        /// WGS 84, degrees east.
        #[oai(example = "crate::examples::lng")]
        lng: Query<f64>,
    ) -> Result<Json<Region>, Problem<{ ASKS | codes(&[Code::NotFound]) }>> {
        let mut fields = Fields::new();
        fields.latitude("lat", lat.0);
        fields.longitude("lng", lng.0);
        fields.finish()?;
        let region = kakao(&cx)?.region(lat.0, lng.0, cx.env.clock.now()).await?;
        Ok(Json(region.ok_or(Code::NotFound)?))
    }
}

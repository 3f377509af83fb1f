//! Kakao Local: keyword search and the region of a point.
//!
//! Kakao's `x` is the longitude and `y` the latitude, both texts.

use std::time::Duration;

use common::{
    config::Secret,
    time::{Clock, Timestamp},
};
use reqwest::{
    Client,
    header::{self, HeaderValue},
};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::sync::Semaphore;

use super::{cache::Cache, model::FoundPlace};
use crate::meetups::place::Region;

/// The longest that connecting may take, and a whole answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of an answer, at most.
const MAX_BYTES: usize = 256 * 1024;
/// Concurrent requests to Kakao; a further one waits for as long as a response may take.
const CONCURRENT_REQUESTS: usize = 16;
/// Cached responses, and their time to live.
const REMEMBERED: usize = 1_000;
const TTL: Duration = Duration::from_secs(600);
/// Places of a page, at most: what Kakao gives.
pub const PAGE: u32 = 15;
/// Pages that Kakao serves.
pub const PAGES: u32 = 45;

/// Error of a request to Kakao.
#[derive(Debug, thiserror::Error)]
pub enum KakaoError {
    /// It did not answer, or not in time.
    #[error("Kakao does not answer: {0}")]
    Unreachable(#[source] reqwest::Error),
    /// It refused.
    #[error("Kakao answered {0}")]
    Status(u16),
    /// Not sent: too many requests wait.
    #[error("too many questions wait for Kakao")]
    Busy,
    /// The response cannot be parsed.
    #[error("Kakao's answer cannot be read: {0}")]
    Nonsense(String),
}

impl From<reqwest::Error> for KakaoError {
    /// Without the URL: search words and positions stay out of the log.
    fn from(error: reqwest::Error) -> Self {
        Self::Unreachable(error.without_url())
    }
}

/// A page of places.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The places.
    pub places: Vec<FoundPlace>,
    /// Whether there are more.
    pub more: bool,
}

/// A search and its cache key. Positions are rounded to about a hundred metres for a search and ten for a region, so
/// that people near each other share a cached response.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Search {
    query: String,
    center: Option<(String, String)>,
    page: u32,
    limit: u32,
}

impl Search {
    /// A page, from 1, of `limit` places with these words, the nearest to a point first if one is given as latitude and longitude.
    pub fn new(query: String, center: Option<(f64, f64)>, page: u32, limit: u32) -> Self {
        let center = center.map(|(latitude, longitude)| (format!("{latitude:.3}"), format!("{longitude:.3}")));
        Self { query, center, page, limit }
    }
}

/// A client of Kakao Local.
#[derive(Debug)]
pub struct Kakao {
    client: Client,
    base_url: String,
    key: Secret,
    turns: Semaphore,
    searches: Cache<Search, Found>,
    regions: Cache<(String, String), Option<Region>>,
}

#[derive(Deserialize)]
struct Answer<T> {
    documents: Vec<T>,
    #[serde(default)]
    meta: Meta,
}

#[derive(Default, Deserialize)]
struct Meta {
    #[serde(default)]
    is_end: Option<bool>,
}

#[derive(Deserialize)]
struct PlaceDocument {
    id: String,
    place_name: String,
    #[serde(default)]
    category_name: String,
    #[serde(default)]
    phone: String,
    #[serde(default)]
    address_name: String,
    #[serde(default)]
    road_address_name: String,
    x: String,
    y: String,
    #[serde(default)]
    place_url: String,
}

#[derive(Deserialize)]
struct RegionDocument {
    region_type: String,
    region_1depth_name: String,
    region_2depth_name: String,
    code: String,
}

impl TryFrom<PlaceDocument> for FoundPlace {
    type Error = KakaoError;
    fn try_from(place: PlaceDocument) -> Result<Self, KakaoError> {
        let degrees = |text: &str, most: f64| {
            let degrees = text.parse::<f64>().ok().filter(|degrees| degrees.abs() <= most);
            degrees.ok_or_else(|| KakaoError::Nonsense(format!("{text} are no degrees")))
        };
        Ok(Self {
            latitude: degrees(&place.y, 90.0)?,
            longitude: degrees(&place.x, 180.0)?,
            name: place.place_name,
            road_address: place.road_address_name,
            lot_address: place.address_name,
            category: place.category_name,
            phone: place.phone,
            kakao_place_id: place.id,
            kakao_place_url: place.place_url,
        })
    }
}

impl Kakao {
    /// A client that asks `base_url`.
    ///
    /// # Errors
    /// When the machine has no certificates to trust.
    pub fn new(base_url: &str, key: Secret) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            client,
            base_url: base_url.trim_end_matches('/').to_owned(),
            key,
            turns: Semaphore::new(CONCURRENT_REQUESTS),
            searches: Cache::new(REMEMBERED, TTL),
            regions: Cache::new(REMEMBERED, TTL),
        })
    }

    /// Places with these words.
    ///
    /// # Errors
    /// See [`KakaoError`]; those are not remembered.
    pub async fn search(&self, search: Search, clock: &dyn Clock) -> Result<Found, KakaoError> {
        if let Some(found) = self.searches.get(&search, clock.now()) {
            return Ok(found);
        }
        let mut query = vec![
            ("query", search.query.clone()),
            ("page", search.page.to_string()),
            ("size", search.limit.to_string()),
        ];
        if let Some((latitude, longitude)) = &search.center {
            query.extend([("y", latitude.clone()), ("x", longitude.clone()), ("sort", "distance".to_owned())]);
        }
        let answer: Answer<PlaceDocument> = self.ask("/v2/local/search/keyword.json", &query).await?;
        let places = answer
            .documents
            .into_iter()
            .take(search.limit as usize)
            .map(TryInto::try_into)
            .collect::<Result<_, _>>()?;
        let found = Found { places, more: answer.meta.is_end == Some(false) && search.page < PAGES };
        self.searches.put(search, found.clone(), clock.now());
        Ok(found)
    }

    /// The legal region (법정동) of a point; `None` at sea and abroad.
    ///
    /// # Errors
    /// See [`KakaoError`]; those are not remembered.
    pub async fn region(&self, latitude: f64, longitude: f64, now: Timestamp) -> Result<Option<Region>, KakaoError> {
        let key = (format!("{latitude:.4}"), format!("{longitude:.4}"));
        if let Some(region) = self.regions.get(&key, now) {
            return Ok(region);
        }
        let query = [("y", key.0.clone()), ("x", key.1.clone())];
        let answer: Answer<RegionDocument> = self.ask("/v2/local/geo/coord2regioncode.json", &query).await?;
        // The other type is the administrative one (행정동).
        let legal = answer.documents.into_iter().find(|region| region.region_type == "B");
        let region = legal.map(|legal| Region {
            sido: legal.region_1depth_name,
            sigungu: legal.region_2depth_name,
            code: legal.code,
        });
        self.regions.put(key, region.clone(), now);
        Ok(region)
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, KakaoError> {
        let turn = tokio::time::timeout(TIMEOUT, self.turns.acquire()).await;
        let _turn = turn.ok().and_then(Result::ok).ok_or(KakaoError::Busy)?;
        let mut authorization = HeaderValue::from_str(&format!("KakaoAK {}", self.key.expose()))
            .map_err(|_| KakaoError::Nonsense("the key is none that a header can carry".to_owned()))?;
        authorization.set_sensitive(true);
        let mut response = self
            .client
            .get(format!("{}{path}", self.base_url))
            .query(query)
            .header(header::AUTHORIZATION, authorization)
            .send()
            .await?;
        if !response.status().is_success() {
            return Err(KakaoError::Status(response.status().as_u16()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_BYTES {
                return Err(KakaoError::Nonsense("too long".to_owned()));
            }
        }
        serde_json::from_slice(&bytes).map_err(|error| KakaoError::Nonsense(error.to_string()))
    }
}

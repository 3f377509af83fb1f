//! Places as clients see them.

use poem_openapi::{Object, types::Example};

use crate::meetups::place::Place;

/// A place that was found. The `place` of a meetup has its name, its addresses, its point and, where it has them, its Kakao id and
/// page, with the region from `GET /places/region`.
#[derive(Clone, Debug, PartialEq, Object)]
#[oai(example)]
pub struct FoundPlace {
    /// What it is called.
    pub name: String,
    /// Road-name address (도로명); empty if there is none.
    pub road_address: String,
    /// Lot-number address (지번); empty if there is none.
    pub lot_address: String,
    /// WGS 84, degrees north.
    pub latitude: f64,
    /// WGS 84, degrees east.
    pub longitude: f64,
    /// What kind of place, in Kakao's words; may be empty.
    pub category: String,
    /// Its telephone number; may be empty.
    pub phone: String,
    /// Kakao's id of the place.
    pub kakao_place_id: String,
    /// Kakao's page of the place.
    pub kakao_place_url: String,
}

impl Example for FoundPlace {
    fn example() -> Self {
        let place = Place::example();
        Self {
            name: place.name,
            road_address: place.road_address,
            lot_address: place.lot_address,
            latitude: place.latitude,
            longitude: place.longitude,
            category: "여행 > 관광,명소 > 도시근린공원".to_owned(),
            phone: "02-460-2905".to_owned(),
            kakao_place_id: "8131890".to_owned(),
            kakao_place_url: "http://place.map.kakao.com/8131890".to_owned(),
        }
    }
}

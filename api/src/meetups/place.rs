//! Place of a meetup and its legal region, as clients send and see them.

use poem_openapi::{Object, types::Example};
use serde::{Deserialize, Serialize};

/// Where a meetup takes place.
#[derive(Clone, Debug, Object, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct Place {
    /// 1–100 characters.
    pub name: String,
    /// Road-name address (도로명), at most 100 characters.
    pub road_address: String,
    /// Lot-number address (지번), at most 100 characters.
    pub lot_address: String,
    /// WGS 84, degrees north.
    pub latitude: f64,
    /// WGS 84, degrees east.
    pub longitude: f64,
    /// The legal region.
    pub region: Region,
    /// Kakao's id of the place.
    #[oai(skip_serializing_if_is_none)]
    pub kakao_place_id: Option<String>,
    /// Kakao's page of the place.
    #[oai(skip_serializing_if_is_none)]
    pub kakao_place_url: Option<String>,
}

impl Example for Place {
    fn example() -> Self {
        Self {
            name: "서울숲".to_owned(),
            road_address: "서울 성동구 뚝섬로 273".to_owned(),
            lot_address: "서울 성동구 성수동1가 678-1".to_owned(),
            latitude: 37.5444,
            longitude: 127.0374,
            region: Region::example(),
            kakao_place_id: Some("8131890".to_owned()),
            kakao_place_url: Some("https://place.map.kakao.com/8131890".to_owned()),
        }
    }
}

/// A legal region (법정동).
#[derive(Clone, Debug, Object, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct Region {
    /// Province or metropolitan city (시도).
    pub sido: String,
    /// City, county or district (시군구).
    pub sigungu: String,
    /// The 10 digits of the legal region code; shorter levels end in zeros.
    pub code: String,
}

impl Example for Region {
    fn example() -> Self {
        Self { sido: "서울특별시".to_owned(), sigungu: "성동구".to_owned(), code: "1120011400".to_owned() }
    }
}

/// Common prefix of the codes within a region: a code of ten digits that ends in the zeros of a province (2 digits), a
/// district (5) or a town (8) stands for all of it.
pub fn region_prefix(code: &str) -> &str {
    let levels = [2, 5, 8].into_iter().filter(|level| code.len() == 10 && code[*level..].bytes().all(|b| b == b'0'));
    levels.min().map_or(code, |level| &code[..level])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_code_with_zeros_is_a_prefix() {
        for (code, prefix) in
            [("1100000000", "11"), ("1120000000", "11200"), ("1120011400", "11200114"), ("1120011401", "1120011401")]
        {
            assert_eq!(region_prefix(code), prefix);
        }
        for code in ["11", "110", "11000", "1100000"] {
            assert_eq!(region_prefix(code), code);
        }
    }
}

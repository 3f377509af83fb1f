//! Search for meetups: its parameters, and the SQL that answers it.
//!
//! Texts are found by the terms of `terms.rs`, places by the cells of `grid.rs`: both are plain indexes on every database.
//! A page continues at the [`Position`] of the last item, so that no meetup is repeated or left out while others are opened
//! or cancelled.

use common::{
    db::{Db, DbError, Query, Value, padded, sql},
    text::fold,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    grid::Circle,
    model::{Sort, State},
    place::region_prefix,
    row::{COLUMNS, FROM, MeetupRow},
    terms,
};

/// Parameters of a search.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Words that the texts of a meetup contain.
    pub text: Option<String>,
    /// Digits that the region code begins with.
    pub region: Option<String>,
    /// Area of the place.
    pub circle: Option<Circle>,
    /// State; absent: any but cancelled.
    pub state: Option<State>,
    /// Earliest beginning.
    pub from: Option<Timestamp>,
    /// The beginning is before this.
    pub to: Option<Timestamp>,
    /// Order of the list.
    pub sort: Sort,
}

/// Position in an ordered list: the sort key of an item, made unique by its id.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Position {
    /// By id.
    Latest(Uuid),
    /// By likes and id.
    Likes(i64, Uuid),
    /// By the beginning and id.
    Soonest(Timestamp, Uuid),
    /// By distance and id.
    Distance(#[serde(with = "exact")] f64, Uuid),
}

/// Serialises a float as its bits: the shortest decimal text of some floats is parsed as a neighbouring float.
mod exact {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        value.to_bits().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        u64::deserialize(deserializer).map(f64::from_bits)
    }
}

/// A page of at most `limit` meetups after a position.
///
/// # Errors
/// See [`DbError`].
pub async fn page(
    db: &Db,
    search: &Search,
    after: Option<Position>,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<MeetupRow>, DbError> {
    let Some(circle) = search.circle.filter(|_| search.sort == Sort::Distance) else {
        return query(search, after, now).push(" LIMIT ?").bind(limit).all(db).await;
    };
    // No index has this order. The innermost ring usually has enough for a page, so that a page does not cost the whole
    // circle.
    let from = after.and_then(Position::distance).unwrap_or(0.0);
    let (mut found, mut after) = (Vec::new(), after);
    for ring in circle.rings(from) {
        let search = Search { circle: Some(ring), ..search.clone() };
        let rows = query(&search, after, now).push(" LIMIT ?").bind(limit - found.len()).all(db).await?;
        found.extend(rows);
        if found.len() == limit {
            break;
        }
        after = None;
    }
    Ok(found)
}

/// The query without a limit.
fn query(search: &Search, after: Option<Position>, now: Timestamp) -> Query {
    let query = sql(format!("SELECT * FROM (SELECT {COLUMNS}"));
    let query = match &search.circle {
        Some(circle) => {
            let (north, east) = circle.weights();
            query
                .push(", (m.latitude - ?) * (m.latitude - ?) * ? + (m.longitude - ?) * (m.longitude - ?) * ?")
                .bind_all([circle.latitude, circle.latitude, north, circle.longitude, circle.longitude, east])
                .push(" AS distance_squared")
        }
        None => query,
    };
    let folded = search.text.as_deref().map(fold).unwrap_or_default();
    let words: Vec<&str> = terms::words(&folded).collect();
    let query = with_terms(query.push(FROM), &words);
    let query = with_state(query.push(" WHERE 1 = 1"), search, now);
    let query = with_filters(query, search, &words);
    in_order(query.push(") m WHERE 1 = 1"), search, after)
}

fn with_terms(mut query: Query, words: &[&str]) -> Query {
    let terms = terms::lookup_terms(words);
    for (n, term) in padded(&terms).enumerate() {
        query = query.push(&format!(" JOIN meetup_terms t{n} ON t{n}.meetup_id = m.id AND t{n}.term = ?")).bind(term);
    }
    query
}

fn with_state(query: Query, search: &Search, now: Timestamp) -> Query {
    match search.state {
        // The soonest from now on, not the oldest.
        None if search.sort == Sort::Soonest => query.push(" AND m.cancelled_at IS NULL AND m.ends_at > ?").bind(now),
        None => query.push(" AND m.cancelled_at IS NULL"),
        Some(State::Upcoming) => query.push(" AND m.cancelled_at IS NULL AND m.starts_at > ?").bind(now),
        Some(State::Ongoing) => {
            query.push(" AND m.cancelled_at IS NULL AND m.starts_at <= ? AND m.ends_at > ?").bind(now).bind(now)
        }
        Some(State::Ended) => query.push(" AND m.cancelled_at IS NULL AND m.ends_at <= ?").bind(now),
        Some(State::Cancelled) => query.push(" AND m.cancelled_at IS NOT NULL"),
    }
}

fn with_filters(mut query: Query, search: &Search, words: &[&str]) -> Query {
    for word in padded(words) {
        query = query.push(" AND m.search_text LIKE ? ESCAPE '!'").bind(terms::like_pattern(word));
    }
    if let Some(region) = &search.region {
        let region = region_prefix(region);
        // Codes are digits: what follows every code with this beginning is the beginning and a colon.
        query = query.push(" AND m.region_code >= ? AND m.region_code < ?").bind(region).bind(format!("{region}:"));
    }
    if search.from.is_some() || search.to.is_some() {
        let (from, to) = (search.from.unwrap_or(Timestamp(i64::MIN)), search.to.unwrap_or(Timestamp(i64::MAX)));
        query = query.push(" AND m.starts_at >= ? AND m.starts_at < ?").bind(from).bind(to);
    }
    if let Some(circle) = &search.circle {
        let runs = circle.cells();
        let any = vec!["m.cell BETWEEN ? AND ?"; padded(&runs).count()].join(" OR ");
        query = query.push(&format!(" AND ({any})")).bind_all(padded(&runs).flat_map(|(first, last)| [*first, *last]));
    }
    query
}

fn in_order(mut query: Query, search: &Search, after: Option<Position>) -> Query {
    if let Some(circle) = &search.circle {
        query = query.push(" AND m.distance_squared <= ?").bind(circle.radius * circle.radius);
    }
    let query = match after {
        // Cells on the hole's edge have a part of it.
        None => match search.circle.filter(|circle| circle.hole > 0.0) {
            Some(ring) => query.push(" AND m.distance_squared > ?").bind(ring.hole * ring.hole),
            None => query,
        },
        Some(Position::Latest(id)) => query.push(" AND m.id < ?").bind(id),
        Some(Position::Likes(likes, id)) => beyond(query, "m.like_count", "<", likes, id),
        Some(Position::Soonest(at, id)) => beyond(query, "m.starts_at", ">", at, id),
        Some(Position::Distance(distance, id)) => beyond(query, "m.distance_squared", ">", distance, id),
    };
    query.push(match search.sort {
        Sort::Latest => " ORDER BY m.id DESC",
        Sort::Likes => " ORDER BY m.like_count DESC, m.id DESC",
        Sort::Soonest => " ORDER BY m.starts_at, m.id",
        Sort::Distance => " ORDER BY m.distance_squared, m.id",
    })
}

fn beyond(query: Query, column: &str, sign: &str, value: impl Into<Value> + Copy, id: Uuid) -> Query {
    let condition = format!(" AND {column} {sign}= ? AND ({column} {sign} ? OR m.id {sign} ?)");
    query.push(&condition).bind(value).bind(value).bind(id)
}

impl Position {
    /// The position of a row in an order.
    pub fn of(row: &MeetupRow, sort: Sort) -> Self {
        match sort {
            Sort::Latest => Self::Latest(row.id),
            Sort::Likes => Self::Likes(row.like_count, row.id),
            Sort::Soonest => Self::Soonest(row.starts_at, row.id),
            Sort::Distance => Self::Distance(row.distance_squared.unwrap_or_default(), row.id),
        }
    }

    /// Metres from the centre, if the list is ordered by distance.
    pub fn distance(self) -> Option<f64> {
        match self {
            Self::Distance(squared, _) => Some(squared.sqrt()),
            _ => None,
        }
    }

    /// The order that it belongs to.
    pub const fn sort(&self) -> Sort {
        match self {
            Self::Latest(..) => Sort::Latest,
            Self::Likes(..) => Sort::Likes,
            Self::Soonest(..) => Sort::Soonest,
            Self::Distance(..) => Sort::Distance,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_round_trips_bit_for_bit() {
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        for _ in 0..10_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // Any fraction between 0 and 10^9, the squares of distances in metres.
            #[expect(clippy::cast_precision_loss, reason = "any number will do")]
            let distance = (random >> 11) as f64 / (1u64 << 53) as f64 * 1e9;
            let position = Position::Distance(distance, Uuid::nil());
            let json = serde_json::to_string(&position).expect("JSON");
            assert_eq!(serde_json::from_str::<Position>(&json).expect("a position"), position);
        }
    }
}

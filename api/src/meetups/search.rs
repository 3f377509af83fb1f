//! Finding meetups: what can be asked for, and the SQL that answers it.
//!
//! Text is found by the characters and pairs of characters of its words, places by the square of the grid that they lie in:
//! both are plain indexes, on every database. Pages are continued at the last item's place in the order, so that they stay
//! right while meetups come and go.

use std::collections::BTreeSet;

use common::{
    db::{Db, DbError, Query, Value, sql},
    text::fold,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    grid::Circle,
    model::{Place, Sort, State},
    store::{COLUMNS, FROM, MeetupRow},
};

/// Characters of a text that searches look at, at most: folding makes some characters many, and a column has an end.
const SEARCHED: usize = 4_000;
/// Pairs of characters that a search looks up, at most; longer words are compared in full anyway.
const MAX_TERMS: usize = 8;
/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Words that its texts have.
    pub text: Option<String>,
    /// Digits that its region code begins with.
    pub region: Option<String>,
    /// Where it takes place.
    pub circle: Option<Circle>,
    /// Where it is in its life; absent: anywhere but called off.
    pub state: Option<State>,
    /// It begins then or later.
    pub from: Option<Timestamp>,
    /// It begins before.
    pub to: Option<Timestamp>,
    /// In which order.
    pub sort: Sort,
}

/// A place in the order of a list.
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

/// A number with a fraction as its bits: the shortest text of some is read back as the number beside it.
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

/// The text that a search is compared with.
pub fn search_text(title: &str, description: &str, place: &Place) -> String {
    let text = fold(&[title, &place.name, &place.region.sido, &place.region.sigungu, description].join("\n"));
    text.chars().take(SEARCHED).collect()
}

/// Whether a search has words to look for.
pub fn has_words(text: &str) -> bool {
    words(&fold(text)).next().is_some()
}

/// The beginning that the codes within a region share: a code of ten digits that ends in the zeros of a province (2 digits), a
/// district (5) or a town (8) stands for all of it.
pub fn region_prefix(code: &str) -> &str {
    let levels = [2, 5, 8].into_iter().filter(|level| code.len() == 10 && code[*level..].bytes().all(|b| b == b'0'));
    levels.min().map_or(code, |level| &code[..level])
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// The characters and pairs of characters of the words of a folded text.
pub fn terms(text: &str) -> BTreeSet<String> {
    let mut terms = BTreeSet::new();
    for word in words(text) {
        let chars: Vec<char> = word.chars().collect();
        terms.extend(chars.iter().map(char::to_string));
        terms.extend(chars.windows(2).map(|pair| pair.iter().collect::<String>()));
    }
    terms
}

/// What to look up for a word: its pairs of characters, or the only one.
fn terms_of_word(word: &str) -> Vec<String> {
    let chars: Vec<char> = word.chars().collect();
    match chars.len() {
        1 => vec![word.to_owned()],
        _ => chars.windows(2).map(|pair| pair.iter().collect()).collect(),
    }
}

/// A pattern of `LIKE … ESCAPE '!'` for texts that contain a word.
fn containing(word: &str) -> String {
    let mut pattern = String::from("%");
    for c in word.chars() {
        if matches!(c, '!' | '%' | '_') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern + "%"
}

/// A page of what is found, at most `limit`, after a place in the order.
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
    // No index is in this order. The inmost of a few rings most often has enough for a page, so that the page does not cost
    // all that the circle holds.
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

/// The rows that are found, all of them in order.
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
    let words: Vec<&str> = words(&folded).collect();
    let query = with_terms(query.push(FROM), &words);
    let query = with_life(query.push(" WHERE 1 = 1"), search, now);
    let query = with_filters(query, search, &words);
    in_order(query.push(") m WHERE 1 = 1"), search, after)
}

fn with_terms(mut query: Query, words: &[&str]) -> Query {
    let terms: BTreeSet<String> = words.iter().flat_map(|word| terms_of_word(word)).collect();
    for (n, term) in terms.into_iter().take(MAX_TERMS).enumerate() {
        query = query.push(&format!(" JOIN meetup_terms t{n} ON t{n}.meetup_id = m.id AND t{n}.term = ?")).bind(term);
    }
    query
}

fn with_life(query: Query, search: &Search, now: Timestamp) -> Query {
    match search.state {
        // Who asks for the soonest does not mean those that were first of all.
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
    for word in words {
        query = query.push(" AND m.search_text LIKE ? ESCAPE '!'").bind(containing(word));
    }
    if let Some(region) = &search.region {
        let region = region_prefix(region);
        // Codes are digits: what follows every code with this beginning is the beginning and a colon.
        query = query.push(" AND m.region_code >= ? AND m.region_code < ?").bind(region).bind(format!("{region}:"));
    }
    if let Some(from) = search.from {
        query = query.push(" AND m.starts_at >= ?").bind(from);
    }
    if let Some(to) = search.to {
        query = query.push(" AND m.starts_at < ?").bind(to);
    }
    if let Some(circle) = &search.circle {
        let runs = circle.cells();
        let any = vec!["m.cell BETWEEN ? AND ?"; runs.len()].join(" OR ");
        query = query.push(&format!(" AND ({any})")).bind_all(runs.into_iter().flat_map(|(first, last)| [first, last]));
    }
    query
}

fn in_order(mut query: Query, search: &Search, after: Option<Position>) -> Query {
    if let Some(circle) = &search.circle {
        query = query.push(" AND m.distance_squared <= ?").bind(circle.radius * circle.radius);
    }
    let query = match after {
        // The rest of the hole, whose squares are not looked at.
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
    /// The place of a row in an order.
    pub fn of(row: &MeetupRow, sort: Sort) -> Self {
        match sort {
            Sort::Latest => Self::Latest(row.id),
            Sort::Likes => Self::Likes(row.like_count, row.id),
            Sort::Soonest => Self::Soonest(row.starts_at, row.id),
            Sort::Distance => Self::Distance(row.distance_squared.unwrap_or_default(), row.id),
        }
    }

    /// Metres from where one searched, in the order of distances.
    pub fn distance(self) -> Option<f64> {
        match self {
            Self::Distance(squared, _) => Some(squared.sqrt()),
            _ => None,
        }
    }

    /// The order it is a place in.
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
    use poem_openapi::types::Example;

    use super::*;

    #[test]
    fn a_position_is_read_back_bit_by_bit() {
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

    #[test]
    fn what_is_looked_at_has_an_end() {
        let text = search_text(&"ﷺ".repeat(30), &"ﷺ".repeat(500), &Place::example());
        assert_eq!(text.chars().count(), SEARCHED);
        assert!(has_words("🏃 run") && !has_words("👋 !%"));
    }

    #[test]
    fn zeros_of_a_region_code_stand_for_all_of_it() {
        for (code, prefix) in
            [("1100000000", "11"), ("1120000000", "11200"), ("1120011400", "11200114"), ("1120011401", "1120011401")]
        {
            assert_eq!(region_prefix(code), prefix);
        }
        for code in ["11", "110", "11000", "1100000"] {
            assert_eq!(region_prefix(code), code);
        }
    }

    #[test]
    fn texts_are_found_by_characters_and_pairs() {
        let terms = terms(&fold("서울숲 Run!"));
        let expected = ["서", "울", "숲", "서울", "울숲", "r", "u", "n", "ru", "un"];
        assert_eq!(terms, expected.iter().map(|term| (*term).to_owned()).collect());
        assert_eq!(terms_of_word("서울숲"), ["서울", "울숲"]);
        assert_eq!(terms_of_word("숲"), ["숲"]);
        assert_eq!(containing("50%_!"), "%50!%!_!!%");
    }
}

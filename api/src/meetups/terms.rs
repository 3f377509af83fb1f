//! Text index of meetups: a text is found by the characters and pairs of characters of its words.
//!
//! Pure functions. `store.rs` writes the terms, `search.rs` looks them up.

use std::collections::BTreeSet;

use common::text::fold;

use super::place::Place;

/// Characters of the searched text, at most: folding expands some characters, and the column is limited.
const SEARCHED: usize = 4_000;
/// Terms that a search looks up, at most; every word is compared in full besides.
const MAX_TERMS: usize = 8;

/// Searched text of a meetup, folded.
pub fn search_text(title: &str, description: &str, place: &Place) -> String {
    let text = fold(&[title, &place.name, &place.region.sido, &place.region.sigungu, description].join("\n"));
    text.chars().take(SEARCHED).collect()
}

/// Whether a text has at least one word.
pub fn has_words(text: &str) -> bool {
    words(&fold(text)).next().is_some()
}

/// Words of a text: runs of letters and digits.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// Terms of a folded text: the characters and pairs of characters of its words.
pub fn terms(text: &str) -> BTreeSet<String> {
    let mut terms = BTreeSet::new();
    for word in words(text) {
        let chars: Vec<char> = word.chars().collect();
        terms.extend(chars.iter().map(char::to_string));
        terms.extend(chars.windows(2).map(|pair| pair.iter().collect::<String>()));
    }
    terms
}

/// Terms to look up for folded words, at most [`MAX_TERMS`].
pub fn lookup_terms(words: &[&str]) -> Vec<String> {
    let terms: BTreeSet<String> = words.iter().flat_map(|word| terms_of_word(word)).collect();
    terms.into_iter().take(MAX_TERMS).collect()
}

/// Terms of a word: its pairs of characters, or its only character.
fn terms_of_word(word: &str) -> Vec<String> {
    let chars: Vec<char> = word.chars().collect();
    match chars.len() {
        1 => vec![word.to_owned()],
        _ => chars.windows(2).map(|pair| pair.iter().collect()).collect(),
    }
}

/// Pattern of `LIKE … ESCAPE '!'` for texts that contain a word.
pub fn like_pattern(word: &str) -> String {
    let mut pattern = String::from("%");
    for c in word.chars() {
        if matches!(c, '!' | '%' | '_') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern + "%"
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::Example;

    use super::*;

    #[test]
    fn searched_text_is_bounded() {
        let text = search_text(&"ﷺ".repeat(30), &"ﷺ".repeat(500), &Place::example());
        assert_eq!(text.chars().count(), SEARCHED);
        assert!(has_words("🏃 run") && !has_words("👋 !%"));
    }

    #[test]
    fn terms_are_characters_and_pairs() {
        let terms = terms(&fold("서울숲 Run!"));
        let expected = ["서", "울", "숲", "서울", "울숲", "r", "u", "n", "ru", "un"];
        assert_eq!(terms, expected.iter().map(|term| (*term).to_owned()).collect());
        assert_eq!(terms_of_word("서울숲"), ["서울", "울숲"]);
        assert_eq!(terms_of_word("숲"), ["숲"]);
        assert_eq!(like_pattern("50%_!"), "%50!%!_!!%");
    }
}

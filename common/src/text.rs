//! Text validation: trimming, NFC, length in characters, forbidden code points.

use unicode_normalization::UnicodeNormalization;

/// Why a text was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The text is empty after trimming.
    #[error("must not be empty")]
    Empty,
    /// More characters than allowed.
    #[error("is longer than {max} characters")]
    TooLong {
        /// The most that is allowed.
        max: usize,
    },
    /// A control character other than line feed and tab.
    #[error("contains a control character")]
    Control,
}

/// The text trimmed and in Unicode normalisation form C, if 1 to `max` characters (Unicode scalar values) remain.
///
/// # Errors
/// [`TextError`] says which rule it breaks.
pub fn clean(text: &str, max: usize) -> Result<String, TextError> {
    let clean: String = text.trim().nfc().collect();
    if clean.is_empty() {
        return Err(TextError::Empty);
    }
    if clean.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(TextError::Control);
    }
    // Counting bytes first spares a walk over a text that is short by any measure.
    if clean.len() > max && clean.chars().count() > max {
        return Err(TextError::TooLong { max });
    }
    Ok(clean)
}

/// The form in which texts are compared when "unique ignoring case" is the rule: NFKC, lower case, trimmed.
pub fn fold(text: &str) -> String {
    text.trim().nfkc().flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_trimmed_normalised_and_measured_in_characters() {
        for (input, max, expected) in [
            ("  안녕하세요 ", 5, Ok("안녕하세요")),
            ("안녕하세요", 4, Err(TextError::TooLong { max: 4 })),
            ("\u{1112}\u{1161}\u{11ab}", 1, Ok("한")),
            ("👋🏽", 2, Ok("👋🏽")),
            (" \u{3000}\n", 9, Err(TextError::Empty)),
            ("a\u{0}b", 9, Err(TextError::Control)),
            ("두 줄\n둘째", 9, Ok("두 줄\n둘째")),
        ] {
            assert_eq!(clean(input, max).as_deref().map_err(|e| *e), expected, "{input:?}");
        }
    }

    #[test]
    fn folding_ignores_case_and_width() {
        assert_eq!(fold(" Ｍingi@Example.COM"), fold("mingi@example.com"));
        assert_ne!(fold("밍기"), fold("몽실"));
    }
}

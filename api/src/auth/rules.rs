//! Validation of an account's fields. Pure functions: what is wrong is noted in a [`Fields`].

use chrono_tz::Tz;
use common::text::fold;

use crate::input::Fields;

/// Bytes of a password, at most: bcrypt ignores the rest.
pub const MAX_PASSWORD_BYTES: usize = 72;
const MIN_PASSWORD_CHARS: usize = 8;
const MAX_EMAIL_CHARS: usize = 254;
/// Characters of a nickname, at most.
pub const MAX_NICKNAME_CHARS: usize = 16;
/// Characters of a nickname's folded form, at most. Some characters fold to a dozen.
const MAX_NICKNAME_KEY_CHARS: usize = 64;
/// Default time zone.
pub const DEFAULT_TIME_ZONE: &str = "Asia/Seoul";
/// Default first day of the week.
pub const DEFAULT_WEEK_START: &str = "monday";

/// Changes of a profile; absent fields stay as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileChange {
    /// As others see it.
    pub nickname: Option<String>,
    /// An IANA name.
    pub time_zone: Option<String>,
    /// `monday` or `sunday`.
    pub week_start: Option<String>,
}

/// The email trimmed; noted as wrong unless it is `local@domain` with a dot in the domain.
pub fn email(fields: &mut Fields, value: &str) -> String {
    let email = fields.text("email", value, MAX_EMAIL_CHARS);
    let good = email.split_once('@').is_some_and(|(local, domain)| {
        let labels: Vec<&str> = domain.split('.').collect();
        let domain_ok = labels.len() > 1 && labels.iter().all(|label| !label.is_empty());
        let fits = fold(&email).chars().count() <= MAX_EMAIL_CHARS;
        !local.is_empty() && domain_ok && fits && !domain.contains('@') && !email.contains(char::is_whitespace)
    });
    fields.check(email.is_empty() || good, "email", "malformed");
    email
}

/// Notes what is wrong with a new password.
pub fn password(fields: &mut Fields, field: &str, value: &str) {
    fields.check(value.chars().count() >= MIN_PASSWORD_CHARS, field, "too_short");
    fields.check(value.len() <= MAX_PASSWORD_BYTES, field, "too_long");
    fields.check(value.chars().any(char::is_alphabetic), field, "needs_letter");
    fields.check(value.chars().any(|c| c.is_ascii_digit()), field, "needs_digit");
}

/// The nickname cleaned.
pub fn nickname(fields: &mut Fields, value: &str) -> String {
    let nickname = fields.line("nickname", value, MAX_NICKNAME_CHARS);
    fields.check(!nickname.contains(is_invisible), "nickname", "invisible_character");
    fields.check(fold(&nickname).chars().count() <= MAX_NICKNAME_KEY_CHARS, "nickname", "too_long");
    nickname
}

/// Invisible and bidirectional control characters, with which two nicknames could look the same. The zero-width joiner
/// and the variation selectors, which emoji need, are not among them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}' | '\u{200c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{115f}' | '\u{1160}' | '\u{ffa0}' | '\u{feff}')
}

/// The first day of the week, the default if there is none.
pub fn week_start(fields: &mut Fields, value: Option<&str>) -> String {
    let day = value.unwrap_or(DEFAULT_WEEK_START);
    fields.check(matches!(day, "monday" | "sunday"), "week_start", "unknown");
    day.to_owned()
}

/// The IANA name of a time zone, the default if there is none.
pub fn time_zone(fields: &mut Fields, value: Option<&str>) -> String {
    let name = value.unwrap_or(DEFAULT_TIME_ZONE);
    fields.check(name.parse::<Tz>().is_ok(), "timezone", "unknown");
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(check: impl FnOnce(&mut Fields)) -> Vec<String> {
        let mut fields = Fields::new();
        check(&mut fields);
        fields.finish().err().map(|f| f.errors.into_iter().map(|e| e.code).collect()).unwrap_or_default()
    }

    #[test]
    fn emails() {
        let long = format!("{}@a.kr", "x".repeat(250));
        for (value, wrong) in [
            ("a@b.kr", None),
            ("  밍기@한글.한국 ", None),
            ("a.b.kr", Some("malformed")),
            ("a@b", Some("malformed")),
            ("a@b..kr", Some("malformed")),
            ("a@b@c.kr", Some("malformed")),
            ("a b@c.kr", Some("malformed")),
            ("", Some("empty")),
            (long.as_str(), Some("too_long")),
        ] {
            assert_eq!(codes(|f| drop(email(f, value))).first().map(String::as_str), wrong, "{value}");
        }
    }

    #[test]
    fn passwords() {
        let longest = format!("{}1", "a".repeat(71));
        let too_long = format!("{}1", "가".repeat(24));
        for (value, wrong) in [
            ("mingi1234", None),
            (longest.as_str(), None),
            ("밍기적밍기적밍기1", None),
            ("mingi12", Some("too_short")),
            ("12345678", Some("needs_letter")),
            ("mingimingi", Some("needs_digit")),
            (too_long.as_str(), Some("too_long")),
        ] {
            assert_eq!(codes(|f| password(f, "password", value)).first().map(String::as_str), wrong, "{value}");
        }
    }

    #[test]
    fn nicknames_and_time_zones() {
        assert_eq!(codes(|f| drop(nickname(f, "열여섯글자까지는괜찮은별명입니다"))), Vec::<String>::new());
        assert_eq!(codes(|f| drop(nickname(f, "열일곱글자가되면너무길어진별명이다야"))), ["too_long"]);
        assert_eq!(codes(|f| drop(nickname(f, "👨‍👩‍👧 가족"))), Vec::<String>::new());
        assert_eq!(codes(|f| drop(nickname(f, "밍\u{200b}기"))), ["invisible_character"]);
        assert_eq!(codes(|f| drop(nickname(f, &"\u{fdfa}".repeat(16)))), ["too_long"]);
        assert_eq!(codes(|f| drop(week_start(f, None))), Vec::<String>::new());
        assert_eq!(codes(|f| drop(week_start(f, Some("friday")))), ["unknown"]);
        assert_eq!(codes(|f| drop(time_zone(f, Some("Asia/Pyongyang")))), Vec::<String>::new());
        assert_eq!(codes(|f| drop(time_zone(f, Some("Moon/Tycho")))), ["unknown"]);
    }
}

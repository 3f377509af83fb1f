//! Durations of scripts: a number is seconds, anything else is what the `ms` package of npm reads, such as `500ms`.

use std::time::Duration;

use serde_json::Value;

/// How a fraction without a unit is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fractions {
    /// Seconds, as its writer meant.
    Seconds,
    /// Milliseconds, as Artillery reads it.
    Milliseconds,
}

/// Reads a duration of at least 0.
///
/// # Errors
/// A sentence that says what is written instead.
pub fn parse(value: &Value, fractions: Fractions) -> Result<Duration, String> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return Err("a duration is a number of seconds or a text like `500ms`, `90s`, `5m`".to_owned()),
    };
    let invalid = || format!("`{text}` is no duration: write seconds, or a number with one unit, like `90s` or `1.5h`");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| invalid())?;
    let millis = match text[digits..].trim_start().to_lowercase().as_str() {
        "" if fractions == Fractions::Milliseconds && text.contains('.') => 1.0,
        "" | "s" | "sec" | "secs" | "second" | "seconds" => 1e3,
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60e3,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600e3,
        "d" | "day" | "days" => 86_400e3,
        "w" | "week" | "weeks" => 604_800e3,
        "y" | "yr" | "yrs" | "year" | "years" => 31_557_600e3,
        _ => return Err(invalid()),
    };
    Duration::try_from_secs_f64(number * millis / 1e3).map_err(|_| invalid())
}

/// The duration in the largest unit in which it is short to read.
#[must_use]
pub fn show(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis.is_multiple_of(1000) { format!("{}s", millis / 1000) } else { format!("{millis}ms") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn durations_are_those_of_artillery_but_for_fractions() {
        for (value, millis) in [
            (json!(3), 3_000),
            (json!("3"), 3_000),
            (json!("500ms"), 500),
            (json!("90s"), 90_000),
            (json!("5m"), 300_000),
            (json!("1.5h"), 5_400_000),
            (json!("2 hours"), 7_200_000),
            (json!("1d"), 86_400_000),
            (json!("1W"), 604_800_000),
            (json!(0.5), 500),
            (json!("2.5"), 2_500),
        ] {
            assert_eq!(parse(&value, Fractions::Seconds), Ok(Duration::from_millis(millis)), "{value}");
        }
        assert_eq!(parse(&json!(0.5), Fractions::Milliseconds), Ok(Duration::from_micros(500)));
        for value in [json!("1m30s"), json!(-1), json!("soon"), json!([1]), json!(""), json!("1..2s")] {
            assert!(parse(&value, Fractions::Seconds).is_err(), "{value}");
        }
    }
}

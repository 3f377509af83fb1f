//! Reader of YAML and JSON texts, resolving plain scalars as js-yaml 3 does, which Artillery uses.
//!
//! `yes`, `no`, `on` and `off` are texts, `0123` is octal, `1_000` and `1:30` (base 60) are numbers, dates become texts
//! in ISO 8601, a key given twice is an error, anchors and `<<` work. JSON is a subset of it.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput, Tag};
use serde_json::Number;

use super::{
    node::{Key, Node, Yaml},
    source::{At, Parsed, ScriptError, Sources},
};

/// Deepest nesting.
const DEPTH: usize = 64;
/// Most values of a document, those of aliases counted each time.
const VALUES: usize = 1_000_000;

/// Reads the text number `file` of `sources`.
///
/// # Errors
/// When it is no YAML, has a key twice, is nested deeper than 64 levels, or has more than a million values.
pub fn parse(sources: &Sources, file: usize) -> Parsed<Node> {
    let text = sources.text(file);
    let mut lines = vec![0];
    lines.extend(text.match_indices('\n').map(|(index, _)| index + 1));
    let mut reader =
        Reader { parser: Parser::new_from_str(text), text, lines, file, anchors: HashMap::new(), values: 0 };
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
            Event::StreamEnd | Event::DocumentEnd => return Ok(Node { value: Yaml::Null, at: reader.at(span) }),
            event => {
                let node = reader.node(event, span, 0)?;
                reader.end()?;
                return Ok(node);
            }
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    text: &'a str,
    lines: Vec<usize>,
    file: usize,
    anchors: HashMap<usize, Node>,
    values: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Parsed<(Event<'a>, Span)> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let at = self.at(Span::empty(*error.marker()));
                Err(ScriptError::at(at, format!("not valid YAML: {}", error.info())))
            }
            None => Err(ScriptError::new("the document ends too early")),
        }
    }

    /// Makes sure that nothing but the end follows.
    fn end(&mut self) -> Parsed {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(()),
                (Event::DocumentEnd, _) => {}
                (_, span) => return Err(ScriptError::at(self.at(span), "a script is one document")),
            }
        }
    }

    fn byte(&self, marker: Marker) -> usize {
        let Some(start) = self.lines.get(marker.line().saturating_sub(1)) else { return self.text.len() };
        let line = &self.text[*start..];
        start + line.char_indices().nth(marker.col()).map_or(line.len(), |(index, _)| index)
    }

    fn at(&self, span: Span) -> At {
        let start = self.byte(span.start);
        At { file: self.file, start, end: self.byte(span.end).max(start) }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Parsed<Node> {
        let at = self.at(span);
        self.values += 1;
        if depth > DEPTH || self.values > VALUES {
            return Err(ScriptError::at(at, format!("more than {DEPTH} levels or {VALUES} values")));
        }
        let (node, anchor) = match event {
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                let node = node.ok_or_else(|| ScriptError::at(at, "an alias of what contains it"))?;
                self.values += count(&node);
                (node, 0)
            }
            Event::Scalar(text, style, anchor, tag) => {
                (Node { value: scalar(&text, style, tag.as_deref(), at)?, at }, anchor)
            }
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, span) => items.push(self.node(event, span, depth + 1)?),
                    }
                }
                (Node { value: Yaml::List(items), at }, anchor)
            }
            Event::MappingStart(anchor, _) => (Node { value: self.mapping(depth)?, at }, anchor),
            _ => return Err(ScriptError::at(at, "not valid YAML")),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn mapping(&mut self, depth: usize) -> Parsed<Yaml> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut merged: Vec<(Key, Node)> = Vec::new();
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, _) => break,
                (event, span) => self.node(event, span, depth + 1)?,
            };
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            let text = match &key.value {
                Yaml::Null => "null".to_owned(),
                _ => key.string().map_err(|_| key.expected("a key"))?,
            };
            if text == "<<" {
                for node in value.one_or_many() {
                    merged.extend(node.entries()?.iter().cloned());
                }
            } else if entries.iter().any(|(other, _)| other.text == text) {
                return Err(ScriptError::at(key.at, format!("the key `{text}` is given twice")));
            } else {
                entries.push((Key { text, at: key.at }, value));
            }
        }
        for (key, value) in merged {
            if entries.iter().all(|(other, _)| other.text != key.text) {
                entries.push((key, value));
            }
        }
        Ok(Yaml::Map(entries))
    }
}

fn count(node: &Node) -> usize {
    match &node.value {
        Yaml::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        Yaml::Map(entries) => 1 + entries.iter().map(|(_, node)| count(node)).sum::<usize>(),
        _ => 1,
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, at: At) -> Parsed<Yaml> {
    if let Some(tag) = tag.filter(|tag| tag.is_yaml_core_schema()) {
        return Ok(match tag.suffix.as_str() {
            "str" => Yaml::Text(text.to_owned()),
            "null" => Yaml::Null,
            _ => plain(text),
        });
    }
    if let Some(tag) = tag.filter(|tag| tag.handle != "!" || !tag.suffix.is_empty()) {
        return Err(ScriptError::at(at, format!("unknown tag `{tag}`")));
    }
    if style == ScalarStyle::Plain && tag.is_none() { Ok(plain(text)) } else { Ok(Yaml::Text(text.to_owned())) }
}

/// Resolves a plain scalar.
fn plain(text: &str) -> Yaml {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Yaml::Null,
        "true" | "True" | "TRUE" => return Yaml::Bool(true),
        "false" | "False" | "FALSE" => return Yaml::Bool(false),
        _ => {}
    }
    if let Some(number) = integer(text).or_else(|| float(text)) {
        return number_of(number).map_or_else(|| Yaml::Text(text.to_owned()), Yaml::Number);
    }
    Yaml::Text(timestamp(text).unwrap_or_else(|| text.to_owned()))
}

/// A number of JSON: whole where it is whole, as JavaScript writes it.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "checked to be in range")]
pub fn number_of(number: f64) -> Option<Number> {
    if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 {
        Some(Number::from(number as i64))
    } else {
        Number::from_f64(number)
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of JavaScript are doubles")]
fn integer(text: &str) -> Option<f64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) || digits.ends_with('_') {
        return None;
    }
    let digits = digits.replace('_', "");
    let radix = |digits: &str, radix| u64::from_str_radix(digits, radix).ok().map(|number| number as f64);
    let number = if let Some(binary) = digits.strip_prefix("0b") {
        radix(binary, 2)
    } else if let Some(hexadecimal) = digits.strip_prefix("0x") {
        radix(hexadecimal, 16)
    } else if digits.len() > 1 && digits.starts_with('0') && !digits.contains(':') {
        radix(&digits, 8)
    } else if digits.contains(':') {
        base_60(&digits)
    } else if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        digits.parse().ok()
    } else {
        None
    };
    number.map(|number| sign * number)
}

/// `1:30` is 90, as YAML 1.1 has it.
fn base_60(digits: &str) -> Option<f64> {
    let mut parts = digits.split(':');
    let mut number: f64 = parts.next()?.parse().ok()?;
    for part in parts {
        let part: f64 = part.parse::<u8>().ok().filter(|part| *part < 60)?.into();
        number = number * 60.0 + part;
    }
    Some(number)
}

fn float(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_float = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.contains(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || b"._eE+-".contains(&byte))
        // Octal numbers with an 8 or 9 are texts.
        && !(digits.starts_with('0') && digits.len() > 1 && digits.bytes().all(|byte| byte.is_ascii_digit()));
    if !is_float {
        return None;
    }
    text.replace('_', "").parse().ok()
}

/// A date or a time as ISO 8601 in UTC, as JavaScript's `Date` is written in JSON.
fn timestamp(text: &str) -> Option<String> {
    use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat};
    if text.len() < 10 || !text.is_ascii() || text.as_bytes().get(4) != Some(&b'-') {
        return None;
    }
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(format!("{date}T00:00:00.000Z"));
    }
    let with_t = text.replacen(' ', "T", 1);
    if let Ok(time) = DateTime::parse_from_rfc3339(&with_t) {
        return Some(time.to_utc().to_rfc3339_opts(SecondsFormat::Millis, true));
    }
    let time = NaiveDateTime::parse_from_str(&with_t, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
    Some(time.and_utc().to_rfc3339_opts(SecondsFormat::Millis, true))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(text: &str) -> Result<Value, String> {
        let mut sources = Sources::default();
        let file = sources.add("test.yml", text);
        parse(&sources, file).map(|node| node.json()).map_err(|error| sources.render(&error))
    }

    #[test]
    fn plain_scalars_are_those_of_js_yaml_3() {
        for (text, value) in [
            ("yes", json!("yes")),
            ("off", json!("off")),
            ("true", json!(true)),
            ("~", json!(null)),
            ("0123", json!(83)),
            ("0189", json!("0189")),
            ("1_000", json!(1000)),
            ("0x1f", json!(31)),
            ("0b11", json!(3)),
            ("1:30", json!(90)),
            ("-12", json!(-12)),
            ("1.50", json!(1.5)),
            ("2.0", json!(2)),
            ("1e3", json!(1000)),
            (".5", json!(0.5)),
            ("1.2.3", json!("1.2.3")),
            ("127.0.0.1", json!("127.0.0.1")),
            ("500ms", json!("500ms")),
            ("2024-05-01", json!("2024-05-01T00:00:00.000Z")),
            ("2024-05-01 10:00:00", json!("2024-05-01T10:00:00.000Z")),
            ("\"1\"", json!("1")),
            ("!!str 1", json!("1")),
        ] {
            assert_eq!(read(text).as_ref(), Ok(&value), "{text}");
        }
    }

    #[test]
    fn anchors_and_merge_keys_work() {
        let value = read("base: &b { x: 1, y: 2 }\nall: [*b, { <<: *b, y: 3 }]\n").unwrap();
        assert_eq!(value["all"], json!([{ "x": 1, "y": 2 }, { "x": 1, "y": 3 }]));
    }

    #[test]
    fn mistakes_are_placed() {
        for (text, line, says) in [
            ("a: 1\nb: 2\na: 3\n", "test.yml:3:1", "given twice"),
            ("a: [1, 2\nb: 3\n", "test.yml:2", "not valid YAML"),
            ("a: !mine 3\n", "test.yml:1", "unknown tag"),
            ("a: 1\n---\nb: 2\n", "test.yml:2", "one document"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(line) && error.contains(says), "{text}: {error}");
        }
        let deep = "[".repeat(100) + &"]".repeat(100);
        assert!(read(&deep).unwrap_err().contains("64 levels"));
    }

    #[test]
    fn json_is_read_too() {
        assert_eq!(read("{\n\t\"a\": [1, \"\\u00e9\", null]\n}").unwrap(), json!({ "a": [1, "é", null] }));
    }
}

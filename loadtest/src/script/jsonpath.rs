//! JSONPath as Artillery takes it: RFC 9535, and the forms of JSONPath-Plus that scripts use.
//!
//! Beyond the standard: a path without `$`, `.length` at the end, `$.0.x` for `$[0].x`, `[(@.length-1)]` for `[-1]`.

use serde_json::Value;
use serde_json_path::JsonPath;

use super::template::length;

/// A compiled path.
#[derive(Clone, Debug)]
pub struct Query {
    path: JsonPath,
    length: bool,
}

impl Query {
    /// Compiles a path.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn compile(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let (path, length) = match trimmed.strip_suffix(".length") {
            Some(path) => (path, true),
            None => (trimmed, false),
        };
        let path = JsonPath::parse(&standard(path)).map_err(|error| format!("`{text}` is no JSONPath: {error}"))?;
        Ok(Self { path, length })
    }

    /// All values that are found.
    #[must_use]
    pub fn find(&self, value: &Value) -> Vec<Value> {
        let found = self.path.query(value);
        if self.length { found.into_iter().filter_map(length).collect() } else { found.into_iter().cloned().collect() }
    }
}

/// The path in the form of RFC 9535.
fn standard(text: &str) -> String {
    let rooted = match text.chars().next() {
        Some('$') => text.to_owned(),
        Some('[' | '.') => format!("${text}"),
        _ => format!("$.{text}"),
    };
    let mut out = String::with_capacity(rooted.len());
    let mut chars = rooted.char_indices().peekable();
    let mut quote = None;
    while let Some((index, c)) = chars.next() {
        let rest = &rooted[index..];
        if let Some(open) = quote {
            quote = (c != open).then_some(open);
            out.push(c);
        } else if c == '\'' || c == '"' {
            quote = Some(c);
            out.push(c);
        } else if let Some((length, back)) = from_the_end(rest) {
            out.push_str(&format!("[-{back}]"));
            for _ in 1..length {
                chars.next();
            }
        } else if c == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit()) && !in_filter(&out) {
            out.push('[');
            while let Some((_, digit)) = chars.next_if(|(_, c)| c.is_ascii_digit()) {
                out.push(digit);
            }
            out.push(']');
        } else {
            out.push(c);
        }
    }
    // A name with a hyphen or another character that the short form does not allow.
    quote_names(&out)
}

/// Whether what was written so far ends inside a filter, where a dot and digits are a number.
fn in_filter(before: &str) -> bool {
    before.rfind('?').is_some_and(|open| {
        let rest = &before[open..];
        rest.matches('[').count() + 1 > rest.matches(']').count() && !rest.ends_with(']')
    })
}

/// Length of `[(@.length-N)]` at the start of a text, and N.
fn from_the_end(text: &str) -> Option<(usize, u32)> {
    let inside = text.strip_prefix("[(@.length-")?;
    let (number, _) = inside.split_once(")]")?;
    let back: u32 = number.trim().parse().ok()?;
    Some(("[(@.length-".len() + number.len() + ")]".len(), back))
}

fn quote_names(path: &str) -> String {
    if path.contains(['?', '\'', '"', '*']) {
        return path.to_owned();
    }
    let mut out = String::with_capacity(path.len());
    for (index, part) in path.split('.').enumerate() {
        let (name, rest) = part.find('[').map_or((part, ""), |open| part.split_at(open));
        let is_short = name.chars().all(|c| c.is_alphanumeric() || c == '_') || index == 0;
        if index > 0 && !is_short {
            out.push_str(&format!("['{name}']"));
        } else {
            if index > 0 {
                out.push('.');
            }
            out.push_str(name);
        }
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_of_jsonpath_plus_find_what_they_do_there() {
        let value = json!({
            "items": [{ "id": 11, "tags": ["a"] }, { "id": 12 }, { "id": 13 }], "user": { "first-name": "하루" }, "n": 3,
        });
        for (path, found) in [
            ("$.items[0].id", json!([11])),
            ("$.items[*].id", json!([11, 12, 13])),
            ("$..id", json!([11, 12, 13])),
            ("items[1].id", json!([12])),
            ("$.items.length", json!([3])),
            ("$.items.0.id", json!([11])),
            ("$.items[(@.length-1)].id", json!([13])),
            ("$.items[-1:].id", json!([13])),
            ("$.items[?(@.id>11)].id", json!([12, 13])),
            ("$.items[?(@.id==12.0)].id", json!([12])),
            ("$.user['first-name']", json!(["하루"])),
            ("$.user.first-name", json!(["하루"])),
            ("$.missing", json!([])),
            ("$", json!([value])),
        ] {
            let query = Query::compile(path).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(Value::from(query.find(&value)), found, "{path}");
        }
        assert_eq!(Query::compile("$.0.name").unwrap().find(&json!([{ "name": 1 }])), [json!(1)]);
        for path in ["$.items[", "$..[?(", "$.items[?(@.id >)]"] {
            assert!(Query::compile(path).is_err(), "{path}");
        }
    }
}

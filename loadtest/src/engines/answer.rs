//! Captures, matches and expectations on an answer.

use rand::seq::IndexedRandom;
use serde_json::Value;

use super::user::User;
use crate::script::{
    compiler::pattern,
    jsonpath::Query,
    plan::{Answer, Expectation, ExpectationKind, Extract, Group, Match, QuerySource},
    template::{Path, Scope, text_of},
};

/// Something that values are read from.
pub struct Received<'a> {
    /// Status; 0 for messages.
    pub status: u16,
    /// Headers; none for messages.
    pub headers: Option<&'a hyper::HeaderMap>,
    /// The text.
    pub text: &'a str,
    json: Option<Value>,
    parsed: bool,
}

impl<'a> Received<'a> {
    /// An answer of an HTTP server.
    #[must_use]
    pub fn response(status: u16, headers: &'a hyper::HeaderMap, text: &'a str) -> Self {
        Self { status, headers: Some(headers), text, json: None, parsed: false }
    }

    /// A message of a WebSocket.
    #[must_use]
    pub fn message(text: &'a str) -> Self {
        Self { status: 0, headers: None, text, json: None, parsed: false }
    }

    /// Arguments of a Socket.IO event.
    #[must_use]
    pub fn arguments(arguments: Value) -> Self {
        Self { status: 0, headers: None, text: "", json: Some(arguments), parsed: true }
    }

    /// The text as JSON; a text that is none is itself, as Artillery matches it.
    fn json(&mut self) -> &Value {
        if !self.parsed {
            self.json = Some(serde_json::from_str(self.text).unwrap_or_else(|_| Value::from(self.text)));
            self.parsed = true;
        }
        self.json.as_ref().unwrap_or(&Value::Null)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers?.get(name)?.to_str().ok()
    }

    fn read(&mut self, from: &Extract, user: &mut User) -> Option<Value> {
        match from {
            Extract::Json { query, multiple } => {
                let found = match query {
                    QuerySource::Fixed(query) => query.find(self.json()),
                    QuerySource::Template(template) => Query::compile(&template.text(user)).ok()?.find(self.json()),
                };
                let mut random = user.random();
                if *multiple { found.choose(&mut random).cloned() } else { found.into_iter().next() }
            }
            Extract::Regexp { pattern, group } => {
                let captures = pattern.captures(self.text).ok()??;
                let found = match group {
                    None => captures.get(0),
                    Some(Group::Number(number)) => captures.get(*number),
                    Some(Group::Name(name)) => captures.name(name),
                };
                found.map(|found| found.as_str().into())
            }
            Extract::Header(name) => self.header(name).map(Value::from),
        }
    }

    /// Carries out captures and matches: false if a strict one failed. Captures are stored only if none failed.
    pub fn satisfies(&mut self, answer: &Answer, user: &mut User) -> bool {
        let mut captured = Vec::new();
        for capture in &answer.captures {
            match self.read(&capture.from, user).filter(|value| value.as_str() != Some("")) {
                Some(value) => captured.push((&capture.name, value)),
                None if capture.strict => return false,
                None => {}
            }
        }
        if !answer.matches.iter().all(|matching| self.matches(matching, user)) {
            return false;
        }
        for (name, value) in captured {
            user.set(name, value);
        }
        true
    }

    fn matches(&mut self, matching: &Match, user: &mut User) -> bool {
        if !matching.strict {
            return true;
        }
        let found = self.read(&matching.from, user);
        let wanted = matching.value.value(user);
        match (&found, &wanted) {
            // What is read from a text or a header is a text.
            (Some(Value::String(found)), Some(wanted)) if !matches!(matching.from, Extract::Json { .. }) => {
                *found == text_of(wanted)
            }
            _ => equal(found.as_ref(), wanted.as_ref()),
        }
    }

    /// Whether an expectation holds.
    pub fn meets(&mut self, expectation: &Expectation, user: &mut User) -> bool {
        let wanted = expectation.value.value(user);
        let list = match &wanted {
            Some(Value::Array(items)) => items.clone(),
            Some(value) => vec![value.clone()],
            None => Vec::new(),
        };
        let has_status = |status: u16| list.iter().any(|wanted| text_of(wanted) == status.to_string());
        let text = wanted.as_ref().map(text_of).unwrap_or_default();
        match expectation.kind {
            ExpectationKind::StatusCode => has_status(self.status),
            ExpectationKind::NotStatusCode => !has_status(self.status),
            ExpectationKind::ContentType => {
                let found = self.header("content-type").unwrap_or_default().to_lowercase();
                if text == "json" { found.starts_with("application/json") } else { found == text.to_lowercase() }
            }
            ExpectationKind::HasProperty => Path::new(&text).find_in(self.json()).is_some(),
            ExpectationKind::NotHasProperty => Path::new(&text).find_in(self.json()).is_none(),
            ExpectationKind::Equals => match &expectation.value {
                // Rendered one by one: what is undefined equals what is undefined.
                crate::script::template::JsonTemplate::List(items) => {
                    let values: Vec<Option<Value>> = items.iter().map(|item| item.value(user)).collect();
                    values.windows(2).all(|pair| equal(pair[0].as_ref(), pair[1].as_ref()))
                }
                _ => true,
            },
            ExpectationKind::HasHeader => self.header(&text.to_lowercase()).is_some(),
            ExpectationKind::HeaderEquals => match list.as_slice() {
                [name, value] => self.header(&text_of(name).to_lowercase()) == Some(text_of(value).as_str()),
                _ => false,
            },
            ExpectationKind::MatchesRegexp => {
                pattern(&text, "").is_ok_and(|pattern| pattern.is_match(self.text).unwrap_or(false))
            }
        }
    }
}

/// Equality of JavaScript values: numbers by value, lists and mappings by content.
#[must_use]
pub fn equal(one: Option<&Value>, other: Option<&Value>) -> bool {
    match (one, other) {
        (Some(Value::Number(one)), Some(Value::Number(other))) => one.as_f64() == other.as_f64(),
        (one, other) => one == other,
    }
}

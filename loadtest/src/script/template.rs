//! Templates: texts and JSON bodies with `{{ name }}` and `{{ $randomNumber(1, 9) }}`, compiled once, rendered per use.
//!
//! A text that is exactly one `{{ name }}` becomes the value with its type; a missing one makes a key vanish from JSON
//! and reads `undefined` inside a text.

use std::{borrow::Cow, fmt::Write};

use rand::Rng;
use serde_json::Value;

use super::{
    node::{Node, Yaml},
    source::{At, Parsed, ScriptError},
};

/// Functions that templates may call.
pub const FUNCTIONS: [&str; 2] = ["$randomNumber", "$randomString"];
/// Longest `$randomString`.
const LONGEST_RANDOM: u64 = 1 << 20;

/// Where templates find variables and randomness.
pub trait Scope {
    /// Value of a variable; `None` is JavaScript's `undefined`.
    fn variable(&self, name: &str) -> Option<&Value>;
    /// Random numbers of the user.
    fn random(&mut self) -> &mut dyn rand::RngCore;
}

/// A text with templates.
#[derive(Clone, Debug, PartialEq)]
pub enum Template {
    /// A text without templates.
    Text(String),
    /// Exactly one template: the value with its type.
    Value(Expression),
    /// Texts and templates.
    Mixed(Vec<Part>),
    /// Always undefined: what Artillery makes of a text with an unknown function.
    Undefined,
}

/// Part of a text.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// As it is.
    Text(String),
    /// To be rendered.
    Expression(Expression),
}

/// What stands between the braces.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// A variable, or something in it.
    Variable(Path),
    /// A whole number between both, inclusive.
    RandomNumber(i64, i64),
    /// Letters and digits.
    RandomString(usize),
}

/// Path to a value, such as `a.b[0].c`.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    whole: String,
    root: String,
    steps: Vec<String>,
}

impl Path {
    /// Reads a path as lodash's `get` does.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut parts = text
            .split(['.', '[', ']'])
            .map(|part| part.trim_matches(['"', '\'', ' ']))
            .filter(|part| !part.is_empty())
            .map(str::to_owned);
        Self { whole: text.to_owned(), root: parts.next().unwrap_or_default(), steps: parts.collect() }
    }

    /// The variable that the path begins with.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The value in `scope`.
    pub fn find<'a>(&self, scope: &'a (impl Scope + ?Sized)) -> Option<Cow<'a, Value>> {
        if self.steps.is_empty() {
            return scope.variable(&self.root).map(Cow::Borrowed);
        }
        if let Some(value) = scope.variable(&self.whole) {
            return Some(Cow::Borrowed(value));
        }
        follow(scope.variable(&self.root)?, &self.steps)
    }

    /// The value in `value`, the root being a key of it too.
    #[must_use]
    pub fn find_in<'a>(&self, value: &'a Value) -> Option<Cow<'a, Value>> {
        follow(step(value, &self.root)?, &self.steps)
    }
}

fn follow<'a>(from: &'a Value, steps: &[String]) -> Option<Cow<'a, Value>> {
    let mut value = from;
    for (index, name) in steps.iter().enumerate() {
        match step(value, name) {
            Some(next) => value = next,
            None if name == "length" && index + 1 == steps.len() => return length(value).map(Cow::Owned),
            None => return None,
        }
    }
    Some(Cow::Borrowed(value))
}

fn step<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map.get(name),
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        _ => None,
    }
}

/// JavaScript's `length` of a list or text.
#[must_use]
pub fn length(value: &Value) -> Option<Value> {
    match value {
        Value::Array(items) => Some(items.len().into()),
        Value::String(text) => Some(text.encode_utf16().count().into()),
        _ => None,
    }
}

impl Template {
    /// Compiles a text.
    ///
    /// # Errors
    /// When it calls an unknown function, or a known one with wrong arguments.
    pub fn compile(text: &str, at: At) -> Parsed<Self> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(open) = rest.find("{{") {
            let Some((length, inside)) = braces(&rest[open..]) else { break };
            let found = expression(inside, at)?;
            plain.push_str(&rest[..open]);
            match found {
                Some(expression) => {
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(Part::Expression(expression));
                }
                // Not a template: it stays as it is.
                None => plain.push_str(&rest[open..open + length]),
            }
            rest = &rest[open + length..];
        }
        plain.push_str(rest);
        if !plain.is_empty() || parts.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(match <[Part; 1]>::try_from(parts) {
            Ok([Part::Text(text)]) => Self::Text(text),
            Ok([Part::Expression(expression)]) => Self::Value(expression),
            Err(parts) => Self::Mixed(parts),
        })
    }

    /// The value: with its type if the text is exactly one template.
    pub fn value(&self, scope: &mut (impl Scope + ?Sized)) -> Option<Value> {
        match self {
            Self::Text(text) => Some(Value::String(text.clone())),
            Self::Value(Expression::Variable(path)) => path.find(scope).map(Cow::into_owned),
            Self::Undefined => None,
            _ => Some(Value::String(self.text(scope))),
        }
    }

    /// The value as a text; `undefined` where there is none.
    pub fn text(&self, scope: &mut (impl Scope + ?Sized)) -> String {
        let mut out = String::new();
        self.write(scope, &mut out);
        out
    }

    /// Appends the value as a text.
    pub fn write(&self, scope: &mut (impl Scope + ?Sized), out: &mut String) {
        match self {
            Self::Text(text) => out.push_str(text),
            Self::Value(expression) => expression.write(scope, out),
            Self::Mixed(parts) => {
                for part in parts {
                    match part {
                        Part::Text(text) => out.push_str(text),
                        Part::Expression(expression) => expression.write(scope, out),
                    }
                }
            }
            Self::Undefined => out.push_str("undefined"),
        }
    }

    /// The text if there is nothing to render.
    #[must_use]
    pub fn fixed(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Names of the variables that are used.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let parts: &[Part] = if let Self::Mixed(parts) = self { parts } else { &[] };
        let one = if let Self::Value(expression) = self { Some(expression) } else { None };
        let mixed = parts.iter().filter_map(|part| match part {
            Part::Expression(expression) => Some(expression),
            Part::Text(_) => None,
        });
        one.into_iter().chain(mixed).filter_map(|expression| match expression {
            Expression::Variable(path) => Some(path.root()),
            _ => None,
        })
    }
}

impl Expression {
    fn write(&self, scope: &mut (impl Scope + ?Sized), out: &mut String) {
        match self {
            Self::Variable(path) => match path.find(scope) {
                Some(value) => write_text(&value, out),
                None => out.push_str("undefined"),
            },
            Self::RandomNumber(low, high) => {
                let number = scope.random().random_range(*low..=*high);
                // Writing to a text does not fail.
                write!(out, "{number}").unwrap_or_default();
            }
            Self::RandomString(length) => {
                let random = scope.random();
                out.extend((0..*length).map(|_| char::from(random.sample(rand::distr::Alphanumeric))));
            }
        }
    }
}

/// Appends a value as JavaScript puts it into a text.
pub fn write_text(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => out.push_str(text),
        // Writing to a text does not fail.
        value => write!(out, "{value}").unwrap_or_default(),
    }
}

/// A value as a text.
#[must_use]
pub fn text_of(value: &Value) -> String {
    let mut out = String::new();
    write_text(value, &mut out);
    out
}

/// Length of what begins with two or three braces, and what is between them.
fn braces(text: &str) -> Option<(usize, &str)> {
    if text.starts_with("{{{")
        && let Some(end) = text.find("}}}")
    {
        return Some((end + 3, &text[3..end]));
    }
    let end = text.find("}}")?;
    Some((end + 2, &text[2..end]))
}

fn expression(inside: &str, at: At) -> Parsed<Option<Expression>> {
    let inside = inside.trim();
    let named = |c: char| c.is_alphanumeric() || "_$.[]'\"- ".contains(c);
    if let Some((name, arguments)) = call(inside) {
        return function(name, arguments, at).map(Some);
    }
    Ok((!inside.is_empty() && inside.chars().all(named)).then(|| Expression::Variable(Path::new(inside))))
}

/// Name and arguments of `$name(…)`.
fn call(inside: &str) -> Option<(&str, &str)> {
    let (name, rest) = inside.split_once('(')?;
    let name = name.trim();
    let is_name = name.starts_with('$') && name[1..].chars().all(|c| c.is_alphanumeric() || c == '_');
    is_name.then_some((name, rest.trim().strip_suffix(')')?))
}

fn function(name: &str, arguments: &str, at: At) -> Parsed<Expression> {
    let wrong =
        |usage: &str| ScriptError::at(at, format!("wrong arguments of `{name}`")).help(format!("write {usage}"));
    let numbers: Option<Vec<i64>> =
        arguments.split(',').map(str::trim).filter(|word| !word.is_empty()).map(|word| word.parse().ok()).collect();
    match name {
        "$randomNumber" => match numbers.as_deref() {
            Some([low, high]) if low <= high => Ok(Expression::RandomNumber(*low, *high)),
            _ => Err(wrong("`$randomNumber(1, 10)`, the smaller number first")),
        },
        "$randomString" => match numbers.as_deref() {
            Some([]) => Ok(Expression::RandomString(10)),
            Some([length]) => match u64::try_from(*length) {
                Ok(length) if length <= LONGEST_RANDOM => {
                    Ok(Expression::RandomString(usize::try_from(length).unwrap_or(10)))
                }
                _ => Err(wrong("a length of up to a million")),
            },
            _ => Err(wrong("`$randomString(10)`")),
        },
        _ => {
            let error = ScriptError::at(at, format!("unknown function `{name}`"));
            Err(match name {
                "$uuid" | "$testId" | "$environment" => {
                    error.help(format!("it is a variable: write `{{{{ {name} }}}}`"))
                }
                "$randomInt" | "$randomInteger" => error.help("write `$randomNumber` instead"),
                _ => error.nearest(name, FUNCTIONS),
            })
        }
    }
}

/// A JSON value with templates in its texts and keys, in the order of the script.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonTemplate {
    /// Null, a boolean or a number.
    Fixed(Value),
    /// A text.
    Text(Template),
    /// A list.
    List(Vec<JsonTemplate>),
    /// A mapping.
    Map(Vec<(Template, JsonTemplate)>),
}

impl JsonTemplate {
    /// Compiles a part of a script with `compile`, which decides what becomes of unknown functions.
    ///
    /// # Errors
    /// Those of `compile`.
    pub fn compile(node: &Node, compile: &mut impl FnMut(&str, At) -> Parsed<Template>) -> Parsed<Self> {
        Ok(match &node.value {
            Yaml::Text(text) => Self::Text(compile(text, node.at)?),
            Yaml::List(items) => {
                Self::List(items.iter().map(|item| Self::compile(item, compile)).collect::<Parsed<_>>()?)
            }
            Yaml::Map(entries) => Self::Map(
                entries
                    .iter()
                    .map(|(key, value)| Ok((compile(&key.text, key.at)?, Self::compile(value, compile)?)))
                    .collect::<Parsed<_>>()?,
            ),
            _ => Self::Fixed(node.json()),
        })
    }

    /// The value; `None` is undefined.
    pub fn value(&self, scope: &mut (impl Scope + ?Sized)) -> Option<Value> {
        match self {
            Self::Fixed(value) => Some(value.clone()),
            Self::Text(template) => template.value(scope),
            Self::List(items) => {
                Some(items.iter().map(|item| item.value(scope).unwrap_or(Value::Null)).collect::<Vec<_>>().into())
            }
            Self::Map(entries) => {
                let mut map = serde_json::Map::new();
                for (key, value) in entries {
                    let key = key.text(scope);
                    if let Some(value) = value.value(scope) {
                        map.insert(key, value);
                    }
                }
                Some(Value::Object(map))
            }
        }
    }

    /// Appends the value as JSON, keys in the order of the script. False, and nothing appended, if it is undefined.
    pub fn write(&self, scope: &mut (impl Scope + ?Sized), out: &mut String) -> bool {
        match self {
            Self::Fixed(value) => write_json(value, out),
            Self::Text(Template::Text(text)) => write_json_text(text, out),
            Self::Text(template) => match template.value(scope) {
                Some(value) => write_json(&value, out),
                None => return false,
            },
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    if !item.write(scope, out) {
                        out.push_str("null");
                    }
                }
                out.push(']');
            }
            Self::Map(entries) => {
                out.push('{');
                let mut first = true;
                for (key, value) in entries {
                    let before = out.len();
                    if !first {
                        out.push(',');
                    }
                    write_json_text(&key.text(scope), out);
                    out.push(':');
                    if value.write(scope, out) {
                        first = false;
                    } else {
                        out.truncate(before);
                    }
                }
                out.push('}');
            }
        }
        true
    }

    /// Every text in it.
    pub fn each(&self, visit: &mut impl FnMut(&Template)) {
        match self {
            Self::Fixed(_) => {}
            Self::Text(template) => visit(template),
            Self::List(items) => items.iter().for_each(|item| item.each(visit)),
            Self::Map(entries) => {
                for (key, value) in entries {
                    visit(key);
                    value.each(visit);
                }
            }
        }
    }
}

fn write_json(value: &Value, out: &mut String) {
    // Writing to a text does not fail.
    write!(out, "{value}").unwrap_or_default();
}

fn write_json_text(text: &str, out: &mut String) {
    // A text always has a form in JSON.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashMap;

    use rand::{RngCore, SeedableRng, rngs::StdRng};
    use serde_json::json;

    use super::*;

    pub(crate) struct Fixture(pub HashMap<String, Value>, StdRng);

    impl Fixture {
        pub(crate) fn new(value: Value) -> Self {
            let Value::Object(map) = value else { panic!("a mapping") };
            Self(map.into_iter().collect(), StdRng::seed_from_u64(7))
        }
    }

    impl Scope for Fixture {
        fn variable(&self, name: &str) -> Option<&Value> {
            self.0.get(name)
        }

        fn random(&mut self) -> &mut dyn RngCore {
            &mut self.1
        }
    }

    fn render(text: &str) -> Option<Value> {
        let mut scope = Fixture::new(json!({
            "n": 5, "s": "하루", "list": [1, { "x": "y" }], "map": { "a": { "b": [10, 20] } }, "none": null,
        }));
        Template::compile(text, At::default()).unwrap().value(&mut scope)
    }

    #[test]
    fn a_lone_template_keeps_its_type_and_others_become_text() {
        for (text, value) in [
            ("plain", Some(json!("plain"))),
            ("{{ n }}", Some(json!(5))),
            ("{{n}}", Some(json!(5))),
            ("{{{ n }}}", Some(json!(5))),
            (" {{ n }}", Some(json!(" 5"))),
            ("{{ s }}-{{ n }}", Some(json!("하루-5"))),
            ("{{ list }}", Some(json!([1, { "x": "y" }]))),
            ("l={{ list }}", Some(json!("l=[1,{\"x\":\"y\"}]"))),
            ("{{ list[1].x }}", Some(json!("y"))),
            ("{{ map.a.b[1] }}", Some(json!(20))),
            ("{{ map['a'].b.length }}", Some(json!(2))),
            ("{{ missing }}", None),
            ("{{ missing.a }}", None),
            ("m={{ missing }}", Some(json!("m=undefined"))),
            ("{{ none }}", Some(json!(null))),
            ("{{ n || 'x' }}", Some(json!("{{ n || 'x' }}"))),
            ("{{ }}", Some(json!("{{ }}"))),
            ("{{ open", Some(json!("{{ open"))),
            ("$template(x)", Some(json!("$template(x)"))),
        ] {
            assert_eq!(render(text), value, "{text}");
        }
    }

    #[test]
    fn functions_give_text_within_their_bounds() {
        for _ in 0..200 {
            let number: i64 = render("{{ $randomNumber(1, 3) }}").unwrap().as_str().unwrap().parse().unwrap();
            assert!((1..=3).contains(&number));
        }
        assert_eq!(render("{{ $randomString(12) }}").unwrap().as_str().unwrap().len(), 12);
        assert_eq!(render("{{ $randomString() }}").unwrap().as_str().unwrap().len(), 10);
        for text in ["{{ $randomInt(1, 2) }}", "{{ $uuid() }}", "{{ $randomNumber(1) }}", "a {{ $timestamp() }} b"] {
            assert!(Template::compile(text, At::default()).is_err(), "{text}");
        }
    }

    #[test]
    fn json_keeps_the_order_of_keys_and_drops_what_is_undefined() {
        let mut sources = super::super::source::Sources::default();
        let file =
            sources.add("x", "{ z: 1, a: '{{ missing }}', '{{ s }}': ['{{ missing }}', '{{ n }}'], q: \"a\\\"b\" }");
        let node = super::super::yaml::parse(&sources, file).unwrap();
        let template = JsonTemplate::compile(&node, &mut Template::compile).unwrap();
        let mut scope = Fixture::new(json!({ "n": 5, "s": "k" }));
        let mut out = String::new();
        assert!(template.write(&mut scope, &mut out));
        assert_eq!(out, r#"{"z":1,"k":[null,5],"q":"a\"b"}"#);
        assert_eq!(template.value(&mut scope), Some(json!({ "z": 1, "k": [null, 5], "q": "a\"b" })));
    }
}

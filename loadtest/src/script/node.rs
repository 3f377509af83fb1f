//! Tree of a YAML or JSON document in which every value and key knows its place in the text.

use serde_json::{Map, Number, Value};

use super::source::{At, Parsed, ScriptError};

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value.
    pub value: Yaml,
    /// Where it is written.
    pub at: At,
}

/// A value of YAML, resolved as js-yaml 3 does it.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names are YAML's")]
pub enum Yaml {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// Key of a mapping and its place.
#[derive(Clone, Debug)]
pub struct Key {
    /// The key.
    pub text: String,
    /// Where it is written.
    pub at: At,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Node {
    /// A text at a place.
    pub fn text(text: impl Into<String>, at: At) -> Self {
        Self { value: Yaml::Text(text.into()), at }
    }

    /// What kind of value it is, for errors.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.value {
            Yaml::Null => "nothing",
            Yaml::Bool(_) => "true or false",
            Yaml::Number(_) => "a number",
            Yaml::Text(_) => "a text",
            Yaml::List(_) => "a list",
            Yaml::Map(_) => "a mapping",
        }
    }

    /// An error at this value: it is not what was expected.
    #[must_use]
    pub fn expected(&self, what: &str) -> ScriptError {
        ScriptError::at(self.at, format!("expected {what}, found {}", self.kind()))
    }

    /// The items of a list.
    ///
    /// # Errors
    /// When it is no list.
    pub fn list(&self) -> Parsed<&[Node]> {
        match &self.value {
            Yaml::List(items) => Ok(items),
            _ => Err(self.expected("a list")),
        }
    }

    /// The items of a list, or the value alone as a list of one.
    #[must_use]
    pub fn one_or_many(&self) -> &[Node] {
        match &self.value {
            Yaml::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    /// The entries of a mapping.
    ///
    /// # Errors
    /// When it is no mapping.
    pub fn entries(&self) -> Parsed<&[(Key, Node)]> {
        match &self.value {
            Yaml::Map(entries) => Ok(entries),
            _ => Err(self.expected("a mapping")),
        }
    }

    /// The value of a key of a mapping.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Node> {
        match &self.value {
            Yaml::Map(entries) => entries.iter().find(|(key, _)| key.text == name).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The value of a key of a mapping, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Node> {
        match &mut self.value {
            Yaml::Map(entries) => entries.iter_mut().find(|(key, _)| key.text == name).map(|(_, node)| node),
            _ => None,
        }
    }

    /// A text; numbers and booleans count as the text they are written as.
    ///
    /// # Errors
    /// When it is a list, a mapping or nothing.
    pub fn string(&self) -> Parsed<String> {
        match &self.value {
            Yaml::Text(text) => Ok(text.clone()),
            Yaml::Number(number) => Ok(number.to_string()),
            Yaml::Bool(value) => Ok(value.to_string()),
            _ => Err(self.expected("a text")),
        }
    }

    /// A number, also one written as a text.
    ///
    /// # Errors
    /// When it is something else.
    pub fn number(&self) -> Parsed<f64> {
        let number = match &self.value {
            Yaml::Number(number) => number.as_f64(),
            Yaml::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.filter(|number| number.is_finite()).ok_or_else(|| self.expected("a number"))
    }

    /// A whole number of at least 0, also one written as a text.
    ///
    /// # Errors
    /// When it is something else.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
    pub fn whole(&self) -> Parsed<u64> {
        let number = self.number()?;
        if number < 0.0 || number.fract() != 0.0 || number > 9e15 {
            return Err(ScriptError::at(self.at, format!("expected a whole number of at least 0, found {number}")));
        }
        Ok(number as u64)
    }

    /// True or false, also written as a text.
    ///
    /// # Errors
    /// When it is something else.
    pub fn boolean(&self) -> Parsed<bool> {
        match &self.value {
            Yaml::Bool(value) => Ok(*value),
            Yaml::Text(text) if text == "true" => Ok(true),
            Yaml::Text(text) if text == "false" => Ok(false),
            _ => Err(self.expected("true or false")),
        }
    }

    /// The value without its place. The order of keys is lost.
    #[must_use]
    pub fn json(&self) -> Value {
        match &self.value {
            Yaml::Null => Value::Null,
            Yaml::Bool(value) => Value::Bool(*value),
            Yaml::Number(number) => Value::Number(number.clone()),
            Yaml::Text(text) => Value::String(text.clone()),
            Yaml::List(items) => items.iter().map(Node::json).collect(),
            Yaml::Map(entries) => {
                Value::Object(entries.iter().map(|(key, node)| (key.text.clone(), node.json())).collect::<Map<_, _>>())
            }
        }
    }

    /// Puts `other` into this: mappings by key, lists by index if `lists`, everything else replaces.
    pub fn merge(&mut self, other: &Node, lists: Lists) {
        match (&mut self.value, &other.value) {
            (Yaml::Map(ours), Yaml::Map(theirs)) => {
                for (key, node) in theirs {
                    match ours.iter_mut().find(|(ours, _)| ours.text == key.text) {
                        Some((_, ours)) => ours.merge(node, lists),
                        None => ours.push((key.clone(), node.clone())),
                    }
                }
            }
            (Yaml::List(ours), Yaml::List(theirs)) if lists == Lists::ByIndex => {
                for (index, node) in theirs.iter().enumerate() {
                    match ours.get_mut(index) {
                        Some(ours) => ours.merge(node, lists),
                        None => ours.push(node.clone()),
                    }
                }
            }
            _ => *self = other.clone(),
        }
    }

    /// Sets a key of a mapping; what is no mapping becomes one.
    pub fn set(&mut self, name: &str, node: Node) {
        if !matches!(self.value, Yaml::Map(_)) {
            self.value = Yaml::Map(Vec::new());
        }
        if let Yaml::Map(entries) = &mut self.value {
            match entries.iter_mut().find(|(key, _)| key.text == name) {
                Some((_, value)) => *value = node,
                None => entries.push((Key { text: name.to_owned(), at: node.at }, node)),
            }
        }
    }
}

/// How lists are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lists {
    /// Item by item, as files are.
    ByIndex,
    /// The later list replaces the earlier, as `--overrides` does.
    Replace,
}

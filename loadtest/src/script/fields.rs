//! Reader of a mapping's keys. What was not asked for is a mistake, and what was asked for is what errors suggest.

use super::{
    node::{Key, Node},
    source::{Parsed, ScriptError},
};

/// What is found while a script is read and does not stop it.
#[derive(Debug, Default)]
pub struct Notes {
    /// Said once, before the run.
    pub warnings: Vec<ScriptError>,
    /// Unknown keys are warnings, as with `--as-artillery`.
    pub lenient: bool,
}

/// Keys of one mapping.
pub struct Fields<'a> {
    entries: &'a [(Key, Node)],
    known: Vec<&'static str>,
    what: &'a str,
}

impl<'a> Fields<'a> {
    /// The mapping `node`, called `what` in errors.
    ///
    /// # Errors
    /// When it is no mapping.
    pub fn of(node: &'a Node, what: &'a str) -> Parsed<Self> {
        let entries = node.entries().map_err(|_| node.expected(&format!("{what} as a mapping")))?;
        Ok(Self { entries, known: Vec::new(), what })
    }

    /// The value of a key; nothing counts as absent.
    pub fn take(&mut self, name: &'static str) -> Option<&'a Node> {
        self.known.push(name);
        let (_, node) = self.entries.iter().find(|(key, _)| key.text == name)?;
        (!matches!(node.value, super::node::Yaml::Null)).then_some(node)
    }

    /// A key that this program knows of and cannot do.
    ///
    /// # Errors
    /// When it is there.
    pub fn refuse(&mut self, name: &'static str, why: &str) -> Parsed {
        match self.entries.iter().find(|(key, _)| key.text == name) {
            Some((key, _)) => Err(ScriptError::at(key.at, format!("`{name}` is not supported")).help(why)),
            None => Ok(()),
        }
    }

    /// Makes sure that every key was asked for.
    ///
    /// # Errors
    /// When one was not.
    pub fn finish(self, notes: &mut Notes) -> Parsed {
        for (key, _) in self.entries {
            if !self.known.contains(&key.text.as_str()) {
                let error = ScriptError::at(key.at, format!("unknown key `{}` in {}", key.text, self.what))
                    .nearest(&key.text, self.known.iter().copied());
                if !notes.lenient {
                    return Err(error);
                }
                notes.warnings.push(error);
            }
        }
        Ok(())
    }
}

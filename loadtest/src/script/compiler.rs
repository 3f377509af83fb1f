//! Compiler of script parts: templates, durations and the rules that all parts share.

use std::{collections::HashSet, path::PathBuf, time::Duration};

use super::{
    duration::{self, Fractions},
    expression::Formula,
    fields::Notes,
    jsonpath::Query,
    node::{Node, Yaml},
    plan::{Answer, Capture, EndpointOptions, Extract, Group, Match, QuerySource},
    source::{At, Parsed, ScriptError},
    template::{JsonTemplate, Template},
};

/// Variables that exist in every script.
pub const BUILT_IN: [&str; 11] = [
    "target",
    "$uuid",
    "$testId",
    "$environment",
    "$env",
    "$processEnvironment",
    "$dirname",
    "$scenarioFile",
    "$loopCount",
    "$loopElement",
    "$stamp",
];

/// State of reading one script.
pub struct Compiler {
    /// Warnings, and how strict to be.
    pub notes: Notes,
    /// Whether Artillery's traps are wanted.
    pub as_artillery: bool,
    /// Base URL of the system under test.
    pub target: String,
    /// Whether URLs of other machines are refused.
    pub only_loopback: bool,
    /// Folder of the script.
    pub folder: PathBuf,
    /// Headers that every request has, in lower case.
    pub default_headers: Vec<(String, Template)>,
    /// Cookies that every request has.
    pub default_cookies: Vec<(String, Template)>,
    /// Whether captures without a value fail.
    pub strict_capture: bool,
    /// Random part of every `think`.
    pub think_jitter: Option<super::plan::Jitter>,
    /// How endpoints are named.
    pub endpoints: EndpointOptions,
    /// Whether the plugin `expect` is on.
    pub expects: bool,
    /// Variables that something sets.
    pub defined: HashSet<String>,
    /// Variables that something uses.
    pub used: Vec<(String, At)>,
}

impl Compiler {
    /// Whether a fraction without a unit is seconds.
    #[must_use]
    pub fn fractions(&self) -> Fractions {
        if self.as_artillery { Fractions::Milliseconds } else { Fractions::Seconds }
    }

    /// Compiles a text.
    ///
    /// # Errors
    /// When it calls an unknown function; with Artillery's traps that is a warning, and the text is undefined.
    pub fn text(&mut self, text: &str, at: At) -> Parsed<Template> {
        let template = match Template::compile(text, at) {
            Err(error) if self.as_artillery => {
                self.notes.warnings.push(error);
                Template::Undefined
            }
            other => other?,
        };
        self.used.extend(template.variables().map(|name| (name.to_owned(), at)));
        if template.fixed().is_some_and(|text| text.contains("{{") && text.contains("}}")) {
            let warning = ScriptError::at(at, "this is sent as it is: templates have no operators and no filters");
            self.notes.warnings.push(warning);
        }
        Ok(template)
    }

    /// Compiles a text, or what reads as one.
    ///
    /// # Errors
    /// When it is no text, or calls an unknown function.
    pub fn template(&mut self, node: &Node) -> Parsed<Template> {
        let text = node.string()?;
        self.text(&text, node.at)
    }

    /// Compiles any value.
    ///
    /// # Errors
    /// When it calls an unknown function.
    pub fn json(&mut self, node: &Node) -> Parsed<JsonTemplate> {
        JsonTemplate::compile(node, &mut |text, at| self.text(text, at))
    }

    /// A mapping of names to texts, names in lower case.
    ///
    /// # Errors
    /// When it is none.
    pub fn headers(&mut self, node: &Node) -> Parsed<Vec<(String, Template)>> {
        let mut headers = Vec::new();
        for (key, value) in node.entries()? {
            if matches!(value.value, Yaml::Null) {
                continue;
            }
            let name = key.text.to_lowercase();
            if hyper::header::HeaderName::from_bytes(name.as_bytes()).is_err() {
                return Err(ScriptError::at(key.at, format!("`{}` is no name of a header", key.text)));
            }
            headers.push((name, self.template(value)?));
        }
        Ok(headers)
    }

    /// A mapping of names to texts.
    ///
    /// # Errors
    /// When it is none.
    pub fn texts(&mut self, node: &Node) -> Parsed<Vec<(String, Template)>> {
        node.entries()?.iter().map(|(key, value)| Ok((key.text.clone(), self.template(value)?))).collect()
    }

    /// A mapping of names to values.
    ///
    /// # Errors
    /// When it is none.
    pub fn values(&mut self, node: &Node) -> Parsed<Vec<(String, JsonTemplate)>> {
        node.entries()?.iter().map(|(key, value)| Ok((key.text.clone(), self.json(value)?))).collect()
    }

    /// A duration that is known now.
    ///
    /// # Errors
    /// When it is none.
    pub fn duration(&mut self, node: &Node) -> Parsed<Duration> {
        duration::parse(&node.json(), self.fractions()).map_err(|error| ScriptError::at(node.at, error))
    }

    /// A duration that may depend on variables.
    ///
    /// # Errors
    /// When it is known now and none.
    pub fn late_duration(&mut self, node: &Node) -> Parsed<JsonTemplate> {
        let template = self.json(node)?;
        let known = match &template {
            JsonTemplate::Text(text) => text.fixed().is_some(),
            _ => true,
        };
        if known {
            self.duration(node)?;
            if matches!(&node.value, Yaml::Number(number) if number.is_f64()) {
                let warning = "a fraction without a unit is seconds here, and milliseconds in Artillery";
                self.warn(
                    node.at,
                    if self.as_artillery { "a fraction without a unit is milliseconds" } else { warning },
                );
            }
        }
        Ok(template)
    }

    /// An expression.
    ///
    /// # Errors
    /// When it is none.
    pub fn formula(&mut self, node: &Node) -> Parsed<Formula> {
        Formula::compile(&node.string()?).map_err(|error| ScriptError::at(node.at, error))
    }

    /// Adds a warning; the same text is said once.
    pub fn warn(&mut self, at: At, text: &str) {
        if self.notes.warnings.iter().all(|warning| warning.title() != text) {
            self.notes.warnings.push(ScriptError::at(at, text));
        }
    }

    /// `capture` and `match` of a step.
    ///
    /// # Errors
    /// When one of them is wrong.
    pub fn answer(&mut self, capture: Option<&Node>, matching: Option<&Node>) -> Parsed<Answer> {
        let mut answer = Answer::default();
        for node in capture.into_iter().flat_map(Node::one_or_many) {
            answer.captures.push(self.capture(node)?);
        }
        for node in matching.into_iter().flat_map(Node::one_or_many) {
            answer.matches.push(self.matching(node)?);
        }
        Ok(answer)
    }

    fn capture(&mut self, node: &Node) -> Parsed<Capture> {
        let mut fields = super::fields::Fields::of(node, "capture")?;
        let from = self.extract(node, &mut fields)?;
        let strict = fields.take("strict").map(Node::boolean).transpose()?.unwrap_or(self.strict_capture);
        let name = fields.take("as").ok_or_else(|| {
            ScriptError::at(node.at, "`as` is missing in capture").help("write `as: NAME`, the variable to set")
        })?;
        fields.refuse("transform", "Artillery has no `transform` any more; capture a more exact path")?;
        fields.finish(&mut self.notes)?;
        let name = name.string()?;
        self.defined.insert(name.clone());
        Ok(Capture { name, from, strict })
    }

    fn matching(&mut self, node: &Node) -> Parsed<Match> {
        let mut fields = super::fields::Fields::of(node, "match")?;
        let from = self.extract(node, &mut fields)?;
        let strict = fields.take("strict").map(Node::boolean).transpose()?.unwrap_or(true);
        let value = fields.take("value").ok_or_else(|| ScriptError::at(node.at, "`value` is missing in match"))?;
        fields.finish(&mut self.notes)?;
        Ok(Match { from, value: self.json(value)?, strict })
    }

    fn extract(&mut self, node: &Node, fields: &mut super::fields::Fields<'_>) -> Parsed<Extract> {
        fields.refuse("xpath", "use `json` or `regexp`")?;
        fields.refuse("selector", "HTML is not parsed; use `regexp`")?;
        let multiple = fields.take("multiple").map(Node::boolean).transpose()?;
        let (flags, group) = (fields.take("flags"), fields.take("group"));
        match (fields.take("json"), fields.take("regexp"), fields.take("header")) {
            (Some(path), None, None) => {
                Ok(Extract::Json { query: self.query(path)?, multiple: multiple.unwrap_or(true) })
            }
            (None, Some(pattern), None) => regexp(pattern, flags, group),
            (None, None, Some(name)) => Ok(Extract::Header(name.string()?.to_lowercase())),
            (None, None, None) => Err(ScriptError::at(node.at, "nothing says where to read")
                .help("write one of `json: PATH`, `regexp: PATTERN`, `header: NAME`")),
            _ => Err(ScriptError::at(node.at, "only one of `json`, `regexp` and `header` can be read")),
        }
    }

    fn query(&mut self, node: &Node) -> Parsed<QuerySource> {
        let template = self.template(node)?;
        match template.fixed() {
            Some(text) => {
                let query = Query::compile(text).map_err(|error| ScriptError::at(node.at, error))?;
                Ok(QuerySource::Fixed(query))
            }
            None => Ok(QuerySource::Template(template)),
        }
    }
}

/// Compiles a regular expression of JavaScript with its flags.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn pattern(text: &str, flags: &str) -> Result<fancy_regex::Regex, String> {
    let mut prefix = String::new();
    for flag in flags.chars() {
        match flag {
            'i' | 'm' | 's' => prefix.push(flag),
            'g' | 'u' | 'y' | 'd' => {}
            _ => return Err(format!("unknown flag `{flag}` of a regular expression: known are i, m and s")),
        }
    }
    let whole = if prefix.is_empty() { text.to_owned() } else { format!("(?{prefix}){text}") };
    fancy_regex::RegexBuilder::new(&whole)
        .backtrack_limit(100_000)
        .build()
        .map_err(|error| format!("`{text}` is no regular expression: {error}"))
}

fn regexp(node: &Node, flags: Option<&Node>, group: Option<&Node>) -> Parsed<Extract> {
    let flags = flags.map(Node::string).transpose()?.unwrap_or_default();
    let pattern = pattern(&node.string()?, &flags).map_err(|error| ScriptError::at(node.at, error))?;
    let group = match group {
        None => None,
        Some(node) => match node.whole() {
            Ok(number) => Some(Group::Number(usize::try_from(number).unwrap_or(usize::MAX))),
            Err(_) => Some(Group::Name(node.string()?)),
        },
    };
    Ok(Extract::Regexp { pattern: Box::new(pattern), group })
}

//! Source texts of a script and the errors that point into them: file, line, column, the line, and what to write instead.

use std::{fmt, path::Path};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// Largest script that is read, in bytes.
const SCRIPT_BYTES: u64 = 16 << 20;

/// Place in a source: a file's number and a range of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct At {
    /// Index into [`Sources`].
    pub file: usize,
    /// First byte.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
}

/// Texts that a script was read from.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<(String, String)>);

impl Sources {
    /// Adds a text under the name that errors give it, and returns its number.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> usize {
        self.0.push((name.into(), text.into()));
        self.0.len() - 1
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, is larger than 16 MiB or is not UTF-8.
    pub fn read(&mut self, path: &Path) -> Result<usize, ScriptError> {
        let name = path.display();
        let size = std::fs::metadata(path).map_err(|error| ScriptError::new(format!("{name}: {error}")))?.len();
        if size > SCRIPT_BYTES {
            return Err(ScriptError::new(format!("{name}: larger than {} MiB", SCRIPT_BYTES >> 20)));
        }
        let text = std::fs::read_to_string(path).map_err(|error| ScriptError::new(format!("{name}: {error}")))?;
        Ok(self.add(name.to_string(), text.strip_prefix('\u{feff}').unwrap_or(&text)))
    }

    /// Text of a file.
    #[must_use]
    pub fn text(&self, file: usize) -> &str {
        self.0.get(file).map_or("", |(_, text)| text)
    }

    /// `file:line:column` of a place, lines and columns from 1.
    #[must_use]
    pub fn place(&self, at: At) -> String {
        let (name, text) = self.0.get(at.file).map_or(("", ""), |(name, text)| (name, text));
        let before = text.get(..at.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        format!("{name}:{line}:{column}")
    }

    /// The error for people, with the line it is about.
    #[must_use]
    pub fn render(&self, error: &ScriptError) -> String {
        self.message(Level::ERROR, error)
    }

    /// The same as a warning.
    #[must_use]
    pub fn render_warning(&self, error: &ScriptError) -> String {
        self.message(Level::WARNING, error)
    }

    fn message(&self, level: Level<'static>, error: &ScriptError) -> String {
        let title = level.primary_title(error.0.title.as_str());
        let mut group = match error.0.at.and_then(|at| Some((at, self.0.get(at.file)?))) {
            Some((at, (name, text))) => {
                // A span of several lines is shown by its first.
                let end = at.end.clamp(at.start, text.len());
                let line = text.get(at.start..end).and_then(|span| span.find('\n')).map_or(end, |to| at.start + to);
                let label = AnnotationKind::Primary.span(at.start..line.max(at.start)).label(error.0.label.as_str());
                title.element(Snippet::source(text.as_str()).path(name.as_str()).annotation(label))
            }
            None => Group::with_title(title),
        };
        if let Some(help) = &error.0.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        Renderer::plain().render(&[group])
    }
}

/// A mistake in a script.
#[derive(Clone, Debug)]
pub struct ScriptError(Box<Mistake>);

/// Outcome of reading a part of a script.
pub type Parsed<T = ()> = Result<T, ScriptError>;

#[derive(Clone, Debug)]
struct Mistake {
    title: String,
    at: Option<At>,
    label: String,
    help: Option<String>,
}

impl ScriptError {
    /// A mistake that has no place in a text, such as a file that is not there.
    pub fn new(title: impl Into<String>) -> Self {
        Self(Box::new(Mistake { title: title.into(), at: None, label: String::new(), help: None }))
    }

    /// A mistake at a place.
    pub fn at(at: At, title: impl Into<String>) -> Self {
        Self(Box::new(Mistake { title: title.into(), at: Some(at), label: String::new(), help: None }))
    }

    /// What is said beside the marked text.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.0.label = label.into();
        self
    }

    /// What to write instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// Names the nearest of `known` to what was `written`, or all of them if none is near.
    #[must_use]
    pub fn nearest<'a>(self, written: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let mut known: Vec<&str> = known.into_iter().collect();
        known.sort_unstable();
        known.dedup();
        match nearest(written, &known) {
            Some(name) => self.help(format!("write `{name}` instead")),
            None if known.is_empty() => self,
            None => self.help(format!("known here: {}", known.join(", "))),
        }
    }

    /// The sentence alone.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.0.title
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.title)
    }
}

/// The name of `known` that `written` was probably meant to be.
#[must_use]
pub fn nearest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = written.to_lowercase();
    known
        .iter()
        .map(|name| (strsim::jaro_winkler(&lower, &name.to_lowercase()), *name))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_file_line_column_and_the_line() {
        let mut sources = Sources::default();
        let file = sources.add("script.yml", "config:\n  tarjet: \"로컬\"\n");
        let at = At { file, start: 10, end: 16 };
        let error = ScriptError::at(at, "unknown key `tarjet`").nearest("tarjet", ["target", "phases"]);
        let shown = sources.render(&error);
        assert!(shown.contains("script.yml:2:3") && shown.contains("  tarjet: \"로컬\""), "{shown}");
        assert!(shown.contains("write `target` instead"), "{shown}");
        assert_eq!(sources.place(at), "script.yml:2:3");
    }

    #[test]
    fn nearest_forgives_a_slip_and_nothing_more() {
        let known = ["arrivalRate", "duration", "rampTo", "headers", "expect", "weight"];
        for (written, meant) in [
            ("arivalRate", Some("arrivalRate")),
            ("weigth", Some("weight")),
            ("heders", Some("headers")),
            ("expcet", Some("expect")),
            ("Duration", Some("duration")),
            ("zzz", None),
        ] {
            assert_eq!(nearest(written, &known), meant, "{written}");
        }
    }
}

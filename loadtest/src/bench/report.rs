//! What a measurement prints: a table for people, JSON for programs.

use serde_json::{Map, Value};

/// Named figures with the conditions they hold under, in the order they were added.
#[derive(Clone, Debug)]
pub struct Report {
    name: &'static str,
    rows: Vec<(String, Value)>,
}

impl Report {
    /// An empty report of the measurement `name`.
    pub const fn new(name: &'static str) -> Self {
        Self { name, rows: Vec::new() }
    }

    /// Adds a figure or a condition.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.rows.push((name.into(), value.into()));
    }

    /// Adds a figure rounded to two decimals.
    pub fn add_rounded(&mut self, name: impl Into<String>, value: f64) {
        self.add(name, (value * 100.0).round() / 100.0);
    }

    /// A figure, if it is a number.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.rows.iter().find(|(row, _)| row == name)?.1.as_f64()
    }

    /// Prints the table, then the JSON on one line.
    pub fn print(&self) {
        let width = self.rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        println!("{}", self.name);
        for (name, value) in &self.rows {
            println!("  {name:width$}  {value}");
        }
        println!("{}", self.json());
    }

    /// The report as JSON.
    pub fn json(&self) -> Value {
        let mut object: Map<String, Value> = Map::new();
        object.insert("measurement".into(), self.name.into());
        object.extend(self.rows.iter().map(|(name, value)| (name.replace(' ', "_"), value.clone())));
        Value::Object(object)
    }
}
